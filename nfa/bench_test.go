package nfa

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
)

// The benchmarks measure one event at a time, with a predicate that is one
// look into a string. Events are made beforehand, so that allocations are the
// machine's own. What they sweep is what may grow.

func benchProg(b *testing.B, text string, o Options) *Prog {
	b.Helper()
	p, err := Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	s := scenario{options: o}
	s.define(p)
	prog, issues := Compile(p, s.options)
	if prog == nil {
		b.Fatal(issues)
	}
	return prog
}

// feed steps a machine over a cycle of events, one a millisecond.
func feed(b *testing.B, prog *Prog, cycle []string, warm int) {
	m, env, out := newRunMachine(prog), &letterEnv{}, &Result{}
	events := make([]event.Event, 1<<16)
	i := 0
	step := func() {
		// A ring of events, long enough that none is still held when it comes
		// again: only its time is new.
		env.e = &events[i%len(events)]
		*env.e = event.Event{Time: event.Time(i) * 1e6, Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
		env.at.letters = cycle[i%len(cycle)]
		m.Advance(env.e.Time, out)
		m.Step(env.e, env, out)
		i++
		if len(out.Matches) > 0 {
			out.Reset()
		}
	}
	for range warm {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
	b.ReportMetric(float64(open(m)), "runs")
}

// BenchmarkQuiet is an event that moves none of the open runs.
func BenchmarkQuiet(b *testing.B) {
	for _, n := range []int{0, 1, 10, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("runs=%d", n), func(b *testing.B) {
			m, env, out := openRuns(b, "a -> b -> c", n)
			env.at.letters = "x"
			b.ReportAllocs()
			for b.Loop() {
				m.Advance(env.e.Time, out)
				m.Step(env.e, env, out)
			}
		})
	}
}

// BenchmarkWindow is a stream in which every event begins a run, and one runs
// out of time: the window decides how many are open.
func BenchmarkWindow(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("runs=%d", n), func(b *testing.B) {
			feed(b, benchProg(b, "a -> b", Options{Within: event.Duration(n+1) * 1e6, MaxRuns: 1 << 20}), []string{"a"}, 2*n)
		})
	}
}

// BenchmarkOpen is the same stream on both machines, with an event that moves
// all open runs in every ten: to the compact machine their number is nothing.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		for _, compact := range []bool{false, true} {
			b.Run(fmt.Sprintf("compact=%t/events=%d", compact, n), func(b *testing.B) {
				prog := benchProg(b, "a ~> b -> c", Options{Skip: SkipNone, Within: event.Duration(n) * 1e6, MaxRuns: 1 << 30})
				m, env, out := NewTracedMachine(prog), &letterEnv{}, &Result{}
				if compact {
					m = NewMachine(prog)
				}
				cycle := strings.Fields("a a a a b a a a a a")
				i := 0
				step := func() {
					env.e = &event.Event{Time: event.Time(i) * 1e6, Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
					env.at.letters = cycle[i%len(cycle)]
					m.Advance(env.e.Time, out)
					m.Step(env.e, env, out)
					i++
				}
				for range min(2*n, 3000) {
					step()
				}
				b.ReportAllocs()
				for b.Loop() {
					step()
				}
			})
		}
	}
}

// BenchmarkMove is an event that moves every open run: the time is for one
// event, and so for that many runs.
func BenchmarkMove(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("runs=%d", n), func(b *testing.B) {
			cycle := append(strings.Fields(strings.Repeat("a ", n)), "b")
			feed(b, benchProg(b, "a -> b", Options{Skip: SkipNone, MaxRuns: 1 << 20}), cycle, 2*n)
		})
	}
}

// BenchmarkLength is a pattern of several steps whose events come in order.
func BenchmarkLength(b *testing.B) {
	for _, n := range []int{2, 5, 10, 25} {
		b.Run(fmt.Sprintf("steps=%d", n), func(b *testing.B) {
			var cycle []string
			for i := range n {
				cycle = append(cycle, string(rune('a'+i)))
			}
			feed(b, benchProg(b, strings.Join(cycle, " -> "), Options{}), cycle, n)
		})
	}
}

// BenchmarkLoop is a loop that takes event after event. With skip: past_last
// each of them would begin a run of its own; c begins the only one here.
func BenchmarkLoop(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			cycle := append(append([]string{"c"}, strings.Fields(strings.Repeat("a ", n))...), "b")
			feed(b, benchProg(b, "c -> a+[greedy] -> b", Options{}), cycle, n)
		})
	}
}

// BenchmarkStarts is a loop in which every event of the loop begins a run, up
// to the limit of runs.
func BenchmarkStarts(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("runs=%d", n), func(b *testing.B) {
			feed(b, benchProg(b, "a{2,}[strict] -> b", Options{MaxRuns: n, Within: 1 << 50}), []string{"a"}, 2*n)
		})
	}
}

// BenchmarkSnapshot writes a machine with open runs, and reads it back.
func BenchmarkSnapshot(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		m, _, _ := openRuns(b, "a -> b -> c", n)
		bytes := m.AppendBinary(nil)
		b.Run(fmt.Sprintf("write/runs=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(bytes)))
			b.ReportAllocs()
			for b.Loop() {
				bytes = m.AppendBinary(bytes[:0])
			}
		})
		b.Run(fmt.Sprintf("read/runs=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(bytes)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadMachine(m.prog, event.NewReader(bytes), func(string) *event.Schema { return letterSchema }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMemory reports what a key with one open run costs, less the event
// that the run holds.
func BenchmarkMemory(b *testing.B) {
	prog := benchProg(b, "a -> b", Options{Within: 1 << 40})
	for _, compact := range []bool{false, true} {
		b.Run(fmt.Sprintf("compact=%t", compact), func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				const keys = 100000
				machines := make([]Machine, keys)
				env, out := &letterEnv{at: scenarioEvent{letters: "a"}}, &Result{}
				env.e = &event.Event{Schema: letterSchema}
				runtime.GC()
				runtime.ReadMemStats(&before)
				for i := range machines {
					if machines[i] = NewMachine(prog); !compact {
						machines[i] = newRunMachine(prog)
					}
					machines[i].Step(env.e, env, out)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/keys, "B/key")
				runtime.KeepAlive(machines)
			}
		})
	}
}
