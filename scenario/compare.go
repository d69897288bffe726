package scenario

import (
	"cmp"
	"math"
	"slices"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// compare puts what was expected beside what happened. An expectation stands
// beside an outcome that fulfils it, else beside one of the same time, rule and
// change that differs in something else, else beside nothing.
func compare(expected []*rules.Expect, got []*Outcome) []TestRow {
	taken := assign(expected, got)
	used := make([]bool, len(got))
	for _, g := range taken {
		if g >= 0 {
			used[g] = true
		}
	}
	for i, x := range expected {
		if taken[i] >= 0 {
			continue
		}
		if g := closest(x, got, used); g >= 0 {
			taken[i], used[g] = g, true
		}
	}
	var rows []TestRow
	for i, x := range expected {
		row := TestRow{At: x.At, Expected: x}
		if taken[i] >= 0 {
			row.Got = got[taken[i]]
			row.Differs = differences(x, row.Got)
		}
		rows = append(rows, row)
	}
	for g, o := range got {
		if !used[g] {
			rows = append(rows, TestRow{At: o.At, Got: o})
		}
	}
	slices.SortStableFunc(rows, func(a, b TestRow) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.rule(), b.rule()))
	})
	return rows
}

func (r *TestRow) rule() string {
	if r.Expected != nil {
		return r.Expected.Rule
	}
	return r.Got.Rule
}

// assign gives as many expectations as possible an outcome of their own that
// fulfils them: the number of it, or -1. One that leaves the key open must not
// take what only another one can have, so an expectation that finds all taken
// asks those who have them to look for another (augmenting paths).
func assign(expected []*rules.Expect, got []*Outcome) []int {
	owner := make([]int, len(got))
	for g := range owner {
		owner[g] = -1
	}
	var find func(x int, seen []bool) bool
	find = func(x int, seen []bool) bool {
		for g, o := range got {
			if seen[g] || !alike(expected[x], o) || len(differences(expected[x], o)) > 0 {
				continue
			}
			seen[g] = true
			if owner[g] < 0 || find(owner[g], seen) {
				owner[g] = x
				return true
			}
		}
		return false
	}
	for x := range expected {
		find(x, make([]bool, len(got)))
	}
	taken := make([]int, len(expected))
	for x := range taken {
		taken[x] = slices.Index(owner, x)
	}
	return taken
}

// closest returns the outcome that is left over, of the same time, rule and
// change, and differs least; -1 if there is none.
func closest(x *rules.Expect, got []*Outcome, used []bool) int {
	best, least := -1, math.MaxInt
	for g, o := range got {
		if used[g] || !alike(x, o) {
			continue
		}
		if n := len(differences(x, o)); n < least {
			best, least = g, n
		}
	}
	return best
}

// alike reports whether an outcome is of the same time, rule and change.
func alike(x *rules.Expect, o *Outcome) bool {
	return x.At == o.At && x.Rule == o.Rule && what(x) == o.What
}

func what(x *rules.Expect) string {
	if x.Alert == "" {
		return emitted
	}
	return x.Alert
}

// differences names what of an outcome is not as an expectation says.
func differences(x *rules.Expect, o *Outcome) []string {
	var out []string
	if !x.Key.IsMissing() && !keyIs(x.Key, o.Key) {
		out = append(out, "key")
	}
	for _, e := range x.Labels {
		if o.label(e.Name) != e.Value.AsString() {
			out = append(out, "label "+e.Name)
		}
	}
	if !x.Summary.IsMissing() && x.Summary.AsString() != o.Summary {
		out = append(out, "summary")
	}
	if !x.Timeout.IsMissing() && x.Timeout.AsBool() != (o.label("timeout") == "true") {
		out = append(out, "timeout")
	}
	if x.To != nil && (o.ToAll || !slices.Equal(slices.Sorted(slices.Values(x.To)), slices.Sorted(slices.Values(o.To)))) {
		out = append(out, "to")
	}
	for _, e := range x.Emit {
		if !same(e.Value, o.field(e.Name)) {
			out = append(out, "field "+e.Name)
		}
	}
	return out
}

// keyIs reports whether a key, or those of its parts that are named, are as
// expected.
func keyIs(want, got event.Value) bool {
	if want.Kind() != event.KindMap {
		return want.Equal(got)
	}
	for _, part := range want.AsMap() {
		if got.Kind() != event.KindMap || !part.Value.Equal(got.Field(part.Name)) {
			return false
		}
	}
	return true
}

func (o *Outcome) label(name string) string {
	for _, l := range o.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// field returns a field of a derived event, missing where it was left out.
func (o *Outcome) field(name string) event.Value {
	for _, e := range o.Emit {
		if e.Name == name {
			return e.Value
		}
	}
	return event.Missing
}

// closeEnough is how much two decimals may differ, as a part of the larger one,
// and still be the same: far more than what rounding adds up to in a rule, and
// far less than anybody means.
const closeEnough = 1e-9

// same reports whether a value is as expected. Times and durations in fields
// without a declared type are compared as text.
func same(want, got event.Value) bool {
	if want.Equal(got) {
		return true
	}
	if k := got.Kind(); want.Kind() == event.KindString && (k == event.KindTime || k == event.KindDuration) {
		return want.AsString() == got.Text()
	}
	a, okA := want.Number()
	b, okB := got.Number()
	whole := want.Kind() != event.KindDouble && got.Kind() != event.KindDouble
	return okA && okB && !whole && math.Abs(a-b) <= closeEnough*max(math.Abs(a), math.Abs(b))
}
