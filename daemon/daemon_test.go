package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/internal/leak"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
)

func TestMain(m *testing.M) { leak.Main(m) }

// tooHot raises at once, and clears when it is over.
const tooHot = `
streams:
  telemetry: {source: plant, fields: {device: string, temp: double}}
rules:
  - name: too-hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    alert: {summary: "${key} is at ${e.temp}"}
`

// hotForLong needs the clock to raise.
const hotForLong = `
streams:
  telemetry: {source: plant, fields: {device: string, temp: double}}
rules:
  - name: hot-for-long
    from: telemetry
    by: e.device
    when: e.temp > 80
    for: 1m
    alert: {summary: "${key} is hot"}
`

// source is an [ingest.Source] that a test feeds.
type source struct {
	batches chan ingest.Batch
	closed  chan struct{}
	once    sync.Once

	acked chan struct{} // receives one for each ack

	mu   sync.Mutex
	acks []error
}

func newSource() *source {
	return &source{batches: make(chan ingest.Batch, 100), closed: make(chan struct{}), acked: make(chan struct{}, 100)}
}

func (s *source) Read(ctx context.Context) (ingest.Batch, error) {
	select {
	case b, ok := <-s.batches:
		if !ok {
			return b, io.EOF
		}
		return b, nil
	case <-s.closed:
		return ingest.Batch{}, ingest.ErrClosed
	case <-ctx.Done():
		return ingest.Batch{}, ctx.Err()
	}
}

func (s *source) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// feed delivers messages as one batch.
func (s *source) feed(now time.Time, payloads ...string) {
	var b ingest.Batch
	at, _ := event.FromTime(now)
	for _, p := range payloads {
		b.Records = append(b.Records, event.Record{Kind: event.KindMessage, Source: "plant", Arrival: at, Payload: []byte(p)})
	}
	b.Ack = func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.acks = append(s.acks, err)
		s.acked <- struct{}{}
	}
	s.batches <- b
}

func (s *source) acknowledged() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.acks)
}

// output is what a stdout sink has written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// changes returns what was written, a line for each change.
func (o *output) changes(t *testing.T) []string {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for line := range strings.Lines(o.buf.String()) {
		var v struct{ Change, Rule, Key, Summary, Reason string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		s := v.Change + " " + v.Rule + " " + v.Key + ": " + v.Summary
		if v.Change == "cleared" {
			s = v.Change + " " + v.Rule + " " + v.Key + ": " + v.Reason
		}
		out = append(out, s)
	}
	return out
}

// log is a log in memory that counts, and can fail.
type log struct {
	wal.Memory
	mu    sync.Mutex
	kinds map[event.RecordKind]int
	err   error
}

func (l *log) Append(records []event.Record) (event.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return event.Position{}, l.err
	}
	if l.kinds == nil {
		l.kinds = map[event.RecordKind]int{}
	}
	for _, r := range records {
		l.kinds[r.Kind]++
	}
	return l.Memory.Append(records)
}

func (l *log) count(k event.RecordKind) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kinds[k]
}

func (l *log) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// rig is a daemon with a source, a log and a sink that the test looks into.
type rig struct {
	*Daemon
	source *source
	log    *log
	out    *output
	file   string // of the rules
}

func newRig(t *testing.T, rules string) *rig { return newRigWith(t, rules, func(*Options) {}) }

// newRigWith lets the test change options.
func newRigWith(t *testing.T, rules string, change func(*Options)) *rig {
	t.Helper()
	r := &rig{source: newSource(), log: &log{}, out: &output{}, file: filepath.Join(t.TempDir(), "rules.yaml")}
	r.write(t, rules)
	opts := Options{
		Config: &config.Config{
			Rules:   []string{r.file},
			HTTP:    config.HTTP{Listen: "off"},
			Sources: []config.Source{{Name: "plant", Type: "file", File: config.FileSource{Path: "-"}}},
			Sinks:   []config.Sink{{Name: "out", Type: "stdout"}},
		},
		Stdout: r.out, Log: r.log, Shards: 4,
		Sources: map[string]ingest.Source{"plant": r.source},
	}
	change(&opts)
	d, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	r.Daemon = d
	return r
}

