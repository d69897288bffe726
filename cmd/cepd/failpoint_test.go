package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cepd/cepd/internal/failpoint"
)

// failpoints are all that there are, each at a time at which the story of
// TestFailpoints comes there. Those of much need so many bytes that the log is
// continued in another file, and are set for the second program too.
var failpoints = []struct {
	name string
	much bool
}{
	// The first start, on an empty directory.
	{"state.before-format", false}, {"state.after-format", false},
	{"input.before-rename", false}, {"input.after-rename", false},
	{"outbox.before-rename", false}, {"outbox.after-rename", false},
	{"reload.before-bundle", false}, {"reload.before-record", false}, {"reload.after-record", false},
	// A group of records: before and after it is written and synced, before it is
	// acknowledged, after it has matched, and when a sink has got what came of it.
	{"input.before-write@5", false}, {"input.after-write@5", false}, {"input.after-sync@5", false},
	{"daemon.before-ack@5", false}, {"daemon.before-outbox@5", false},
	{"outbox.before-write@2", false}, {"outbox.after-write@2", false}, {"outbox.after-sync@2", false},
	{"sink.after-send@2", false},
	// A reload.
	{"reload.before-bundle@2", false}, {"reload.before-record@2", false}, {"reload.after-record@2", false},
	// A snapshot.
	{"snapshot.before-begin", false}, {"snapshot.before-rows", false}, {"snapshot.after-rows", false},
	{"snapshot.before-marker", false}, {"snapshot.before-cut", false}, {"snapshot.after-cut", false},
	// Another file of the log, and the end of one.
	{"input.before-rename@2", true}, {"input.after-rename@2", true},
	{"input.before-remove", true}, {"input.after-remove", true},
}

const failpointConfig = `
rules: [rules.yaml]
watch: false
state: {dir: state, snapshot: 1s, min_free: 32MB, sync: %s}
http: {listen: 127.0.0.1:0}
sources:
  plant: {type: http, listen: 127.0.0.1:0}
sinks:
  ops: {type: webhook, url: "%s"}
`

const failpointRules = `
streams:
  telemetry: {source: plant, topic: telemetry, time: e.ts, id: e.n, watermark: {lag: 0s}, fields: {ts: timestamp, n: int, device: string, temp: double}}
rules:
  - name: hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    clear: e.temp < 60
    alert: {summary: "${key}"}
`

// TestFailpoints lets the real program die, or an operation fail, at each
// failpoint, and goes on with what that leaves: whatever was acknowledged takes
// effect, once, and each change reaches the sink under one id.
func TestFailpoints(t *testing.T) {
	bin := build(t)
	for _, point := range failpoints {
		for _, action := range []string{"kill", "fail"} {
			name, times, _ := strings.Cut(point.name, "@")
			setting := name + "=" + action
			if times != "" {
				setting += "@" + times
			}
			for _, sync := range []string{"always", "never"} {
				if sync == "never" && (action == "fail" || !strings.HasPrefix(name, "daemon.") && !strings.HasPrefix(name, "input.") || name == "input.after-sync") {
					continue // it makes a difference to the log, and is to make none to the end of a process
				}
				t.Run(setting+"/"+sync, func(t *testing.T) {
					t.Parallel()
					s := newSurvivor(t, bin, setting, sync)
					if point.much {
						s.more = 1
					}
					s.live(point.much)
					s.check()
					if said := "killed at " + name; action == "kill" && !strings.Contains(s.stderr.String(), said) {
						t.Errorf("nobody came to %s", name)
					}
				})
			}
		}
	}
}

// The manual lists the failpoints that there are, and no others.
func TestFailpointsInManual(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "durability.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed, tried := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z]+\\.(?:before|after)-[a-z]+)`").FindAllStringSubmatch(string(manual), -1) {
		listed[m[1]] = true
	}
	for _, p := range failpoints {
		name, _, _ := strings.Cut(p.name, "@")
		tried[name] = true
	}
	if !maps.Equal(listed, tried) {
		t.Errorf("the manual lists %v, and tried are %v", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(tried)))
	}
}

// survivor is a program that is started again whenever it ends.
type survivor struct {
	t    *testing.T
	bin  string
	dir  string
	env  string // of the next start
	more int    // how many further starts have it too, if it has not killed
	hook *ledger

	cmd    *exec.Cmd
	ended  chan struct{}
	intake string // where it takes events
	admin  string // where it is told to reload
	stderr lockedBuffer
	n      int // of the last event
}

// lockedBuffer is text that one goroutine writes and another reads.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) add(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.WriteString(s + "\n")
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newSurvivor(t *testing.T, bin, setting, sync string) *survivor {
	s := &survivor{t: t, bin: bin, dir: t.TempDir(), env: failpoint.Variable + "=" + setting, hook: newLedger(t)}
	write(t, s.dir, "cepd.yaml", fmt.Sprintf(failpointConfig, sync, s.hook.url))
	write(t, s.dir, "rules.yaml", failpointRules)
	t.Cleanup(func() {
		if s.cmd != nil {
			_ = s.cmd.Process.Kill()
			<-s.ended
		}
		if t.Failed() {
			t.Logf("cepd said:\n%s", &s.stderr)
		}
	})
	return s
}

