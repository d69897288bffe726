package engine

import (
	"slices"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/rules"
)

// ruleIndex finds the rules of a table that an event of one stream can concern.
//
// Many rules ask first of all that a field equals a constant. Those are filed
// under the constant, and an event is shown only to the rules under the values
// that it has: a thousand rules cost what they hit. A rule may be passed over
// only where being shown the event would do nothing at all, the counting of
// errors included.
type ruleIndex struct {
	numbers []int32 // of all rules
	always  []int32 // rules that are shown every event, sorted
	wakes   bool    // some rules that are filed are shown every event of a key for which they have state
	rules   []indexed
	fields  []fieldIndex
}

// indexed says how a rule is filed.
type indexed struct {
	filed bool
	wakes bool // it is shown every event of a key for which it has state
}

// fieldIndex files rules under the values of one field.
type fieldIndex struct {
	slot  int
	under constants // what is filed, see [filed]
	lists [][]int32 // of rules; the first is empty
	all   []int32   // for a field that is missing or neither text nor number: an error in each, to be counted
}

// filed is what is filed under a value: the number of a list, or of the only
// rule, as -1 less that. Mostly there is one, which then takes no list of its
// own that an event would have to fetch from memory.
type filed int32

// minFiled is the number of rules below which asking each is cheaper.
const minFiled = 4

// newRuleIndex returns the index of rules for the events of a stream, nil where
// it would be of no use.
func newRuleIndex(all []*rulePlan, stream int) *ruleIndex {
	x := &ruleIndex{numbers: make([]int32, len(all)), rules: make([]indexed, len(all))}
	filed := 0
	for i, r := range all {
		in := r.inputs[stream]
		x.numbers[i] = int32(i)
		if in == nil {
			continue
		}
		guards, wakes := r.guards(in)
		if guards == nil {
			x.always = append(x.always, int32(i))
			continue
		}
		filed++
		x.rules[i].filed, x.rules[i].wakes = true, wakes
		x.wakes = x.wakes || wakes
		for _, g := range guards {
			x.file(int32(i), g)
		}
	}
	if filed < minFiled {
		return nil
	}
	return x
}

func (x *ruleIndex) file(rule int32, g *expr.Guard) {
	k := slices.IndexFunc(x.fields, func(f fieldIndex) bool { return f.slot == g.Slot })
	if k < 0 {
		k = len(x.fields)
		x.fields = append(x.fields, fieldIndex{slot: g.Slot, lists: make([][]int32, 1)})
	}
	f := &x.fields[k]
	f.all = addRule(f.all, rule)
	for _, v := range g.Values {
		to := f.under.file(v)
		*to = int32(f.add(filed(*to), rule))
	}
}

// add adds a rule to what is filed under a value.
func (f *fieldIndex) add(to filed, rule int32) filed {
	switch {
	case to == 0 || to == filed(-1-rule):
		return filed(-1 - rule)
	case to < 0:
		f.lists = append(f.lists, []int32{int32(-1 - to)})
		to = filed(len(f.lists) - 1)
	}
	f.lists[to] = addRule(f.lists[to], rule)
	return to
}

// addRule adds a rule to a list that rules are added to in order.
func addRule(list []int32, rule int32) []int32 {
	if n := len(list); n > 0 && list[n-1] == rule {
		return list
	}
	return append(list, rule)
}

// guards returns the guards of which an event must meet one to concern the
// rule, nil where any event may, and whether any event of a key does for which
// the rule has state.
func (r *rulePlan) guards(in *rules.Input) (all []*expr.Guard, wakes bool) {
	conditions := in.Stream.Conditions
	switch {
	case in.Where >= 0:
		if g := conditions[in.Where].Guard(); g != nil {
			all = append(all, g)
		}
	case r.Pattern != nil && r.Pattern.Prog.Sleeps() && r.Idle == 0 && r.Keys == 0:
		for _, c := range in.Plain {
			if c < 0 {
				continue
			}
			g := conditions[c].Guard()
			if g == nil {
				return nil, false
			}
			all = append(all, g)
		}
	case r.needsWhen(in):
		if g := conditions[in.When].Guard(); g != nil {
			all, wakes = append(all, g), true
		}
	}
	return all, wakes
}

// concerned returns the rules that an event can concern, sorted, as far as the
// event decides. Where they are not one list, they are put together in buf.
func (x *ruleIndex) concerned(e *event.Event, buf *[]int32) []int32 {
	found, lists := x.always, min(len(x.always), 1)
	for i := range x.fields {
		more := x.fields[i].rules(e.Slot(x.fields[i].slot), x.numbers)
		switch {
		case len(more) == 0:
			continue
		case lists == 0:
			found = more
		default:
			found = merge(found, more, buf)
		}
		lists++
	}
	return found
}

// merge puts two sorted lists together in buf, which may hold the first.
func merge(a, b []int32, buf *[]int32) []int32 {
	out := append((*buf)[:0], a...)
	out = append(out, b...)
	slices.Sort(out)
	out = slices.Compact(out)
	*buf = out
	return out
}

// rules returns those that are filed under a value. numbers are those of all
// rules.
func (f *fieldIndex) rules(v event.Value, numbers []int32) []int32 {
	switch found, ok := f.under.find(v); {
	case !ok:
		return f.all
	case found < 0:
		return numbers[-1-found : -found : -found]
	default:
		return f.lists[found]
	}
}

// withState adds to rules found those that are shown every event of a key for
// which they have state.
func (x *ruleIndex) withState(ks *keyState, found []int32, buf *[]int32) []int32 {
	if !x.wakes {
		return found
	}
	for st := range ks.states() {
		if rule := st.rule(); x.rules[rule].wakes && !slices.Contains(found, int32(rule)) {
			found = merge(found, []int32{int32(rule)}, buf)
		}
	}
	return found
}
