package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/mosquitto"
)

var (
	loadFor = flag.Duration("load", 20*time.Second, "how long BenchmarkResident keeps the daemon under load")
	program = flag.String("cepd", "", "the program that BenchmarkResident runs; built, if it is not given")
)

// residentRules are a pattern, a window and a condition, each by device.
const residentRules = `
streams:
  telemetry:
    source: plant
    topic: %s
    time: e.ts
    watermark: {lag: 1s}
    fields: {ts: timestamp, msg_id: string, site: string, device: string, temperature: double, vibration: double, pressure: double, status: string, fw: string}
rules:
  - name: pump-failure
    from: telemetry
    by: e.device
    pattern: hot -> spike -> stop
    define:
      hot: e.temperature > 80
      spike: e.vibration > 2
      stop: e.status == "stopped" && e.temperature < hot.temperature
    within: 5m
    alert: {summary: "${key} stopped after ${hot.temperature} degrees and a spike of ${spike.vibration}"}
  - name: pressure
    from: telemetry
    by: e.device
    window: {tumbling: 1m}
    when: avg(e.pressure) > 3.98
    alert: {summary: "${key} has ${avg(e.pressure)} bar, up to ${max(e.pressure)}"}
  - name: very-hot
    from: telemetry
    by: e.device
    when: e.temperature > 94.9
    clear: e.temperature < 90.0
    alert: {summary: "${key} has ${e.temperature} degrees"}
`

const residentConfig = `
rules: [rules.yaml]
watch: false
%s
http: {listen: "127.0.0.1:0"}
sources:
  plant: %s
sinks:
  out: {type: file, path: alerts.jsonl}
`

// BenchmarkResident is the memory of the daemon, as the operating system counts
// it, with 10,000 devices and as many events as it takes. Mapped files count, as
// far as they are in memory: the program itself, and the database of snapshots.
//
//	go test ./bench -run '^$' -bench Resident -load 60s
func BenchmarkResident(b *testing.B) {
	const on = "state: {dir: state, min_free: 32MB}"
	for _, source := range []string{"http", "mqtt"} {
		b.Run("source="+source+"/snapshots=off", func(b *testing.B) { resident(b, situation{source: source}) })
		b.Run("source="+source+"/snapshots=on", func(b *testing.B) { resident(b, situation{source: source, state: on}) })
	}
	// What reloads and a start after kill -9 add.
	b.Run("reload", func(b *testing.B) { resident(b, situation{source: "http", state: on, then: (*instance).reload}) })
	b.Run("restart", func(b *testing.B) { resident(b, situation{source: "http", state: on, then: (*instance).restart}) })
	// Every event is of a device that nobody has heard of before.
	b.Run("limit=128MB/snapshots=on", func(b *testing.B) {
		resident(b, situation{source: "http", state: "state: {dir: state, min_free: 32MB, memory: 128MB}", endless: true, then: (*instance).evicted})
	})
	b.Run("limit=128MB/snapshots=off", func(b *testing.B) {
		resident(b, situation{source: "http", state: "state: {memory: 128MB}", endless: true, then: (*instance).evicted})
	})
}

// situation is what a daemon is in.
type situation struct {
	source  string // http or mqtt
	state   string // a line of its configuration
	endless bool   // there are ever more devices
	then    func(*instance)
}

// resident reports the peaks of a daemon under load, after which it may do
// something.
func resident(b *testing.B, is situation) {
	bin, from := *program, ""
	if bin == "" {
		bin = buildProgram(b)
	}
	var broker string
	if from = `{type: http, listen: "127.0.0.1:0"}`; is.source == "mqtt" {
		broker = mosquitto.Start(b, "max_queued_messages 0", "max_inflight_messages 1000")
		from = fmt.Sprintf(`{type: mqtt, url: "mqtt://%s"}`, broker)
	}
	var most peaks
	events, took, used := uint64(0), time.Duration(0), time.Duration(0)
	for first := true; b.Loop(); first = false {
		if !first { // it takes long, and once tells it
			continue
		}
		p := &instance{b: b, bin: bin, dir: b.TempDir()}
		topic := map[string]string{"http": "t", "mqtt": "plant/{line}"}[is.source]
		p.write("rules.yaml", fmt.Sprintf(residentRules, topic))
		p.write("cepd.yaml", fmt.Sprintf(residentConfig, is.state, from))
		p.start()
		ctx, cancel := context.WithTimeout(context.Background(), *loadFor)
		start := time.Now()
		if is.source == "mqtt" {
			p.await("connected")
			events += publish(ctx, b, broker)
		} else {
			p.events = newStream(is.endless)
			events += post(ctx, b, p.events, p.source+"/t")
		}
		took += time.Since(start)
		cancel()
		if is.then != nil {
			is.then(p)
		}
		p.stop()
		most, used = p.peaks, p.used
	}
	b.ReportMetric(most.all/1e6, "peak-MB")
	b.ReportMetric(most.own/1e6, "peak-own-MB")
	b.ReportMetric(most.files/1e6, "peak-files-MB")
	b.ReportMetric(float64(events)/took.Seconds(), "events/s")
	b.ReportMetric(float64(used.Nanoseconds())/float64(events), "cpu-ns/event")
}