func (r *rig) write(t *testing.T, rules string) {
	t.Helper()
	if err := os.WriteFile(r.file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) start(t *testing.T) {
	t.Helper()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// effect waits until a batch was acknowledged and took effect.
func (r *rig) effect(t *testing.T) {
	t.Helper()
	<-r.source.acked
	if err := r.send(t.Context(), command{done: make(chan error, 1)}); err != nil {
		t.Error(err)
	}
}

// look calls a function from the goroutine to which the engine belongs.
func (r *rig) look(t *testing.T, f func()) {
	t.Helper()
	if err := r.send(t.Context(), command{after: func(*engine.Output) { f() }, done: make(chan error, 1)}); err != nil {
		t.Error(err)
	}
}

// firing returns how many alerts of each rule fire.
func (r *rig) firing(t *testing.T) (n map[string]int64) {
	t.Helper()
	r.look(t, func() { n = r.durable.Firing() })
	return n
}

func (r *rig) stop(t *testing.T) {
	t.Helper()
	if err := r.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func reading(device string, temp float64) string {
	return fmt.Sprintf(`{"device":%q,"temp":%v}`, device, temp)
}

// TestLife starts, feeds, reloads and stops a daemon, twice; each leaves no
// goroutine (see TestMain), and stopping twice does no harm.
func TestLife(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, tooHot)
			r.start(t)
			r.source.feed(time.Now(), reading("p1", 85), reading("p2", 60))
			synctest.Wait()
			r.write(t, strings.ReplaceAll(tooHot, "is at", "runs at"))
			report, err := r.Reload(t.Context())
			if err != nil || report.String() != "1 rule, 1 kept with state" {
				t.Errorf("reload: %v, %v", report, err)
			}
			r.source.feed(time.Now(), reading("p1", 60), reading("p2", 90))
			synctest.Wait()
			want := []string{"raised too-hot p1: p1 is at 85", "cleared too-hot p1: clear", "raised too-hot p2: p2 runs at 90"}
			if d := cmp.Diff(want, r.out.changes(t)); d != "" {
				t.Error(d)
			}
			r.stop(t)
			r.stop(t)
			if err := r.Start(t.Context()); err == nil {
				t.Error("a stopped daemon starts again")
			}
			if _, err := r.Reload(t.Context()); err == nil {
				t.Error("a stopped daemon reloads")
			}
		})
	}
}

// TestStopWithoutStart stops a daemon that never ran.
func TestStopWithoutStart(t *testing.T) {
	newRig(t, tooHot).stop(t)
}

// TestStopDrains: what was read takes effect and is delivered.
func TestStopDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tooHot)
		r.start(t)
		for i := range 10 {
			r.source.feed(time.Now(), reading(fmt.Sprint("p", i), 85))
		}
		synctest.Wait()
		r.stop(t)
		if got := len(r.out.changes(t)); got != 10 {
			t.Errorf("%d alerts were delivered, want 10", got)
		}
		if got := r.source.acknowledged(); len(got) != 10 || slices.ContainsFunc(got, func(err error) bool { return err != nil }) {
			t.Errorf("acknowledged: %v", got)
		}
	})
}

// TestTicks: the clock moves only when something waits for it.
func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hotForLong)
		r.start(t)
		defer r.stop(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := r.log.count(event.KindTick); n != 0 {
			t.Errorf("%d ticks while nothing waits", n)
		}
		r.source.feed(time.Now(), reading("p1", 85))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := r.out.changes(t); len(got) != 0 {
			t.Errorf("raised too early: %v", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if d := cmp.Diff([]string{"raised hot-for-long p1: p1 is hot"}, r.out.changes(t)); d != "" {
			t.Error(d)
		}
		if n := r.log.count(event.KindTick); n == 0 || n > 3 {
			t.Errorf("%d ticks for one deadline", n)
		}
	})
}

// TestReloadIsAllOrNothing: a mistake leaves the running rules as they are.
func TestReloadIsAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tooHot)
		r.start(t)
		defer r.stop(t)
		before := r.Rules().Hash
		r.write(t, strings.Replace(tooHot, "temp > 80", "tmp > 80", 1))
		_, err := r.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), "rules.yaml:8:13") || !strings.Contains(err.Error(), "tmp") {
			t.Errorf("the error does not show the mistake: %v", err)
		}
		if r.Rules().Hash != before {
			t.Error("the rules have changed")
		}
		r.write(t, tooHot)
		if report, err := r.Reload(t.Context()); err != nil || !report.Same {
			t.Errorf("reload of the same rules: %v, %v", report, err)
		}
		r.source.feed(time.Now(), reading("p1", 85))
		synctest.Wait()
		if got := r.out.changes(t); len(got) != 1 {
			t.Errorf("changes: %v", got)
		}
	})
}

