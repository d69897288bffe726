package engine

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/deepsize"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/window"
)

// Footprint is about how much memory a rule takes for a key of which it keeps
// something: what it typically keeps is made and measured.
type Footprint struct {
	Rule  string
	Bytes int    // of a key; 0: the rule keeps nothing
	With  string // what is kept, such as "a partial match"
	// Each is what every further one of Per takes, where there may be several.
	Each int
	Per  string
}

// Footprints returns the footprint of every rule, in the order of the set.
func Footprints(set *rules.Set) []Footprint {
	p := newPlan(set)
	var out []Footprint
	for _, r := range set.Rules {
		at := p.places[r.Name]
		f := p.lanes[at.lane].tables[at.table].rules[at.rule].footprint()
		if f.Rule = r.Name; f.Bytes > 0 {
			f.Bytes += overhead(len(r.KeyLabels), r.Keys > 0)
		}
		out = append(out, f)
	}
	return out
}

// sampleText is as long as the texts of events, keys and alerts are taken to be.
const sampleText = "as long as a text"

// overhead is what the engine keeps of every key beside what a rule does: its
// name, its entry among the keys, one for its next deadline, and its place in the
// journal.
func overhead(parts int, limited bool) int {
	const pointer, room = int(unsafe.Sizeof(uintptr(0))), 9 // lists have an eighth more than they need
	n := deepsize.Allocated(parts*(2+len(sampleText))) + deepsize.Allocated(int(unsafe.Sizeof(keyState{})))
	n += (int(unsafe.Sizeof(keyHash(0))) + pointer + int(unsafe.Sizeof(timer{})) + pointer) * room / 8
	if limited {
		n += deepsize.Allocated(int(unsafe.Sizeof(ruleExtra{}))) + deepsize.Allocated(int(unsafe.Sizeof(keyPlace{})))
	}
	return n
}

func (r *rulePlan) footprint() Footprint {
	switch {
	case r.Pattern != nil:
		return r.patternFootprint()
	case r.Window != nil:
		return r.windowFootprint()
	case r.Detect != nil:
		d := r.Detect.New()
		x := make([]float64, max(len(r.Detect.Channels), 1))
		at := event.Time(0)
		for i := range 256 {
			x[0] = float64(i % 7)
			at = at.Add(max(r.Detect.Config.Every, time.Second))
			d.Step(at, x)
		}
		return Footprint{Bytes: d.Size() + deepsize.Allocated(int(unsafe.Sizeof(detectState{}))), With: "its detector"}
	case r.Absent:
		return Footprint{Bytes: r.alertFootprint(false), With: "its last event"}
	case r.When && r.Alert != nil:
		return Footprint{Bytes: r.alertFootprint(true), With: "an alert"}
	}
	return Footprint{With: "nothing"}
}

// sampleEvent is an event as the rule keeps it.
func (r *rulePlan) sampleEvent(in *rules.Input) *event.Event {
	e := &event.Event{Schema: in.Keep, Slots: make([]event.Value, len(in.Keep.Fields()))}
	for i, f := range in.Keep.Fields() {
		switch f.Type {
		case event.TypeString, event.TypeAny:
			e.Slots[i] = event.String(sampleText).Clone()
		default:
			e.Slots[i] = event.Double(1)
		}
	}
	if in.Keep.KeepsTopic() {
		e.More = &event.Details{Topic: sampleText}
	}
	if r.keepRaw {
		e.More = &event.Details{Raw: make([]byte, 200)}
	}
	return e
}

func (r *rulePlan) alertFootprint(fires bool) int {
	in := r.Inputs[0]
	a := &alertState{}
	if r.policy().Remembers() || r.For > 0 {
		a.kept = r.sampleEvent(in)
	}
	if fires {
		text := func() string { return string(append([]byte(nil), sampleText+sampleText+sampleText...)) }
		a.said = &alerting.Transition{Key: text(), Fingerprint: text(), Summary: text()}
		for range 2 + len(r.KeyLabels) + len(r.Alert.Labels) {
			a.said.Labels = append(a.said.Labels, alerting.Label{Value: string(append([]byte(nil), sampleText...))})
		}
	}
	return deepsize.Of(a, in.Keep)
}