// buildProgram compiles cepd as a release is.
func buildProgram(b *testing.B) string {
	b.Helper()
	bin := filepath.Join(b.TempDir(), "cepd")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "../cmd/cepd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return bin
}

// peaks are the most that a process had in memory, in bytes: all of it; what is
// its own alone, which is mostly the heap; and pages of files.
type peaks struct{ all, own, files float64 }

func (p peaks) with(q peaks) peaks {
	return peaks{max(p.all, q.all), max(p.own, q.own), max(p.files, q.files)}
}

// statusLine is one of /proc/PID/status that is about memory.
var statusLine = regexp.MustCompile(`(?m)^(VmHWM|RssAnon|RssFile):\s+(\d+) kB$`)

func peaksOf(pid int) (p peaks) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return p // it has ended
	}
	to := map[string]*float64{"VmHWM": &p.all, "RssAnon": &p.own, "RssFile": &p.files}
	for _, m := range statusLine.FindAllSubmatch(text, -1) {
		n, _ := strconv.ParseFloat(string(m[2]), 64)
		*to[string(m[1])] = n * 1024
	}
	return p
}

// instance is a daemon in a folder, start after start.
type instance struct {
	b        *testing.B
	bin, dir string
	cmd      *exec.Cmd
	lines    chan logLine
	ended    chan struct{}
	watched  sync.WaitGroup
	said     []byte
	peaks    peaks
	used     time.Duration // of processors
	source   string        // where events are posted to
	events   *stream       // that are posted
	server   string        // metrics, reload
}

type logLine struct{ Msg, URL, HTTP string }

func (p *instance) write(name, text string) {
	p.b.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.b.Fatal(err)
	}
}

func (p *instance) start() {
	p.b.Helper()
	p.cmd = exec.Command(p.bin, "run", "--log-format", "json")
	p.cmd.Dir = p.dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := p.cmd.StderrPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.b.Fatal(err)
	}
	p.lines, p.ended = make(chan logLine, 1000), make(chan struct{})
	go func(lines chan logLine) {
		defer close(lines)
		for in := bufio.NewScanner(stderr); in.Scan(); {
			p.said = append(append(p.said, in.Bytes()...), '\n')
			var l logLine
			if json.Unmarshal(in.Bytes(), &l) == nil {
				lines <- l
			}
		}
	}(p.lines)
	p.watched.Add(1)
	go func(pid int, ended chan struct{}) {
		defer p.watched.Done()
		for {
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
				p.peaks = p.peaks.with(peaksOf(pid))
			}
		}
	}(p.cmd.Process.Pid, p.ended)
	p.await("cepd is running")
}

// await waits until the daemon has logged something, and notes its addresses.
func (p *instance) await(msg string) {
	p.b.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case l, ok := <-p.lines:
			switch {
			case !ok:
				p.b.Fatalf("the program ended before it said %q:\n%s", msg, p.said)
			case l.Msg == "taking events by HTTP":
				p.source = l.URL
			case l.Msg == "cepd is running":
				p.server = "http://" + l.HTTP
			}
			if l.Msg == msg {
				return
			}
		case <-timeout:
			p.b.Fatalf("the program does not say %q", msg)
		}
	}
}

