package engine

import (
	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/detectors"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/window"
)

// Shard judges the events of the key groups that it owns. It has no
// connection to other shards but what the engine carries between them.
type Shard struct {
	plan    *plan
	options *options
	journal *journal
	lanes   []*lane
	out     shardOutput

	memos  []memo         // of the event at hand, by number of the stream
	quiet  bool           // the event at hand raises no alert
	cause  cause          // what is at work: an event, or a timer of which kind
	obeyed event.Position // the record that changes alerts by itself, where one does
	blank  bool           // texts have nothing to read: what they are about is not kept
	frame  expr.Frame
	env    env
	texts  event.Texts // of events that are kept
	kept   keptMemory  // of events that are emitted

	// Scratch memory of windows.
	windows             window.Out
	args, vars, learned []event.Value

	// Scratch memory of detectors.
	channels []float64
	parts    []detectors.Part

	key          []event.Value         // parts of the key in the frame
	near         [fetchAhead]*keyState // what fetch has found
	fetched      uint64                // keeps what [lane.fetch] reads from being left out as useless
	spareWindows int                   // in all tables
	result       nfa.Result
	found        []int32 // rules that the event at hand can concern
	passed       []int32 // of them, those whose gates it opens
	sifted       []int32 // of them, those that are shown it
}

// shardOutput is what a shard did since it was last asked.
type shardOutput struct {
	transitions []alerting.Transition
	matches     []Match
	emitted     []alerting.Derived
	derived     []derived
	late        []lateEvent
	parents     []item
	stats       Stats
	emits       tally
}

// tally counts what rules emit. Mostly one emits many events one after the other.
type tally struct {
	rule   *rulePlan
	issuer *alerting.Issuer // of its events
	n      int64
}

// count counts an event that a rule emits.
func (s *Shard) count(r *rulePlan) {
	o := &s.out
	if o.emits.rule != r {
		o.countUp()
		o.emits.rule, o.emits.issuer = r, s.options.issuer(r.Name)
	}
	o.emits.n++
}

// countUp brings the statistics up to date.
func (o *shardOutput) countUp() {
	if o.emits.n > 0 {
		o.stats.Emitted.add(o.emits.rule.Name, "", o.emits.n)
	}
	o.emits = tally{}
}

// derived is an event on its way to the rules that read it.
type derived struct {
	event  *event.Event
	stream *streamPlan
	quiet  bool // of a message that the broker had kept: it raises no alert
}

func newShard(p *plan, o *options) *Shard {
	s := alone(Shard{plan: p, options: o, journal: newJournal()})
	for _, l := range p.lanes {
		s.lanes = append(s.lanes, newLane(l, s.journal))
	}
	s.memos = apart[memo](len(p.order))
	for i, st := range p.order {
		s.memos[i].init(st)
	}
	s.env.shard = s
	return s
}

// judge shows an event to the rules of a table that it can concern, in order. The
// state of its key may be near.
func (s *Shard) judge(l *lane, t *table, it *item, near *keyState) {
	s.memos[it.stream].begin(it)
	if s.options.asksAll() {
		s.show(l, t, t.keyStateFor(it.hash, it.key, near), it, t.all)
		return
	}
	found, ks := t.all, (*keyState)(nil)
	if t.asked[it.stream] && it.wanted {
		ks = t.keyStateFor(it.hash, it.key, near)
	} else if found, ks = s.concerned(t, it, near); len(found) == 0 {
		return // a key costs nothing
	}
	if t.joining[it.stream] && ks.filed() && !it.late {
		if found = s.join(t, ks, it, found); len(found) == 0 {
			return
		}
	}
	s.show(l, t, ks, it, found)
}

// concerned returns the rules of a table that an event can concern, and the state
// of its key if there are any.
func (s *Shard) concerned(t *table, it *item, near *keyState) (found []int32, ks *keyState) {
	x, sieves, found := t.indexes[it.stream], t.sieves[it.stream], t.all
	wakes := x != nil && x.wakes
	if x != nil {
		found = x.concerned(it.event, &s.found)
	}
	if found = s.pass(t, it, found); len(found) == 0 && !wakes {
		return nil, nil
	}
	looks := sieves != nil || wakes
	if looks && t.keys.n > 0 {
		ks = t.find(it.hash, it.key, near)
	}
	if found = s.sift(sieves, ks, it, found); wakes && ks != nil {
		found = x.withState(ks, found, &s.found)
	}
	switch {
	case len(found) == 0:
	case !looks:
		ks = t.keyStateFor(it.hash, it.key, near)
	case ks == nil:
		ks = t.spareKey(it.key)
	}
	return found, ks
}

