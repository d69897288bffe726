package rules

import (
	"strings"
	"testing"
)

const shapeBase = `streams: {telemetry: , other: }
rules:
  - name: failure
    from: telemetry
    by: e.device
    pattern: hot{3,} -> spike -> stop
    define:
      hot: e.temperature > 80
      spike: e.vibration > 1.5 * hot.avg(h, h.vibration)
      stop: e.status == "stopped"
    within: 5m
    alert: {summary: stopped}
  - name: warm
    from: telemetry
    by: e.device
    when: e.temperature > 60
    alert: {summary: warm}
  - name: odd
    from: telemetry
    by: e.device
    detect: {value: e.vibration, method: ewma, with: {alpha: 0.1}, every: 1m}
    when: anomaly
    alert: {summary: odd}
`

// detectShapes change something of a rule with a detector.
var detectShapes = []struct {
	from, to string
	kept     bool
}{
	{"when: anomaly", "when: anomaly && score > 0.9999", true},
	{"with: {alpha: 0.1}", "with: {alpha: 0.1, threshold: 0.9}", true},
	{"every: 1m}", "every: 1m, direction: up, learn: always, warmup: 1d, quiet: 1h, min_abs: 2, gap: alarm}", true},
	{"every: 1m}", "every: {every: 1m, by: avg}}", true},
	{"value: e.vibration", "value: 'e . vibration'", true},
	{"value: e.vibration", "value: e.temperature", false},
	{"method: ewma, with: {alpha: 0.1}", "method: median", false},
	{"with: {alpha: 0.1}", "with: {alpha: 0.2}", false},
	{"every: 1m}", "every: 2m}", false},
	{"every: 1m}", "every: 1m, by: max}", false},
	{"every: 1m}", "every: 1m, season: 1d}", false},
	{"every: 1m}", "every: 1m, seed: 1}", false},
}

func shapes(t *testing.T, text string) map[string]string {
	t.Helper()
	set, report := Load([]File{{"f.yaml", []byte(text)}}, Options{})
	if set == nil {
		t.Fatal(report)
	}
	return shapesOf(set)
}

func shapesOf(set *Set) map[string]string {
	out := map[string]string{}
	for _, r := range set.Rules {
		out[r.Name] = r.Shape
	}
	return out
}

// TestShape changes one thing of a rule and looks whether its state is kept.
func TestShape(t *testing.T) {
	tests := []struct {
		name, from, to string
		kept           bool
	}{
		{"threshold", "e.temperature > 80", "e.temperature > 85", true},
		{"threshold of when", "e.temperature > 60", "e.temperature > 65", true},
		{"texts", "summary: stopped", "severity: critical, labels: {a: b}, summary: broken, to: [ops]", true},
		{"layout", "hot{3,} -> spike -> stop", `"hot{3,}->spike  ->  stop"`, true},
		{"for", "when: e.temperature > 60", "{when: e.temperature > 60, for: 5m, clear: e.temperature < 50}", true},
		{"limits", "within: 5m", "within: 5m\n    limits: {runs: 10}", true},
		{"sinks of events", "alert: {summary: warm}", "alert: {summary: warm}\n    emit: {device: e.device}\n    emit_to: warehouse", true},
		{"another rule", "  - name: warm", "  - {name: new, from: other, when: e.x, alert: {}}\n  - name: warm", true},
		{"stream", "from: telemetry", "from: other", false},
		{"key", "by: e.device", "by: e.site", false},
		{"names of the key", "by: e.device", "by: {device: e.device}", false},
		{"order of steps", "spike -> stop", "stop -> spike", false},
		{"count", "hot{3,}", "hot{4,}", false},
		{"window", "within: 5m", "within: 6m", false},
		{"skip", "within: 5m", "within: 5m\n    skip: none", false},
		{"order", "within: 5m", "within: 5m\n    order: start", false},
		{"aggregate", "hot.avg(h, h.vibration)", "hot.max(h, h.vibration)", false},
		{"kind", "when: e.temperature > 60", "{pattern: a{2}, define: {a: e.temperature > 60}, within: 5m}", false},
	}
	for _, tt := range detectShapes {
		tests = append(tests, struct {
			name, from, to string
			kept           bool
		}{"detect: " + tt.to, tt.from, tt.to, tt.kept})
	}
	base := shapes(t, shapeBase)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(shapeBase, tt.from) {
				t.Fatal("nothing to change")
			}
			text := strings.Replace(shapeBase, tt.from, tt.to, 1)
			if to, ok := strings.CutPrefix(tt.to, "{"); ok { // several keys
				keys := strings.ReplaceAll(strings.TrimSuffix(to, "}"), ", ", "\n    ")
				text = strings.Replace(shapeBase, tt.from, keys, 1)
			}
			changed := shapes(t, text)
			kept := true
			for name, shape := range base {
				kept = kept && changed[name] == shape
			}
			if kept != tt.kept {
				t.Errorf("state kept: %v, want %v", kept, tt.kept)
			}
		})
	}
}