func (p *instance) end(s os.Signal) {
	_ = p.cmd.Process.Signal(s)
	for range p.lines { // to its end
	}
	close(p.ended)
	p.watched.Wait()
	_ = p.cmd.Wait()
	p.used += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

func (p *instance) stop() { p.end(syscall.SIGTERM) }

// evicted reports how many states of keys have gone for want of memory.
func (p *instance) evicted() {
	answer, err := http.Get(p.server + "/metrics")
	if err != nil {
		p.b.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.b.Fatal(err)
	}
	total := 0.0
	for _, m := range evictedLine.FindAllSubmatch(text, -1) {
		n, _ := strconv.ParseFloat(string(m[1]), 64)
		total += n
	}
	p.b.ReportMetric(total, "evicted")
}

var evictedLine = regexp.MustCompile(`(?m)^cepd_rule_evictions_total\{reason="memory",.*\} (\S+)$`)

// reload brings other rules into force, each for a while of the same load: events
// that came from their beginning again would all be late.
func (p *instance) reload() {
	rules := fmt.Sprintf(residentRules, "t")
	for i := range 3 {
		p.write("rules.yaml", strings.Replace(rules, "94.9", fmt.Sprintf("94.%d", i), 1))
		answer, err := http.Post(p.server+"/-/reload", "", nil)
		if err != nil {
			p.b.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			p.b.Fatal("the reload was answered ", answer.Status)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		post(ctx, p.b, p.events, p.source+"/t")
		cancel()
	}
}

// restart kills the daemon and starts it again: the peak is that of the start.
func (p *instance) restart() {
	p.end(syscall.SIGKILL)
	p.peaks = peaks{}
	p.start()
}

// stream gives messages of 10,000 devices without end. It may be used by
// several goroutines.
type stream struct {
	endless  bool // every message is of another device
	readings []Reading
	span     event.Duration
	next     atomic.Uint64
}

func newStream(endless bool) *stream {
	s := &stream{endless: endless, readings: Telemetry(100_000, 10_000, 1)}
	s.span = s.readings[len(s.readings)-1].Time.Sub(s.readings[0].Time) + 1_000_000
	return s
}

// appendNext appends the next event as JSON.
func (s *stream) appendNext(b []byte) []byte {
	n := s.next.Add(1) - 1
	r := s.readings[n%uint64(len(s.readings))]
	r.Time = r.Time.Add(event.Duration(n/uint64(len(s.readings))) * s.span)
	if s.endless {
		r.Device = "pump-" + pad(int(n), 9)
	}
	return r.AppendJSON(b)
}

// postEvents is how many events a request has.
const postEvents = 500

// post posts events until ctx is done, from a few clients, each of which waits
// for the answer before it goes on, and as long as it is asked to.
func post(ctx context.Context, b *testing.B, s *stream, url string) uint64 {
	var clients sync.WaitGroup
	var accepted atomic.Uint64
	for range 4 {
		clients.Go(func() {
			var body []byte
			for ctx.Err() == nil {
				body = body[:0]
				for range postEvents {
					body = append(s.appendNext(body), '\n')
				}
				for again := true; again; {
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
					if err != nil {
						b.Error(err)
						return
					}
					req.Header.Set("Content-Type", "application/x-ndjson")
					answer, err := http.DefaultClient.Do(req)
					if err != nil {
						if ctx.Err() == nil {
							b.Error(err)
						}
						return
					}
					_, _ = io.Copy(io.Discard, answer.Body)
					_ = answer.Body.Close()
					if again = answer.StatusCode == http.StatusTooManyRequests; again {
						select {
						case <-time.After(100 * time.Millisecond):
						case <-ctx.Done():
						}
					} else if answer.StatusCode != http.StatusOK {
						b.Error("events were answered ", answer.Status)
						return
					}
				}
				accepted.Add(postEvents)
			}
		})
	}
	clients.Wait()
	return accepted.Load()
}

// publishWindow is how many messages a publisher sends before the first is
// acknowledged.
const publishWindow = 4000

// publish publishes events with QoS 1 until ctx is done, and returns how many
// the broker has taken. It speaks just enough MQTT for that, since a client that
// does more takes the time of what is measured.
func publish(ctx context.Context, b *testing.B, address string) uint64 {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	if _, err := conn.Write([]byte{0x10, 15, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 3, 'p', 'u', 'b'}); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(in, make([]byte, 4)); err != nil {
		b.Fatal(err)
	}
	room := make(chan struct{}, publishWindow)
	var taken atomic.Uint64
	go func() { // ends with the connection
		ack := make([]byte, 4)
		for {
			if _, err := io.ReadFull(in, ack); err != nil {
				if !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
					b.Error(err)
				}
				return
			}
			taken.Add(1)
			<-room
		}
	}()
	out, s, id := bufio.NewWriterSize(conn, 64<<10), newStream(false), uint16(0)
	var payload, packet []byte
	for ctx.Err() == nil {
		if id++; id == 0 {
			id = 1
		}
		payload = s.appendNext(payload[:0])
		topic := "plant/" + strconv.Itoa(int(id)%100)
		packet = binary.AppendUvarint(append(packet[:0], 0x32), uint64(2+len(topic)+2+len(payload))) // MQTT's lengths are varints
		packet = append(binary.BigEndian.AppendUint16(packet, uint16(len(topic))), topic...)
		packet = append(binary.BigEndian.AppendUint16(packet, id), payload...)
		select {
		case room <- struct{}{}:
		default:
			if err := out.Flush(); err != nil {
				b.Fatal(err)
			}
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return taken.Load()
			}
		}
		if _, err := out.Write(packet); err != nil {
			b.Fatal(err)
		}
	}
	return taken.Load()
}
