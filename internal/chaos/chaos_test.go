package chaos

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/cepd/cepd/internal/mosquitto"
)

var (
	rounds = flag.Int("rounds", 3, "how often the daemon is killed")
	rate   = flag.Int("rate", 5000, "events per second, of QoS 1")
	seed   = flag.Uint64("seed", 0, "of the moments at which it is killed; 0: any")
)

// rules have a condition, a timer, a pattern and what it clears by.
const rules = `
streams:
  telemetry:
    source: plant
    topic: plant/{device}
    time: e.ts
    id: e.n
    watermark: {lag: 0s}
    fields: {n: string, ts: timestamp, temp: double}
rules:
  - name: hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    alert: {summary: "${key} is at ${e.temp}"}
  - name: hot-for-long
    from: telemetry
    by: e.device
    when: e.temp > 80
    for: 20ms
    alert: {summary: "${key} is hot"}
  - name: hot-then-cold
    from: telemetry
    by: e.device
    pattern: warm{3} -> cold
    define: {warm: e.temp > 80, cold: e.temp < 70}
    within: 1s
    clear_after: 30ms
    alert: {summary: "${key} was hot"}
`

const config = `
rules: [rules.yaml]
watch: false
state: {dir: state, snapshot: 1s, min_free: 32MB}
http: {listen: off}
sources:
  plant: {type: mqtt, url: "mqtt://%s"}
sinks:
  ops: {type: webhook, url: "%s"}
`

// devices is how many devices there are. Each is hot for 5 of 200 readings.
const devices = 50

// event returns the n-th event.
func event(n int) (device, payload string) {
	d := n % devices
	temp := 60
	if phase := (n/devices + d*7) % 200; phase < 5 {
		temp = 90
	}
	return fmt.Sprint("p", d), reading(n, at(n), fmt.Sprint("p", d), temp)
}

// at returns the time of the n-th event.
func at(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * 200 * time.Microsecond)
}

func reading(n int, at time.Time, device string, temp int) string {
	return fmt.Sprintf(`{"n":"%d","ts":"%s","device":"%s","temp":%d}`, n, at.Format(time.RFC3339Nano), device, temp)
}

// TestKill kills the daemon again and again. Nothing that the broker took is
// lost, every alert is what it would have been in peace, and none has two ids.
func TestKill(t *testing.T) {
	broker := mosquitto.Start(t, "persistence false", "max_queued_messages 0", "max_inflight_messages 500")
	dir := t.TempDir()
	got := newReceiver(t)
	write(t, filepath.Join(dir, "rules.yaml"), rules)
	write(t, filepath.Join(dir, "cepd.yaml"), fmt.Sprintf(config, broker, got.url))
	cepd := &program{t: t, bin: build(t), dir: dir}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))

	cepd.start()
	cepd.await("connected") // now the broker keeps what comes
	p := publish(t, broker)
	start := time.Now()
	for range *rounds {
		time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second))))
		cepd.kill()
		cepd.start()
	}
	events := p.finish()
	took := time.Since(start)
	got.await(t, "end", cepd)
	cepd.stop()
	t.Logf("%d events in %v, %d kills, %d records took effect again, %d deliveries of %d changes", len(events), took.Round(time.Second), *rounds, cepd.replayed, got.deliveries, len(got.ids))
	if want := got.compare(t, cepd.reference(events)); want < *rounds {
		t.Errorf("only %d changes were to be told", want)
	}
}

// publisher publishes events at a rate, from a goroutine.
type publisher struct {
	t      *testing.T
	client paho.Client
	events []string
	tokens []paho.Token // of those that the broker has not answered yet
	quit   chan struct{}
	done   chan []string
}

// connect returns a publisher that has published nothing yet.
func connect(t *testing.T, broker string) *publisher {
	t.Helper()
	p := &publisher{t: t, quit: make(chan struct{}), done: make(chan []string, 1)}
	p.client = paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + broker).SetClientID("chaos"))
	if token := p.client.Connect(); !token.WaitTimeout(time.Minute) || token.Error() != nil {
		t.Fatalf("connecting: %v", token.Error())
	}
	t.Cleanup(func() { p.client.Disconnect(100) })
	return p
}

func publish(t *testing.T, broker string) *publisher {
	t.Helper()
	p := connect(t, broker)
	go p.run()
	return p
}

func (p *publisher) run() {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	most := *rate * (2**rounds + 2) // where starts take so long that more would never be dealt with
	start := time.Now()
	for running := true; running; {
		select {
		case <-tick.C:
			for n := min(int(time.Since(start).Seconds()*float64(*rate)), most); len(p.events) < n; {
				p.send(event(len(p.events)))
			}
		case <-p.quit:
			running = false
		}
	}
	p.end()
	p.done <- p.events
}

func (p *publisher) send(device, payload string) {
	p.events = append(p.events, payload)
	p.tokens = append(p.tokens, p.client.Publish("plant/"+device, 1, false, payload))
}

// end publishes what ends all alerts, and an alert that says so.
func (p *publisher) end() {
	last := at(len(p.events)).Add(10 * time.Second)
	for d := range devices {
		name := fmt.Sprint("p", d)
		p.send(name, reading(len(p.events), last, name, 60))
	}
	p.send("end", reading(len(p.events), last.Add(time.Second), "end", 90))
	p.settle()
}

// settle waits until the broker has taken everything.
func (p *publisher) settle() {
	for _, token := range p.tokens {
		if token.Wait(); token.Error() != nil {
			p.t.Errorf("publishing: %v", token.Error())
			break
		}
	}
	p.tokens = p.tokens[:0]
}