// sift leaves out the rules that have no state of a key and for which the event
// does not make any. With thousands of rules what costs is to look at a rule at
// all.
func (s *Shard) sift(sieves []sieve, ks *keyState, it *item, found []int32) []int32 {
	if sieves == nil {
		return found
	}
	s.frame.Event, s.frame.Key = it.event, nil
	m := &s.memos[it.stream]
	s.sifted = s.sifted[:0]
	for _, rule := range found {
		if (ks == nil || ks.look(int(rule)) == noState) && sieves[rule].stops(m, &s.frame) {
			continue
		}
		s.sifted = append(s.sifted, rule)
	}
	return s.sifted
}

// keyOf returns the parts of a key for the frame, until the next call.
func (s *Shard) keyOf(ks *keyState) []event.Value {
	if ks.extra != nil && ks.extra.parts != nil {
		return *ks.extra.parts
	}
	s.key, _ = event.AppendKeyParts(s.key[:0], ks.lasting())
	return s.key
}

// show shows an event to some of the rules of a table.
func (s *Shard) show(l *lane, t *table, ks *keyState, it *item, some []int32) {
	e := it.event
	s.frame.Event, s.frame.Key = e, nil
	s.quiet, s.cause = it.quiet, causeEvent
	if t.usesKey {
		s.frame.Key = s.keyOf(ks)
	}
	m := &s.memos[it.stream]
	for _, rule := range some {
		i := int(rule)
		r := t.rules[i]
		in := r.inputs[it.stream]
		if in == nil || it.late && !r.takesLate() {
			continue
		}
		s.env.begin(r, in, m, e)
		passed := in.Where < 0 || s.env.holds(in.Where)
		if s.options.tracer != nil {
			s.options.tracer.Judged(r.Name, ks.key, e, passed)
		}
		if !passed {
			continue
		}
		t.touch(ks, i)
		switch {
		case r.Pattern != nil:
			s.stepPattern(l, ks, i, e)
		case r.Window != nil:
			s.stepWindow(l, ks, i, it)
		case r.Detect != nil:
			s.stepDetect(l, ks, i, e)
		case r.When || r.Absent:
			s.judgeLevel(l, ks, i, it)
		default:
			s.emit(r, ks, in.Emit, e.Time, e.Pos)
		}
		if r.Idle > 0 && !ks.look(i).empty() {
			l.arm(ks, i, timerIdle, l.heardAt(it.at).Add(r.Idle))
		}
		if t.limited {
			s.limit(l, ks, i, it)
		}
	}
	t.settle(ks)
	s.quiet = false
}

// expire does what a timer of a key is for.
func (s *Shard) expire(l *lane, t *timer) {
	ks, rule := t.keys, int(t.rule)
	ks.table.touch(ks, rule)
	s.frame.Event, s.frame.Key = nil, nil
	if ks.table.usesKey {
		s.frame.Key = s.keyOf(ks)
	}
	s.env.begin(ks.table.rules[rule], nil, nil, nil)
	s.cause = causeInterval
	if t.kind.phase() == phaseSteady {
		s.cause = causeSteady
	}
	switch t.kind {
	case timerRuns:
		s.expireRuns(l, ks, rule, t.at)
	case timerWindow:
		if s.env.rule.Detect != nil {
			s.expireStretch(l, ks, rule, t.at)
		} else {
			s.expireWindow(l, ks, rule, t.at)
		}
	case timerIdle:
		s.forget(l, ks, rule, t.at, alerting.ReasonForgotten, evictedIdle, grounds{})
	default:
		if t.silence() {
			s.expireSilence(l, ks, rule, t.at)
			break
		}
		s.expireAlert(l, ks, rule, alertSlot(t.kind-timerAlert), t.at)
	}
	ks.table.settle(ks)
}

// The reasons for which state of a key goes, as they are counted.
const (
	evictedIdle = "idle"
	evictedKeys = "keys"
)

// forget drops what a rule keeps of a key, and clears its alert with a reason.
func (s *Shard) forget(l *lane, ks *keyState, rule int, now event.Time, reason, limit string, of grounds) {
	st := ks.at(rule)
	for slot, a := range st.alerts() {
		if a.Told {
			d := s.decided(ks, alerting.Decision{Change: alerting.Cleared, Reason: reason, Time: max(now, a.Since)})
			of.atEnd = l.atEnd(d.Time)
			s.tell(ks, slot, a, d, of)
		}
	}
	if !st.empty() {
		s.out.stats.Evictions.add(s.env.rule.Name, limit, 1)
	}
	st.kept = nil
	for slot := range alertSlots {
		st.put(slot, nil)
	}
	st.cancel()
}

// Match is a match of a pattern, or a partial match that time ended.
type Match struct {
	Rule    string
	Key     string // encoded
	Names   []string
	Timeout bool
	Time    event.Time // of its last event, or its deadline
	Steps   []alerting.Step
}