// TestHash checks that a set's hash is that of its files, in whatever order
// they are given.
func TestHash(t *testing.T) {
	hash := func(files ...File) string {
		set, report := Load(files, Options{})
		if set == nil {
			t.Fatal(report)
		}
		return set.Hash
	}
	a, b := File{"a.yaml", []byte("streams: {a: }\n")}, File{"b.yaml", []byte("streams: {b: }\n")}
	if hash(a, b) != hash(b, a) {
		t.Error("the order of files changes the hash")
	}
	if hash(a, b) == hash(a) || hash(a, b) == hash(a, File{"c.yaml", b.Data}) || hash(a, b) == hash(a, File{"b.yaml", []byte("streams: {c: }\n")}) {
		t.Error("different files have the same hash")
	}
}

// TestArrange gives rules that take what others emit their levels.
func TestArrange(t *testing.T) {
	source := &Stream{Name: "source"}
	maker := func(name string, from ...*Stream) *Rule {
		r := &Rule{Name: name, Output: &Stream{Name: name, Producer: name}}
		for _, s := range from {
			r.Inputs = append(r.Inputs, &Input{Stream: s})
		}
		return r
	}
	a := maker("z-first", source)
	b := maker("y-second", a.Output, source)
	c := maker("x-third", b.Output, a.Output)
	d := maker("a-alone", source)
	s := &Set{Rules: []*Rule{c, b, a, d}, Streams: []*Stream{source, c.Output, b.Output, a.Output, d.Output}}
	s.arrange()
	var got []string
	for _, r := range s.Rules {
		got = append(got, r.Name)
	}
	if want := "a-alone z-first y-second x-third"; strings.Join(got, " ") != want {
		t.Errorf("order %v, want %s", got, want)
	}
	if s.Levels != 3 || a.Level != 0 || b.Level != 1 || c.Level != 2 || c.Output.Level != 3 || b.Output.Level != 2 || source.Level != 0 {
		t.Errorf("levels %d: %d %d %d, streams %d %d %d", s.Levels, a.Level, b.Level, c.Level, source.Level, b.Output.Level, c.Output.Level)
	}
}

const windowBase = `streams: {requests: }
rules:
  - name: slow
    from: requests
    by: e.host
    window: {tumbling: 5m}
    let:
      p99: quantile(e.ms, 0.99)
      n: count()
      factor: 2
      usual: baseline(p99, "7d", "hour_of_day")
    when: n >= 100 && p99 > factor * usual
    emit: {p99: p99}
    alert: {summary: "${key} is slow"}
`

// TestShapeOfWindow does the same with a window.
func TestShapeOfWindow(t *testing.T) {
	tests := []struct {
		name, from, to string
		kept           bool
	}{
		{"threshold", "n >= 100", "n >= 200 || n < 3", true},
		{"texts", "is slow", "is slow: ${n} requests", true},
		{"names", "factor", "times", true},
		{"what no baseline learns", "factor: 2", "factor: 3", true},
		{"order", "      n: count()\n", "", true},
		{"emit", "{p99: p99}", "{p99: p99, n: count()}", true},
		{"for", "    when:", "    for: 10m\n    when:", true},
		{"layout", "quantile(e.ms, 0.99)", "quantile( e.ms,0.99 )", true},
		{"length", "5m", "6m", false},
		{"kind", "tumbling", "session", false},
		{"lateness", "    let:", "    lateness: 10s\n    let:", false},
		{"another aggregate", "n >= 100", "n >= 100 && avg(e.ms) > 3", false},
		{"parameter", "0.99", "0.95", false},
		{"argument", "e.ms", "e.us", false},
		{"filter", "count()", "count(e.ok)", false},
		{"history", `"7d"`, `"8d"`, false},
		{"profile", "hour_of_day", "day_of_week", false},
		{"what a name stands for", "p99: quantile(e.ms, 0.99)\n      n: count()", "n: quantile(e.ms, 0.99)\n      p99: count()", false},
		{"what a baseline learns", "baseline(p99,", "baseline(p99 / n,", false},
	}
	base := shapes(t, windowBase)["slow"]
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(windowBase, tt.from) {
				t.Fatal("nothing to change")
			}
			text := strings.ReplaceAll(windowBase, tt.from, tt.to)
			if tt.name == "order" {
				text = strings.Replace(text, "    let:\n", "    let:\n"+tt.from, 1)
			}
			if kept := shapes(t, text)["slow"] == base; kept != tt.kept {
				t.Errorf("state kept: %v, want %v", kept, tt.kept)
			}
		})
	}
}
