package nfa

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
)

// TestStored goes on from machines that were stored once, some of them when
// states were kept apart that are one now. It finds what a machine does that
// has seen all events.
func TestStored(t *testing.T) {
	for _, c := range []struct {
		text, events, more string
		o                  Options
		stored             string
	}{
		{"a ~> b+[any] -> c", "a1 b2 x3 b4", "x5 b6 c7 c8", Options{Skip: SkipNone, Within: time.Minute},
			"02010173030080a8d6b9070001000000000080d0acf30e0002000000000080a0d9e61d000400000000040100000201010202020202010300010402030400020506010200010301010400"},
		{"a -> b? -> c", "a1 x2 a3", "b4 c5", Options{Skip: SkipNone, Within: time.Minute},
			"02010173020080a8d6b9070001000000000080f882ad16000300000000020100000101000200010301020002040501010200"},
		{"a -> b -> c", "a1", "b2 a3 c4", Options{Within: time.Minute},
			"02010173010080a8d6b907000100000000010100000100010301010100"},
		{"a -> b -> c[within 5s]", "a1 b2", "c3", Options{Within: time.Minute},
			"01010173020000000080a8d6b9070001000000000101000080d0acf30e0002000000000104010100"},
		{"a -> b{2} -> !c", "a1 b2 a3 b4", "b5", Options{Within: time.Minute, Skip: SkipToNext},
			"01010173050000000080a8d6b9070001000000000101000080d0acf30e0002000000000000000080f882ad160003000000000201000080a0d9e61d0004000000000301020204010405010300"},
		{"a -> b -> !c", "a1", "b2 x3", Options{Within: time.Minute},
			"01010173010000000080a8d6b9070001000000000103010000"},
	} {
		p, err := Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		s := scenario{options: c.o}
		s.define(p)
		prog, _ := Compile(p, s.options)
		bytes, err := hex.DecodeString(c.stored)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ReadMachine(prog, event.NewReader(bytes), func(string) *event.Schema { return letterSchema })
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		all := strings.Fields(c.events + " " + c.more)
		got := stepFrom(t, prog, m, all, len(strings.Fields(c.events)))
		want := stepFrom(t, prog, NewMachine(prog), all, 0)
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: %q\nwant %q", c.text, got, want)
		}
	}
}

// stepFrom steps a machine over events from one on, and returns its matches.
func stepFrom(t *testing.T, prog *Prog, m Machine, words []string, from int) (found []string) {
	env, out := &letterEnv{}, &Result{}
	for i, w := range words {
		e, err := parseEvent(w)
		if err != nil {
			t.Fatal(err)
		}
		if i < from {
			continue
		}
		env.at, env.e = e, &event.Event{Time: e.time, Pos: event.Position{Seq: uint64(i + 1)}, Schema: letterSchema}
		m.Advance(e.time, out)
		m.Step(env.e, env, out)
	}
	m.Advance(event.MaxTime, out)
	for i := range out.Matches {
		var events []string
		for step, e := range out.Matches[i].All() {
			events = append(events, fmt.Sprintf("%s=%d", prog.StepNames()[step], e.Pos.Seq))
		}
		found = append(found, strings.Join(events, " "))
	}
	return found
}