// finish ends the publisher and returns what the broker has taken.
func (p *publisher) finish() []string {
	close(p.quit)
	return <-p.done
}

// receiver is a webhook.
type receiver struct {
	url string

	mu         sync.Mutex
	deliveries int
	ids        map[string][]string // by change
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{ids: map[string][]string{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, _ := io.ReadAll(req.Body)
		var body struct {
			Alerts []struct {
				Status, Fingerprint, StartsAt, EndsAt string
				Labels                                map[string]string
			}
		}
		if err := json.Unmarshal(raw, &body); err != nil || len(body.Alerts) != 1 {
			return // cut short: the sender was killed
		}
		a := body.Alerts[0]
		if a.Status == "firing" {
			a.EndsAt = ""
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.deliveries++
		change := describe(a.Labels, a.Status, a.StartsAt, a.EndsAt)
		if id := req.Header.Get("webhook-id"); !slices.Contains(r.ids[change], id) {
			r.ids[change] = append(r.ids[change], id)
		}
	}))
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

// compare holds what was told against what was to be told, and returns how much
// that is.
func (r *receiver) compare(t *testing.T, want map[string]bool) int {
	t.Helper()
	missing, extra := 0, 0
	for change := range want {
		if len(r.ids[change]) == 0 {
			if missing++; missing < 10 {
				t.Errorf("never told: %s", change)
			}
		}
	}
	for change, ids := range r.ids {
		if !want[change] {
			if extra++; extra < 10 {
				t.Errorf("told, and not to be: %s", change)
			}
		}
		if len(ids) > 1 {
			t.Errorf("told under %d ids: %s", len(ids), change)
		}
	}
	if missing+extra > 0 {
		t.Errorf("%d changes were to be told, %d of them were not, and %d others were", len(want), missing, extra)
	}
	return len(want)
}

// describe says what a change is, whatever its id.
func describe(labels map[string]string, status, start, end string) string {
	return labels["alertname"] + " " + labels["device"] + " " + status + " " + start + " " + end
}

// await waits until a device has raised its alert.
func (r *receiver) await(t *testing.T, device string, p *program) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		r.mu.Lock()
		for change := range r.ids {
			if strings.HasPrefix(change, "hot "+device+" ") {
				r.mu.Unlock()
				return
			}
		}
		r.mu.Unlock()
	}
	p.tail()
	t.Fatalf("the alert of %s never came", device)
}

// program is cepd, run after run.
type program struct {
	t        *testing.T
	bin, dir string
	cmd      *exec.Cmd
	lines    chan string
	said     bytes.Buffer
	ended    chan struct{}
	replayed int
	address  string // where it serves HTTP, once it says that it runs
}

// build compiles the program and returns its path.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "cepd")
	cmd := exec.Command("go", "build", "-o", bin, "../../cmd/cepd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bin
}

func (p *program) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.bin, "run")
	p.cmd.Dir = p.dir
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	p.lines, p.ended = make(chan string, 1000), make(chan struct{})
	p.said.Reset()
	go func(lines chan string, ended chan struct{}) {
		defer close(ended)
		defer close(lines)
		for in := bufio.NewScanner(stderr); in.Scan(); {
			p.said.WriteString(in.Text() + "\n")
			var line struct {
				Msg, HTTP string
				Records   int
			}
			if json.Unmarshal(in.Bytes(), &line) != nil {
				continue
			}
			p.replayed += line.Records
			if line.HTTP != "" {
				p.address = line.HTTP
			}
			select {
			case lines <- line.Msg:
			default:
			}
		}
	}(p.lines, p.ended)
}

// await waits until the program has logged something.
func (p *program) await(msg string) {
	p.t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.tail()
				p.t.Fatalf("the program ended before it said %q", msg)
			}
			if line == msg {
				return
			}
		case <-timeout:
			p.t.Fatalf("the program does not say %q", msg)
		}
	}
}

// kill ends the program as a loss of the process does. One that has ended by
// itself is a failure.
func (p *program) kill() {
	p.t.Helper()
	_ = p.cmd.Process.Kill()
	<-p.ended
	var exit *exec.ExitError
	if err := p.cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		p.tail()
		p.t.Fatalf("the program had ended before it was killed: %v", err)
	}
}

// stop ends the program as an operator does.
func (p *program) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
	if err := p.cmd.Wait(); err != nil {
		p.tail()
		p.t.Errorf("the program ended with %v", err)
	}
}

// tail shows what the program has said.
func (p *program) tail() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	p.t.Logf("cepd said:\n%s", p.said.String())
}

// reference returns what the events lead to in peace.
func (p *program) reference(events []string) map[string]bool {
	p.t.Helper()
	file := filepath.Join(p.dir, "events.jsonl")
	write(p.t, file, strings.Join(events, "\n")+"\n")
	out, err := exec.Command(p.bin, "replay", "-r", filepath.Join(p.dir, "rules.yaml"), "--until", "last", "-o", "json", "-q", file).Output()
	if err != nil {
		p.t.Fatal(err)
	}
	want := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		var a struct {
			Status   string
			StartsAt string `json:"starts_at"`
			EndsAt   string `json:"ends_at"`
			Labels   map[string]string
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			p.t.Fatalf("%v: %s", err, line)
		}
		want[describe(a.Labels, a.Status, a.StartsAt, a.EndsAt)] = true
	}
	return want
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
