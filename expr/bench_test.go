package expr

import (
	"fmt"
	"testing"

	"cel.dev/cel-go/cel"
	"github.com/cepd/cepd/event"
)

// Benchmarks of one condition on one event: as closures, in the library with
// an activation over slots, and in the library with a map of values.

var benchConditions = []struct{ name, src string }{
	{"compare", `e.temperature > 80`},
	{"equal", `e.status == "hot"`},
	{"and", `e.temperature > 80 && e.vibration < 3 && e.status == "hot"`},
	{"mixed", `e.count * 1.5 + e.temperature >= 91`},
	{"missing", `e.pressure > 1 || e.temperature > 80`},
	{"in", `e.status in ["warm", "hot", "cold"]`},
	{"matches", `e.status.matches("^h.t$")`},
	{"time", `time(e) - e.ts > duration("30s")`},
	{"default", `e.?pressure.orValue(0) > 1`},
}

const benchStream = "telemetry ts:timestamp temperature:double vibration:double pressure:double count:int status:string"
const benchEvent = `{"ts": "2026-03-01T11:59:00Z", "temperature": 80.5, "vibration": 2, "count": 7, "status": "hot"}`

func benchWorld(b *testing.B, stream string) *world {
	w := newWorld()
	w.scope.Event = w.stream(stream)
	w.eventIn = benchEvent
	return w
}

func BenchmarkClosure(b *testing.B) {
	for _, c := range benchConditions {
		b.Run(c.name, func(b *testing.B) { benchProgram(b, benchWorld(b, benchStream), c.src, options{event: "e"}) })
	}
}

func BenchmarkClosureDynamic(b *testing.B) {
	for _, c := range benchConditions[:6] {
		b.Run(c.name, func(b *testing.B) { benchProgram(b, benchWorld(b, "telemetry"), c.src, options{event: "e"}) })
	}
}

func BenchmarkLibrary(b *testing.B) {
	for _, c := range benchConditions {
		b.Run(c.name, func(b *testing.B) {
			benchProgram(b, benchWorld(b, benchStream), c.src, options{event: "e", library: true})
		})
	}
}

func benchProgram(b *testing.B, w *world, src string, o options) {
	p, issues := compile(src, &w.scope, WantBool, o)
	if len(issues) > 0 {
		b.Fatal(issues)
	}
	if p.Compiled() == o.library {
		b.Fatal("not what is to be measured")
	}
	w.frame.Event = makeEvent(b, w.scope.Event, w.eventIn, 0)
	f := &w.frame
	b.ReportAllocs()
	for b.Loop() {
		p.Bool(f)
	}
}

// BenchmarkAnyOf asks conditions that a thousand events do not meet, as most do
// not.
func BenchmarkAnyOf(b *testing.B) {
	for _, c := range []struct {
		name       string
		conditions []string
	}{
		{"numbers", []string{`e.temperature > 80`, `e.vibration > 2`}},
		{"text", []string{`e.status == "stopped"`}},
		{"both", []string{`e.temperature > 80`, `e.vibration > 2`, `e.status == "stopped"`}},
		{"logic", []string{`e.temperature > 80 && e.status == "stopped"`, `!(e.vibration < 2 || e.count < 100)`}},
		{"closure", []string{`e.temperature * 2.0 > 160`}},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := benchWorld(b, benchStream)
			var programs []*Program
			for _, src := range c.conditions {
				programs = append(programs, mustCompile(b, src, &w.scope, WantBool))
			}
			events := make([]*event.Event, 1000)
			for i := range events {
				events[i] = makeEvent(b, w.scope.Event, fmt.Sprintf(`{"temperature": %d.5, "vibration": 0.%d, "count": %d, "status": "running"}`, i%80, i, i%100), 0)
			}
			any, f := NewAnyOf(programs), &w.frame
			n := 0
			for b.Loop() {
				if f.Event = events[n%len(events)]; any.Excluded(f.Event.Slots) {
					n++
					continue
				}
				if n, _ := any.First(f); n >= 0 {
					b.Fatal("an event meets a condition")
				}
				n++
			}
		})
	}
}

