package expr

import (
	"math"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"pgregory.net/rapid"
)

// conditions are templates as [grammar] has them, of what tests can tell: fields
// of e that are compared with constants.
var conditions = map[string][]string{
	"condition": {"({condition} && {condition})", "({condition} || {condition})", "!{condition}"},
	"number":    {"e.a", "e.n"},
	"constant": {
		"0", "1", "-1", "3", "3u", "0.0", "-0.0", "1.5", "3.0", "1e308", "-1.7976931348623157e308", "5e-324", `double("NaN")`, `double("Infinity")`, `-double("Infinity")`,
		"9007199254740992", "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808", "18446744073709551615u", "9.3e18",
	},
	"cmp":  grammar["cmp"],
	"text": {`""`, `"hot"`, `"hut"`, `"temperature-1"`, `"temperature-2"`},
}

var plainConditions = []string{
	"({number} {cmp} {constant})", "({number} {cmp} {constant})", "({constant} {cmp} {number})", "({number} in [{constant}, {constant}])", "(e.s {cmp} {text})", "({text} == e.s)",
	"(e.s in [{text}, {text}, {text}])", "e.s.startsWith({text})", "e.p", "(e.p == true)", "(e.p != false)", "has(e.a)", "has(e.s)", "(e.a in [])",
	"(e.a * 2.0 > 3.0)", "e.s.contains({text})", "(e.s in [{text}, {constant}])", "(e.n == {text})", "true", "(e.p ? e.a > 1.0 : e.p)",
}

// drawCondition returns the text of a random condition.
func drawCondition(t *rapid.T, name string, depth int) string {
	from := conditions[name]
	if name == "condition" && (depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") == 0) {
		from = plainConditions
	}
	return hole.ReplaceAllStringFunc(rapid.SampledFrom(from).Draw(t, name), func(p string) string {
		return drawCondition(t, strings.Trim(p, "{}"), depth-1)
	})
}

var (
	drawnNumbers = []event.Value{
		event.Missing, event.Int(0), event.Int(1), event.Int(3), event.Int(-2), event.Int(1 << 53), event.Int(1<<53 + 1), event.Int(-1<<53 - 1), event.Int(math.MaxInt64), event.Int(math.MinInt64),
		event.Uint(3), event.Uint(math.MaxUint64), event.Double(0), event.Double(math.Copysign(0, -1)), event.Double(1.5), event.Double(3), event.Double(1 << 53), event.Double(math.NaN()),
		event.Double(math.Inf(1)), event.Double(math.Inf(-1)), event.Double(math.MaxFloat64), event.Double(-math.MaxFloat64), event.Double(math.SmallestNonzeroFloat64),
		// The bits of a text of three bytes.
		event.Double(math.Float64frombits(uint64(event.KindString)<<56 | 3)),
	}
	drawnTexts = []event.Value{event.Missing, event.String(""), event.String("hot"), event.String("hotel"), event.String("cold"), event.String("temperature-1"), event.String("temperature-2")}
	drawnBools = []event.Value{event.Missing, event.Bool(true), event.Bool(false)}
	drawnOther = []event.Value{event.Null, event.Timestamp(3), event.List([]event.Value{event.Int(1)})}
)

// drawFields returns random values of the fields a, n, s and p, as decoders give
// them where the fields are declared, and any where they are not.
func drawFields(t *rapid.T, declared bool) []event.Value {
	pools := [][]event.Value{drawnNumbers, drawnNumbers, drawnTexts, drawnBools}
	slots := make([]event.Value, len(pools), len(pools)+1)
	for i, pool := range pools {
		if !declared && rapid.IntRange(0, 3).Draw(t, "odd") == 0 {
			pool = rapid.SampledFrom([][]event.Value{drawnNumbers, drawnTexts, drawnBools, drawnOther}).Draw(t, "pool")
		}
		slots[i] = rapid.SampledFrom(pool).Draw(t, "value")
	}
	if declared && slots[1].Kind() != event.KindInt {
		slots[1] = event.Missing
	}
	return slots[:rapid.IntRange(0, len(slots)).Draw(t, "length")]
}

// TestFiltersEqualLibrary holds conditions whose fields are tested before they are
// evaluated, and what tests tell of many at once, to the library.
func TestFiltersEqualLibrary(t *testing.T) {
	fails, told := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		declared := rapid.Bool().Draw(t, "declared")
		w.scope.Event = event.NewSchema("any", nil)
		if declared {
			w.scope.Event = w.stream("s a:double n:int s:string p:bool")
		}
		for _, name := range []string{"a", "n", "s", "p"} {
			w.scope.Event.Use(name)
		}
		f := &Frame{Event: &event.Event{Schema: w.scope.Event, Slots: drawFields(t, declared)}}
		var programs []*Program
		first, says := -1, no
		for range rapid.IntRange(1, 3).Draw(t, "conditions") {
			src := drawCondition(t, "condition", rapid.IntRange(0, 3).Draw(t, "depth"))
			p, issues := Compile(src, &w.scope, WantBool)
			if len(issues) > 0 {
				continue // two sides that are never equal
			}
			lib, issues := compile(src, &w.scope, WantBool, options{event: "e", library: true})
			if len(issues) > 0 {
				t.Fatalf("%s: compiled as closures, but in the library: %v", src, issues)
			}
			got, want := p.truth(f), lib.truth(f)
			if got != want {
				t.Fatalf("%s of %s\nclosures: %d\nlibrary:  %d", src, showAll(f.Event.Slots), got, want)
			}
			if want == no {
				fails++
			}
			if allFail(p.filter.no, f) {
				if told++; want != no {
					t.Fatalf("%s of %s is %d, but tests say that it does not hold", src, showAll(f.Event.Slots), want)
				}
			}
			if allFail(p.filter.yes, f) && want != yes {
				t.Fatalf("%s of %s is %d, but tests say that it holds", src, showAll(f.Event.Slots), want)
			}
			if first < 0 && want != no {
				first, says = len(programs), want
			}
			programs = append(programs, p)
		}
		any := NewAnyOf(programs)
		if any.Excluded(f.Event.Slots) && first >= 0 {
			t.Fatalf("%s are excluded, of which number %d is %d", sources(programs), first, says)
		}
		if n, got := any.First(f); n != first || got != says {
			t.Fatalf("first of %s: %d, which is %d, want %d, which is %d", sources(programs), n, got, first, says)
		}
	})
	t.Logf("of %d conditions that do not hold tests told it of %d", fails, told)
	if told == 0 {
		t.Error("no test told anything")
	}
}

// allFail reports whether there are tests, and all of them fail.
func allFail(all []test, f *Frame) bool {
	ts := newTests(all)
	return all != nil && ts.fail(f.Event.Slots)
}

func showAll(slots []event.Value) string {
	var parts []string
	for _, v := range slots {
		parts = append(parts, show(v))
	}
	return strings.Join(parts, ", ")
}

func sources(programs []*Program) string {
	var parts []string
	for _, p := range programs {
		parts = append(parts, p.Source())
	}
	return strings.Join(parts, "; ")
}

// An int that no double is compares as an int.
func TestFilterOfLargeInts(t *testing.T) {
	w := newWorld()
	w.scope.Event = event.NewSchema("any", nil)
	p := mustCompile(t, `e.a < 9007199254740993 && e.b`, &w.scope, WantBool)
	f := &Frame{Event: &event.Event{Schema: w.scope.Event, Slots: []event.Value{event.Int(9007199254740992), event.Bool(true)}}}
	if got := p.truth(f); got != yes {
		t.Errorf("%s of %s is %d", p.Source(), showAll(f.Event.Slots), got)
	}
}