// sampleEnv lets a machine take what it is shown.
type sampleEnv struct {
	rule   *rulePlan
	input  *rules.Input
	linked bool // what conditions on earlier events say
}

func (v *sampleEnv) Holds(pred int) bool { return v.input.Plain[pred] >= 0 }

func (v *sampleEnv) HoldAll(preds []int, asked uint64) (holds uint64) {
	for i, pred := range preds {
		if v.Holds(pred) {
			holds |= 1 << i
		}
	}
	return holds & asked
}

func (v *sampleEnv) Linked(int, *nfa.History) bool { return v.linked }

func (v *sampleEnv) Fold(_ int, state []event.Value) {
	for i := range state {
		state[i] = event.Double(1)
	}
}

func (v *sampleEnv) Keep() *event.Event { return v.rule.sampleEvent(v.input) }

// patternFootprint measures a machine that has taken one event, and two. The
// first step may take those of any input, and ask what it has taken itself.
func (r *rulePlan) patternFootprint() Footprint {
	f := Footprint{With: "nothing"}
	for _, in := range r.Inputs {
		for _, linked := range []bool{false, true} {
			first, second := r.machineSizes(&sampleEnv{r, in, linked})
			if first > f.Bytes {
				f = Footprint{Bytes: first, With: "a partial match", Each: max(second-first, 0), Per: "partial match"}
			}
		}
	}
	return f
}

func (r *rulePlan) machineSizes(env *sampleEnv) (first, second int) {
	m := nfa.NewMachine(r.Pattern.Prog)
	var res nfa.Result
	take := func(n int) int {
		e := r.sampleEvent(env.input)
		e.Time, e.Pos.Seq = event.Time(n), uint64(n)
		m.Step(e, env, &res)
		if res.Reset(); m.Empty() {
			return 0
		}
		return deepsize.Of(m, r.Pattern.Prog, env)
	}
	first = take(1)
	return first, take(2)
}

// maxSamples bounds the events that a measurement takes.
const maxSamples = 20_000

// windowFootprint measures windows that are full: of a sliding one all panes
// have events, of one over a number of events it has all of them.
func (r *rulePlan) windowFootprint() Footprint {
	w, a := r.Window, r.Window.Spec.Assigner
	ws := newWindows(w)
	n, step := 10, time.Second
	f := Footprint{With: "its windows"}
	switch a.Kind {
	case window.Sliding:
		panes := int(a.Size/a.Every) + 1
		f.With = fmt.Sprintf("its window, of %d parts", panes)
		n, step = 3*panes, a.Every/3
	case window.Counted:
		n, step = a.N, time.Millisecond
		f.With = fmt.Sprintf("its window, of %d events", a.N)
	case window.Tumbling:
		step = a.Size / 20
		f.With = "a window"
	case window.Session:
		step = a.Gap / 2
		f.With = "a session"
	case window.Cron:
		f.With = "a window"
	}
	scale := 1.0
	if n > maxSamples {
		scale, n = float64(n)/maxSamples, maxSamples
	}
	var out window.Out
	at := event.Time(0)
	for i := range n {
		at = at.Add(step)
		args := make([]event.Value, len(w.Spec.Aggregates))
		for j := range args {
			args[j] = r.sampleArgument(j, i)
		}
		ws.Advance(at, &out)
		ws.Add(at, at, event.Position{Seq: uint64(i)}, args, &out)
		out.Reset()
	}
	f.Bytes = int(float64(deepsize.Of(ws, w.Spec)) * scale)
	return f
}

// sampleArgument is a value that an aggregate takes; values differ.
func (r *rulePlan) sampleArgument(agg, i int) event.Value {
	p := r.Inputs[0].Args[agg].Value
	switch {
	case p == nil || p.Type() == event.TypeBool:
		return event.Bool(true)
	case p.Type() == event.TypeString:
		return event.String(fmt.Sprint(sampleText, i)).Clone()
	case p.Type() == event.TypeInt:
		return event.Int(int64(i))
	}
	return event.Double(float64(i) + 0.5)
}