// live is the story: devices become hot and cool down again, through a reload and
// two ends in good order.
func (s *survivor) live(much bool) {
	s.up()
	for i := range 4 {
		s.post(i, 90, "")
	}
	s.rulesOfTwo()
	s.reload()
	if much {
		for range 90 {
			s.post(9, 70, strings.Repeat("x", 200_000))
		}
	}
	for i := range 4 {
		s.post(i, 50, "")
	}
	for i := range 3 {
		s.stop()
		s.post(4+i, 90, "")
		s.post(4+i, 50, "")
	}
	s.post(8, 20, "") // all before it is decided
}

// rulesOfTwo adds a second rule to the files.
func (s *survivor) rulesOfTwo() {
	s.t.Helper()
	_, rule, _ := strings.Cut(failpointRules, "rules:\n")
	write(s.t, s.dir, "rules.yaml", failpointRules+strings.Replace(rule, "name: hot", "name: hotter", 1))
}

// up sees to it that the program runs.
func (s *survivor) up() {
	s.t.Helper()
	for try := 0; s.cmd == nil || s.over(); try++ {
		if try == 5 {
			s.t.Fatal("the program does not start any more")
		}
		s.start()
	}
}

func (s *survivor) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// start starts the program, and returns when it runs or has ended.
func (s *survivor) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.bin, "run")
	s.cmd.Dir, s.cmd.Env = s.dir, append(os.Environ(), s.env)
	if s.more--; s.more < 0 {
		s.env = failpoint.Variable + "="
	}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan struct{})
	running := make(chan struct{})
	go s.follow(s.cmd, stderr, running, s.ended)
	select {
	case <-running:
	case <-s.ended:
	case <-time.After(wait):
		s.t.Fatal("the program neither runs nor ends")
	}
}

// follow reads what the program logs, until it ends.
func (s *survivor) follow(cmd *exec.Cmd, stderr io.Reader, running, ended chan struct{}) {
	defer close(ended)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.stderr.add(lines.Text())
		var line struct{ Msg, HTTP, URL string }
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue
		}
		switch line.Msg {
		case "taking events by HTTP":
			s.intake = line.URL
		case "cepd is running":
			s.admin = "http://" + line.HTTP
			close(running)
		}
	}
	_ = cmd.Wait() // it may have been killed
}

// until does something again and again, until the program has done it.
func (s *survivor) until(what string, do func() (status int, err error)) {
	s.t.Helper()
	for end := time.Now().Add(wait); ; {
		s.up()
		status, err := do()
		if err == nil && status == http.StatusOK {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: status %d, %v", what, status, err)
		}
	}
}

// post posts an event until it is acknowledged.
func (s *survivor) post(device int, temp float64, pad string) {
	s.t.Helper()
	s.n++
	at := time.Date(2026, 3, 1, 12, 0, s.n, 0, time.UTC)
	body := fmt.Sprintf(`{"n":%d,"ts":%q,"device":"p%d","temp":%g,"pad":%q}`, s.n, at.Format(time.RFC3339), device, temp, pad)
	s.until("posting", func() (int, error) { return s.request(s.intake+"/telemetry", body) })
}

func (s *survivor) reload() {
	s.t.Helper()
	s.until("reloading", func() (int, error) { return s.request(s.admin+"/-/reload", "") })
}

func (s *survivor) request(url, body string) (int, error) {
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// stop ends the program in good order, or as a failpoint wants it.
func (s *survivor) stop() {
	s.t.Helper()
	s.up()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have just ended
	select {
	case <-s.ended:
	case <-time.After(wait):
		s.t.Fatal("the program does not end")
	}
	s.up()
}

// check waits for all that must come of the story, and makes sure that nothing
// came twice.
func (s *survivor) check() {
	s.t.Helper()
	var want []string
	for i := range 7 {
		for _, status := range []string{"firing", "resolved"} {
			want = append(want, fmt.Sprintf("hot p%d %s", i, status))
			if i > 3 { // those before were hot when the second rule came, and cooled down then
				want = append(want, fmt.Sprintf("hotter p%d %s", i, status))
			}
		}
	}
	slices.Sort(want)
	late := time.After(wait)
	for {
		got := s.hook.all()
		if slices.Equal(got, want) {
			return
		}
		s.up()
		select {
		case <-s.hook.changed:
		case <-s.ended:
		case <-late:
			s.t.Fatalf("got  %q\nwant %q", got, want)
		}
	}
}

// ledger is a webhook that notes what it gets, each id once.
type ledger struct {
	url     string
	changed chan struct{} // has room for one
	mu      sync.Mutex
	ids     map[string]string
}

func newLedger(t *testing.T) *ledger {
	l := &ledger{changed: make(chan struct{}, 1), ids: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			Alerts []struct {
				Status              string
				Labels, Annotations map[string]string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Alerts) != 1 {
			t.Errorf("no message: %v", err)
			return
		}
		a := body.Alerts[0]
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ids[r.Header.Get("webhook-id")] = a.Labels["alertname"] + " " + a.Annotations["summary"] + " " + a.Status
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// all returns what came under each id, sorted.
func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, what := range l.ids {
		out = append(out, what)
	}
	slices.Sort(out)
	return out
}
