package nfa

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

// FuzzParse: no text makes the parser or the compiler fail in another way than
// with an error, and what can be read is printed in a form that reads back.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"a", "a -> b", "a => !b ~> c{2,}[strict, gap 30s]", "(a | b)+[until u] -> (c & d?)", "a{0,3}[greedy, within 1m]", "((((a+)+)+)+)+",
		"(a? | b?)? -> (c? | d?)?",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			if e, ok := err.(*SyntaxError); !ok || e.Offset < 0 || e.End > len(text) || e.Offset > e.End || e.Message == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		printed := p.String()
		again, err := Parse(printed)
		if err != nil || again.String() != printed {
			t.Fatalf("%q prints as %q, which gives %v", text, printed, err)
		}
		s := scenario{options: Options{Within: 1}}
		s.define(p)
		prog, issues := Compile(p, s.options)
		for _, i := range issues {
			if i.Offset < 0 || i.End > len(text) || i.Offset > i.End || i.Message == "" {
				t.Fatalf("%#v", i)
			}
			if !i.Warning && prog != nil {
				t.Fatalf("a program in spite of %#v", i)
			}
		}
		if prog != nil {
			_, _, _ = prog.String(), prog.Mermaid(nil), prog.DOT(nil)
		}
	})
}

// FuzzOracle draws patterns and streams from the bytes.
func FuzzOracle(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkOracle)) }

// damaged programs are those whose machines are damaged.
var damaged = []string{"a -> b -> c", "(a -> b+ -> c?)+ -> d", "a -> !x", "a -> b | b -> c", "a+ -> b+ -> c", "a ~> (b ~> c?)+[any] -> d"}

// damagedCompact is the number of the first that the compact machine runs.
const damagedCompact = 4

func damagedProg(t testing.TB, i int) *Prog {
	if i == 1 {
		prog := historyProg(t, damaged[i])
		prog.maxRuns = 50
		return prog
	}
	p, err := Parse(damaged[i])
	if err != nil {
		t.Fatal(err)
	}
	s := scenario{options: Options{Skip: SkipToNext, Order: OrderStart, Within: 1000e9}}
	if i >= damagedCompact {
		s.options.Skip = SkipNone
	}
	s.define(p)
	prog, issues := Compile(p, s.options)
	if prog == nil || prog.Compact() != (i >= damagedCompact) {
		t.Fatal(issues)
	}
	return prog
}

// letterFeed steps a machine over the letters, a second apart.
func letterFeed(t failer, prog *Prog, m Machine, letters string) {
	env := &historyEnv{t: t, prog: prog}
	var out Result
	for i, c := range letters {
		env.at = scenarioEvent{letters: string(c)}
		env.e = &event.Event{Time: seconds(float64(i)), Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
		m.Advance(env.e.Time, &out)
		m.Step(env.e, env, &out)
	}
}

// readDamaged reads bytes that may be damaged. What is read has to work.
func readDamaged(t failer, prog *Prog, b []byte) {
	m, err := ReadMachine(prog, event.NewReader(b), func(s string) *event.Schema {
		if s == "s" {
			return letterSchema
		}
		return nil
	})
	if err != nil {
		return
	}
	_ = m.AppendBinary(nil)
	_ = m.Deadline()
	env := &letterEnv{at: scenarioEvent{letters: "abcd"}, e: &event.Event{Time: event.MaxTime - 1, Schema: letterSchema}}
	var out Result
	m.Step(env.e, env, &out)
	m.Advance(event.MaxTime, &out)
	for i := range out.Matches {
		for range out.Matches[i].All() {
		}
		_ = out.Matches[i].Steps()
	}
}

func FuzzReadMachine(f *testing.F) {
	for i := range damaged {
		prog := damagedProg(f, i)
		m := NewMachine(prog)
		letterFeed(f, prog, m, "abaxbacab")
		f.Add(i, m.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		if i < 0 || i >= len(damaged) {
			return
		}
		readDamaged(t, damagedProg(t, i), b)
	})
}

// TestReadOther reads machines of other programs, of which one keeps aggregates.
func TestReadOther(t *testing.T) {
	for i := range damaged {
		prog := damagedProg(t, i)
		m := NewMachine(prog)
		letterFeed(t, prog, m, "abaxbacab")
		for j := range damaged {
			readDamaged(t, damagedProg(t, j), m.AppendBinary(nil))
		}
	}
}

// TestReadDamaged flips and cuts the bytes of machines.
func TestReadDamaged(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range damaged {
		prog := damagedProg(t, i)
		m := NewMachine(prog)
		letterFeed(t, prog, m, "abaxbacab")
		whole := m.AppendBinary(nil)
		for n := range whole {
			readDamaged(t, prog, whole[:n])
			for range 20 {
				b := bytes.Clone(whole)
				b[n] ^= byte(1 + random.IntN(255))
				readDamaged(t, prog, b)
			}
		}
	}
}
