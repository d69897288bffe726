package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cepd/cepd/internal/mosquitto"
)

const e2eStreams = `
streams:
  telemetry:
    source: plant
    topic: plant/{site}/{device}
    time: e.ts
    watermark: {lag: 0s}
    fields: {ts: timestamp, temp: double, status: string}
rules:
`

const tooHot = `
  - name: too-hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    clear: e.temp < 75
    alert: {severity: critical, labels: {site: "${e.site}"}, summary: "${key} is at ${e.temp}%s"}
`

const stopped = `
  - name: stopped-while-hot
    from: telemetry
    by: e.device
    pattern: hot -> stop
    define: {hot: e.temp > 90, stop: e.status == "stopped"}
    within: 10m
    alert: {severity: warning, summary: "${key} stopped at ${hot.temp}"}
`

const going = `
  - name: going
    from: telemetry
    by: e.device
    when: e.temp > 90
    clear: e.temp < 0
    alert: {summary: this rule will be removed}
`

const meters = `
streams:
  meters:
    source: plant
    topic: meters/{meter}
    time: e.ts
    watermark: {lag: 0s}
    fields: {ts: timestamp, kw: double}
rules:
  - name: much-power
    from: meters
    by: e.meter
    when: e.kw > 10
    alert: {summary: "${key} takes ${e.kw} kW"}
`

const e2eConfig = `
rules: [rules/*.yaml]
watch: false
state: {dir: state}
http: {listen: 127.0.0.1:0}
sources:
  plant: {type: mqtt, url: "mqtt://${BROKER}"}
sinks:
  ops: {type: webhook, url: "%s"}
  plant: {type: mqtt, source: plant}
`

// TestEndToEnd runs the program as a user does: against a real broker, with a
// webhook and an MQTT subscriber that wait for alerts.
func TestEndToEnd(t *testing.T) {
	broker := mosquitto.Start(t)
	hook := newHook(t)
	dir := t.TempDir()
	write(t, dir, "cepd.yaml", fmt.Sprintf(e2eConfig, hook.url))
	write(t, dir, "rules/plant.yaml", e2eStreams+fmt.Sprintf(tooHot, "")+stopped+going)

	alerts := dial(t, broker, "alerts").subscribe("cepd/alerts/#")
	devices := dial(t, broker, "devices")
	cepd := start(t, dir, "BROKER="+broker)

	// A raise, once, with its evidence, at both sinks; retained at the broker.
	devices.publish("plant/oslo/p1", `{"ts":"2026-03-01T12:00:00Z","temp":70}`)
	devices.publish("plant/oslo/p1", `{"ts":"2026-03-01T12:00:10Z","temp":85}`)
	raise := receive(t, "the raise at the webhook", hook.got)
	raise.check(t, "too-hot firing", "p1 is at 85")
	if !strings.Contains(raise.raw, `"temp":85`) || !strings.Contains(raise.raw, "2026-03-01T12:00:10Z") {
		t.Errorf("the webhook has no evidence: %s", raise.raw)
	}
	m := receive(t, "the raise at the broker", alerts)
	if m.topic != "cepd/alerts/too-hot/p1" || !strings.Contains(m.payload, `"temp":85`) {
		t.Errorf("got %+v", m)
	}
	late := dial(t, broker, "late").subscribe("cepd/alerts/#")
	if m := receive(t, "the retained alert", late); !m.retained || m.topic != "cepd/alerts/too-hot/p1" {
		t.Errorf("got %+v", m)
	}

	// Further readings change nothing; then the clear, once.
	devices.publish("plant/oslo/p1", `{"ts":"2026-03-01T12:00:20Z","temp":86}`)
	devices.publish("plant/oslo/p1", `{"ts":"2026-03-01T12:00:30Z","temp":70}`)
	clear := receive(t, "the clear at the webhook", hook.got)
	clear.check(t, "too-hot resolved", "p1 is at 85")
	if m := receive(t, "the clear at the broker", alerts); m.topic != "cepd/alerts/too-hot/p1" || m.payload != "" {
		t.Errorf("got %+v, want an empty payload", m)
	}
	if raise.id == clear.id || raise.id == "" {
		t.Errorf("ids of deliveries: %q and %q", raise.id, clear.id)
	}

	// Two rules fire; one of them is removed, another one's text changes.
	devices.publish("plant/oslo/p2", `{"ts":"2026-03-01T12:01:00Z","temp":95}`)
	checkAll(t, hook, "going firing", "too-hot firing")
	write(t, dir, "rules/plant.yaml", e2eStreams+fmt.Sprintf(tooHot, " degrees")+stopped)
	if got := cepd.post(t, "/-/reload"); !strings.Contains(got, "going") {
		t.Errorf("the answer to a reload does not name the removed rule: %s", got)
	}
	receive(t, "the clear of a removed rule", hook.got).check(t, "going resolved", "this rule will be removed")

	// What an unchanged rule has seen before the reload counts after it.
	devices.publish("plant/oslo/p2", `{"ts":"2026-03-01T12:02:00Z","status":"stopped"}`)
	receive(t, "the match across the reload", hook.got).check(t, "stopped-while-hot firing", "p2 stopped at 95")
	devices.publish("plant/oslo/p2", `{"ts":"2026-03-01T12:03:00Z","temp":60}`)
	receive(t, "the clear after the reload", hook.got).check(t, "too-hot resolved", "p2 is at 95")

	// A mistake is answered with its place, and changes nothing.
	write(t, dir, "rules/plant.yaml", e2eStreams+strings.Replace(stopped, "hot -> stop", "hot -> halt", 1))
	if got := cepd.post(t, "/-/reload"); !strings.Contains(got, "plant.yaml:") || !strings.Contains(got, "halt") {
		t.Errorf("the answer to a reload with a mistake: %s", got)
	}
	devices.publish("plant/oslo/p3", `{"ts":"2026-03-01T12:04:00Z","temp":85}`)
	receive(t, "a raise of the rules that stayed", hook.got).check(t, "too-hot firing", "p3 is at 85 degrees")

	// A new stream brings a new topic: the source subscribes to it as well.
	write(t, dir, "rules/plant.yaml", e2eStreams+fmt.Sprintf(tooHot, " degrees")+stopped)
	write(t, dir, "rules/meters.yaml", meters)
	if got := cepd.post(t, "/-/reload"); !strings.HasPrefix(got, "Reloaded: 3 rules, 1 added, 2 kept with state; added: much-power.") {
		t.Errorf("the answer to a reload: %s", got)
	}
	cepd.waitReady(t)
	devices.publish("meters/m1", `{"ts":"2026-03-01T12:05:00Z","kw":12}`)
	receive(t, "a raise of the new stream", hook.got).check(t, "much-power firing", "m1 takes 12 kW")

	// A signal reloads as well.
	if err := os.Remove(filepath.Join(dir, "rules/meters.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := cepd.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	receive(t, "the clear of a rule that a signal removed", hook.got).check(t, "much-power resolved", "m1 takes 12 kW")

	metrics := cepd.get(t, "/metrics")
	for _, want := range []string{
		`cepd_events_total{stream="telemetry"} 8`,
		`cepd_alerts_raised_total{rule="too-hot"} 3`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("/metrics has no %s", want)
		}
	}
	if t.Failed() {
		t.Log(grep(metrics, "^cepd_"))
	}

	cepd.stop(t, syscall.SIGTERM)
	select {
	case n := <-hook.got:
		t.Errorf("one notification too many: %s", n.raw)
	default:
	}
}

// notification is what the webhook was told.
type notification struct {
	id, what, summary string
	raw               string
}

func (n notification) check(t *testing.T, what, summary string) {
	t.Helper()
	if n.what != what || n.summary != summary {
		t.Fatalf("the webhook got %q %q, want %q %q\n%s", n.what, n.summary, what, summary, n.raw)
	}
}

// checkAll waits for notifications in any order.
func checkAll(t *testing.T, h *hook, want ...string) {
	t.Helper()
	got := map[string]bool{}
	for range want {
		got[receive(t, strings.Join(want, ", "), h.got).what] = true
	}
	for _, w := range want {
		if !got[w] {
			t.Fatalf("the webhook got %v, want %v", got, want)
		}
	}
}

type hook struct {
	url string
	got chan notification
}

// newHook starts a webhook receiver that looks at the delivery id, as receivers
// should: what comes twice is seen once.
func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{got: make(chan notification, 100)}
	var mu sync.Mutex
	seen := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		var body struct {
			Alerts []struct {
				Status              string
				Labels, Annotations map[string]string
			}
		}
		if err := json.Unmarshal(raw, &body); err != nil || len(body.Alerts) != 1 {
			t.Errorf("not an Alertmanager message: %s", raw)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		id := r.Header.Get("webhook-id")
		if seen[id] {
			return
		}
		seen[id] = true
		a := body.Alerts[0]
		h.got <- notification{id, a.Labels["alertname"] + " " + a.Status, a.Annotations["summary"], string(raw)}
	}))
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// process is the program under test.
type process struct {
	cmd    *exec.Cmd
	addr   string
	mu     sync.Mutex
	stderr bytes.Buffer
	read   chan struct{} // closed when stderr is at its end
}