// BenchmarkLibraryMap runs plain CEL over a map, as most programs would.
func BenchmarkLibraryMap(b *testing.B) {
	env, err := cel.NewEnv(cel.Variable("e", cel.MapType(cel.StringType, cel.DynType)), cel.CrossTypeNumericComparisons(true), cel.OptionalTypes())
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range benchConditions {
		ast, issues := env.Compile(c.src)
		if issues.Err() != nil {
			continue // it needs what plain CEL has not
		}
		p, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			b.Fatal(err)
		}
		fields := map[string]any{"temperature": 80.5, "vibration": 2.0, "count": int64(7), "status": "hot"}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Eval(map[string]any{"e": fields})
			}
		})
	}
}

// BenchmarkAggregate reads an aggregate over a run of events, kept up or
// walked, which must differ: one by its length, the other not at all.
func BenchmarkAggregate(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		for _, linked := range []bool{true, false} {
			name := map[bool]string{true: "kept", false: "walked"}[linked] + "/" + map[int]string{10: "10", 10_000: "10000"}[n]
			b.Run(name, func(b *testing.B) {
				w := benchWorld(b, benchStream)
				s := w.scope.Event
				w.scope.Steps = []Step{{Name: "hot", List: true, Live: []*event.Schema{s}, Schemas: []*event.Schema{s.Project()}}}
				if linked {
					w.scope.Linked = &Aggregates{}
				}
				p, issues := Compile("e.vibration > 1.5 * hot.avg(h, h.vibration)", &w.scope, WantBool)
				if len(issues) > 0 {
					b.Fatal(issues)
				}
				live := makeEvent(b, s, benchEvent, 0)
				h := &fakeHistory{events: make([][]*event.Event, 1)}
				if linked {
					h.states = [][]event.Value{make([]event.Value, w.scope.Linked.Width(0))}
				}
				for range n {
					h.events[0] = append(h.events[0], w.scope.Steps[0].Schemas[0].Keep(live, false, &event.Texts{}))
					if linked {
						w.scope.Linked.Fold(0, &Frame{Event: live}, h.states[0])
					}
				}
				f := &Frame{Event: live, History: h}
				b.ReportAllocs()
				for b.Loop() {
					p.Bool(f)
				}
			})
		}
	}
}

// BenchmarkFold folds an event into an aggregate.
func BenchmarkFold(b *testing.B) {
	w := benchWorld(b, benchStream)
	s := w.scope.Event
	w.scope.Steps = []Step{{Name: "hot", List: true, Live: []*event.Schema{s}, Schemas: []*event.Schema{s.Project()}}}
	a := &Aggregates{}
	w.scope.Linked = a
	if _, issues := Compile("e.vibration > hot.avg(h, h.vibration)", &w.scope, WantBool); len(issues) > 0 {
		b.Fatal(issues)
	}
	f := &Frame{Event: makeEvent(b, s, benchEvent, 0)}
	state := make([]event.Value, a.Width(0))
	b.ReportAllocs()
	for b.Loop() {
		a.Fold(0, f, state)
	}
}

func BenchmarkText(b *testing.B) {
	w := benchWorld(b, benchStream)
	t, issues := CompileText("${stream(e)} at ${e.temperature} degrees, ${e.count * 2} times", &w.scope)
	if len(issues) > 0 {
		b.Fatal(issues)
	}
	f := &Frame{Event: makeEvent(b, w.scope.Event, benchEvent, 0)}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = t.Append(buf[:0], f)
	}
}

func BenchmarkCompile(b *testing.B) {
	w := benchWorld(b, benchStream)
	b.ReportAllocs()
	for b.Loop() {
		Compile(benchConditions[2].src, &w.scope, WantBool)
	}
}