// TestReloadRemoves: a rule that goes clears what fires.
func TestReloadRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tooHot)
		r.start(t)
		defer r.stop(t)
		r.source.feed(time.Now(), reading("p1", 85))
		synctest.Wait()
		r.write(t, strings.Replace(tooHot, "name: too-hot", "name: hotter", 1))
		report, err := r.Reload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if report.String() != "1 rule, 1 added, 1 removed" || report.Removed[0] != "too-hot" {
			t.Errorf("report: %+v", report)
		}
		synctest.Wait()
		want := []string{"raised too-hot p1: p1 is at 85", "cleared too-hot p1: rule_removed"}
		if d := cmp.Diff(want, r.out.changes(t)); d != "" {
			t.Error(d)
		}
	})
}

// TestWatch: a rule file that is saved is read again; one that is saved with a
// mistake is told of.
func TestWatch(t *testing.T) {
	type told struct {
		report ReloadReport
		err    error
	}
	reloads := make(chan told, 10)
	r := newRigWith(t, tooHot, func(o *Options) {
		o.Config.Watch = true
		o.OnReload = func(r ReloadReport, err error) { reloads <- told{r, err} }
	})
	r.start(t)
	defer r.stop(t)
	next := func() told {
		select {
		case v := <-reloads:
			return v
		case <-time.After(time.Minute):
			t.Fatal("no reload")
			panic("unreachable")
		}
	}
	r.write(t, tooHot+"    labels: {}\n")
	for v := next(); v.err == nil; v = next() { // a write may be seen half done
	}
	r.write(t, strings.ReplaceAll(tooHot, "80", "70"))
	for v := next(); v.err != nil || v.report.Same; v = next() {
	}
	r.source.feed(time.Now(), reading("p1", 75))
	r.effect(t)
}

// TestHTTP: what the daemon serves about itself.
func TestHTTP(t *testing.T) {
	r := newRigWith(t, tooHot, func(o *Options) { o.Config.HTTP.Listen = "127.0.0.1:0" })
	r.start(t)
	defer r.stop(t)
	r.source.feed(time.Now(), reading("p1", 85), `{"device":`, reading("p2", 60))
	r.effect(t)
	ask := func(method, path string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		defer http.DefaultClient.CloseIdleConnections()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %s", resp.StatusCode, body)
	}
	metrics := ask("GET", "/metrics")
	for _, want := range []string{
		`cepd_events_total{stream="telemetry"} 2`,
		`cepd_events_rejected_total{reason="syntax",stream="telemetry"} 1`,
		`cepd_alerts_raised_total{rule="too-hot"} 1`,
		`cepd_alerts_firing{rule="too-hot"} 1`,
		`cepd_source_up{source="plant"} 1`,
		`cepd_reloads_total{result="failure"} 0`,
		`cepd_config_last_reload_successful 1`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if !strings.Contains(metrics, "cepd_watermark_lag_seconds{stream=\"telemetry\"} ") {
		t.Error("/metrics does not say how far the watermark is behind")
	}
	if t.Failed() {
		t.Log(metrics)
	}
	if got := ask("GET", "/-/ready"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("ready: %s", got)
	}
	r.write(t, strings.ReplaceAll(tooHot, "e.temp >", "e.tmp >"))
	if got := ask("POST", "/-/reload"); !strings.HasPrefix(got, "422 ") || !strings.Contains(got, "rules.yaml:8:") {
		t.Errorf("reload with a mistake: %s", got)
	}
	r.write(t, strings.ReplaceAll(tooHot, "too-hot", "hot"))
	if got := ask("POST", "/-/reload"); got != "200 Reloaded: 1 rule, 1 added, 1 removed; added: hot; removed: too-hot.\n" {
		t.Errorf("reload: %s", got)
	}
}

// TestFailingLog: what is not in the log takes no effect and is not
// acknowledged, and the daemon says that it cannot go on.
func TestFailingLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tooHot)
		r.start(t)
		full := errors.New("disk full")
		r.log.fail(full)
		r.source.feed(time.Now(), reading("p1", 85))
		<-r.Done()
		r.source.feed(time.Now(), reading("p2", 85))
		synctest.Wait()
		if !errors.Is(r.Err(), full) {
			t.Errorf("Err() = %v", r.Err())
		}
		for _, err := range r.source.acknowledged() {
			if !errors.Is(err, full) {
				t.Errorf("acknowledged with %v", err)
			}
		}
		if got := r.out.changes(t); len(got) != 0 || len(r.source.acknowledged()) != 2 {
			t.Errorf("changes %v, acknowledged %v", got, r.source.acknowledged())
		}
		r.stop(t)
	})
}