// build compiles the program and returns its path.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "cepd")
	cmd := exec.Command("go", "build", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bin
}

// start runs `cepd run` in a folder and returns when it is connected.
func start(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(build(t), "run"), read: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			p.mu.Lock()
			t.Logf("cepd said:\n%s", p.stderr.String())
			p.mu.Unlock()
		}
	})
	ready := make(chan string, 1)
	go p.follow(stderr, ready)
	p.addr = receive(t, "the daemon's start", ready)
	p.waitReady(t)
	return p
}

// follow reads the log and passes on the address that the daemon serves.
func (p *process) follow(stderr io.Reader, ready chan<- string) {
	defer close(p.read)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.mu.Lock()
		p.stderr.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
		var line struct{ Msg, HTTP string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "cepd is running" {
			ready <- line.HTTP
		}
	}
}

// waitReady waits until the daemon says that it reads its source.
func (p *process) waitReady(t *testing.T) {
	t.Helper()
	p.waitFor(t, "the connection to the broker", `^cepd_source_up\{source="plant"\} 1$`)
}

// waitFor waits until a line of the daemon's metrics matches.
func (p *process) waitFor(t *testing.T, what, line string) {
	t.Helper()
	wanted := regexp.MustCompile("(?m)" + line)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !wanted.MatchString(p.get(t, "/metrics")) {
			if t.Failed() {
				return
			}
		}
	}()
	receive(t, what, done)
}

func (p *process) get(t *testing.T, path string) string {
	resp, err := http.Get("http://" + p.addr + path)
	return answer(t, resp, err)
}

func (p *process) post(t *testing.T, path string) string {
	resp, err := http.Post("http://"+p.addr+path, "", nil)
	return answer(t, resp, err)
}

func answer(t *testing.T, resp *http.Response, err error) string {
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

// stop ends the program with a signal, and wants it to end well.
func (p *process) stop(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	receive(t, "the end of the daemon", p.read)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("cepd ended with %v", err)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func grep(text, pattern string) string {
	return strings.Join(regexp.MustCompile(`(?m)`+pattern+`.*$`).FindAllString(text, -1), "\n")
}