// TestEndOfSources: a daemon whose only source is a pipe ends with it.
func TestEndOfSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tooHot)
		r.start(t)
		r.source.feed(time.Now(), reading("p1", 85))
		close(r.source.batches)
		<-r.Done()
		r.stop(t)
		if r.Err() != nil || len(r.out.changes(t)) != 1 {
			t.Errorf("Err() = %v, changes %v", r.Err(), r.out.changes(t))
		}
	})
}

// TestSlowSink: a sink that takes nothing holds up nobody. (It waits for a
// lock, which is not a wait that a bubble of synctest knows.)
func TestSlowSink(t *testing.T) {
	r := newRig(t, tooHot)
	r.start(t)
	r.out.mu.Lock()
	for i := range 50 {
		r.source.feed(time.Now(), reading(fmt.Sprint("p", i), 85))
	}
	for range 50 {
		r.effect(t)
	}
	r.out.mu.Unlock()
	r.stop(t)
	if got := len(r.out.changes(t)); got != 50 {
		t.Errorf("%d alerts were delivered, want 50", got)
	}
}

// TestStuckSink: a sink that takes nothing for ever does not keep the daemon
// from ending.
func TestStuckSink(t *testing.T) {
	r := newRigWith(t, tooHot, func(o *Options) { o.StopTimeout = time.Millisecond })
	r.start(t)
	r.out.mu.Lock()
	r.source.feed(time.Now(), reading("p1", 85))
	r.effect(t)
	if err := r.Stop(context.Background()); err == nil {
		t.Error("no error says that an alert is left")
	}
	r.out.mu.Unlock()
}

// TestStartFails: what was started before the failure is stopped again.
func TestStartFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newRigWith(t, tooHot, func(o *Options) { o.Config.HTTP.Listen = l.Addr().String() })
	if err := r.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Start: %v", err)
	}
	r.stop(t)
}

// TestClock: the clock follows a wall clock that jumps ahead, and runs on when
// it is set back.
func TestClock(t *testing.T) {
	var wall time.Time
	c := newClock(func() time.Time { return wall })
	read := func(t time.Time) event.Time { wall = t; return c.now() }
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	first := read(noon)
	if got := read(noon.Add(time.Hour)).Sub(first); got != time.Hour {
		t.Errorf("after an hour: %v", got)
	}
	if got := read(noon).Sub(first); got != time.Hour {
		t.Errorf("set back: %v, want it to stand at an hour", got)
	}
	if got := read(noon.Add(time.Second)).Sub(first); got != time.Hour+time.Second {
		t.Errorf("a second after it was set back: %v", got)
	}
}

// TestClientID: a client id is made once and kept.
func TestClientID(t *testing.T) {
	dir := t.TempDir()
	id := func(dir string) string {
		d := &Daemon{fs: vfs.OS(), cfg: &config.Config{State: config.State{Dir: dir}}}
		id, err := d.clientID("source-plant")
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if a, b := id(dir), id(dir); a != b || !strings.HasPrefix(a, "cepd-") {
		t.Errorf("client ids %q and %q", a, b)
	}
	if a, b := id(""), id(""); a == b {
		t.Errorf("the same client id %q twice, with nowhere to keep it", a)
	}
}

// TestNewFails: mistakes are found before anything starts.
func TestNewFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte("rules: [{name: x}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string]Options{
		"no configuration": {},
		"no sources":       {Config: &config.Config{Rules: []string{file}, HTTP: config.HTTP{Listen: "off"}}},
		"bad rules": {Config: &config.Config{Rules: []string{file}, HTTP: config.HTTP{Listen: "off"},
			Sources: []config.Source{{Name: "plant", Type: "file", File: config.FileSource{Path: "-"}}}}},
	} {
		if _, err := New(opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
