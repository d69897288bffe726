package engine

import (
	"slices"
	"strings"

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

	memos []memo // of the event at hand, by number of the stream
	quiet bool   // the event at hand raises no alert
	cause cause  // what is at work: an event, or a timer of which kind
	blank bool   // texts have nothing to read: what they are about is not kept
	frame expr.Frame
	env   env

	// Scratch memory of windows.
	windows             window.Out
	args, vars, learned []event.Value

	// Scratch memory of detectors.
	channels []float64
	parts    []detectors.Part

	result nfa.Result
	found  []int32 // rules that the event at hand can concern
	passed []int32 // of them, those whose gates it opens
	sifted []int32 // of them, those that are shown it
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
}

// derived is an event on its way to the rules that read it.
type derived struct {
	event  *event.Event
	stream *streamPlan
	quiet  bool // of a message that the broker had kept: it raises no alert
}

// keyState is the state of one key in one table. It is a [unit].
type keyState struct {
	tag
	table  *table
	key    string         // shares the batch's memory until the state is kept
	parts  *[]event.Value // of the key, decoded when first asked for
	states []*ruleState   // of the rules that have any, sorted by rule
	one    [1]*ruleState  // memory of states: mostly one rule has any
	filed  bool           // it is in the table
	clock  *keyClock      // nil where keys have no time of their own
}

// ruleState is the state of one rule for one key.
type ruleState struct {
	rule      int                     // index into the table's rules
	machine   nfa.Machine             // nil without runs
	window    *windowState            // nil without windows
	detect    *detectState            // nil where the detector has seen nothing
	alerts    [alertSlots]*alertState // nil while inactive
	deadlines deadlines
	place     *keyPlace // nil where the rule keeps nothing of the key, or any number of keys
	changed   uint32    // generation of the journal in which it last changed
	stored    bool      // a snapshot may have stored a row of it
}

func newShard(p *plan, o *options) *Shard {
	s := &Shard{plan: p, options: o, journal: newJournal(), out: shardOutput{stats: newStats()}}
	for _, l := range p.lanes {
		s.lanes = append(s.lanes, newLane(l, s.journal))
	}
	s.memos = make([]memo, len(p.order))
	for i, st := range p.order {
		s.memos[i].init(st)
	}
	s.env.shard = s
	return s
}

// keyStateFor returns the state of a key, or a spare one that is kept only if
// the event leaves something in it: a key costs nothing until then.
func (t *table) keyStateFor(key string) *keyState {
	if ks, ok := t.keys[key]; ok {
		return ks
	}
	ks := t.spare
	if ks == nil {
		ks = &keyState{table: t}
	}
	t.spare = nil
	ks.key, ks.parts, ks.clock = key, nil, t.lane.current
	return ks
}

// file puts the state of a key into the table.
func (t *table) file(ks *keyState) {
	ks.key, ks.filed = strings.Clone(ks.key), true
	t.keys[ks.key] = ks
}

// find returns where the state of a rule is or would be.
func (ks *keyState) find(rule int) (i int, found bool) {
	for i < len(ks.states) && ks.states[i].rule < rule { // there are few
		i++
	}
	return i, i < len(ks.states) && ks.states[i].rule == rule
}

// noState is the state of a rule that has none. It must not be changed.
var noState = newRuleState()

func newRuleState() *ruleState {
	return &ruleState{deadlines: deadlines{first: deadline{never, never}}}
}

// look returns the state of a rule to read, [noState] if it has none.
func (ks *keyState) look(rule int) *ruleState {
	if i, ok := ks.find(rule); ok {
		return ks.states[i]
	}
	return noState
}

// at returns the state of a rule, made if need be.
func (ks *keyState) at(rule int) *ruleState {
	i, ok := ks.find(rule)
	if ok {
		return ks.states[i]
	}
	st := ks.insert(i, rule)
	if ks.filed {
		ks.table.touch(ks, rule)
	}
	return st
}

func (ks *keyState) insert(i, rule int) *ruleState {
	st := ks.table.spareState
	ks.table.spareState = nil
	if st == nil {
		st = newRuleState()
	}
	st.rule = rule
	if ks.states == nil {
		ks.states = ks.one[:0]
	}
	ks.states = slices.Insert(ks.states, i, st)
	return st
}

// touch notes that the state that a rule has for a key is about to change.
func (t *table) touch(ks *keyState, rule int) {
	if !ks.filed {
		return
	}
	i, ok := ks.find(rule)
	if j := t.lane.journal; ok && ks.states[i].changed != j.gen {
		j.touch(ks)
		ks.states[i].changed = j.gen
	}
}

// settle keeps or drops the state of a key after something was done to it. An
// empty one that the queue of timers still knows is kept until its entry comes
// up, so that the next event of the key uses the entry again; one that is
// stored until a snapshot has said that it is gone. So a table may hold keys
// without any state, and how many depends on snapshots: they must not be
// counted.
func (t *table) settle(ks *keyState) {
	t.leave(ks)
	ks.prune()
	switch keep := len(ks.states) > 0; {
	case keep && !ks.filed:
		t.file(ks)
		for _, st := range ks.states {
			t.touch(ks, st.rule)
		}
	case !keep && ks.filed:
		delete(t.keys, ks.key)
		t.lane.journal.drop(ks)
		ks.filed = false
	case !keep:
		t.spare = ks
	}
}

// prune drops the states that nobody needs.
func (ks *keyState) prune() {
	for i := len(ks.states) - 1; i >= 0; i-- {
		if st := ks.states[i]; st.empty() && !st.kept() {
			ks.states = slices.Delete(ks.states, i, i+1)
			st.changed = 0
			ks.table.spareState = st
		}
	}
}

func (ks *keyState) empty() bool {
	for _, st := range ks.states {
		if !st.empty() {
			return false
		}
	}
	return true
}

func (st *ruleState) empty() bool {
	return st.machine == nil && st.window == nil && st.detect == nil && st.alerts == [alertSlots]*alertState{}
}

// kept reports whether the queue of timers or a store still knows the state.
func (st *ruleState) kept() bool {
	return st.stored || st.deadlines.queued()
}

// values returns the parts of the key.
func (ks *keyState) values() []event.Value {
	if ks.parts == nil {
		if ks.key == "" {
			return nil
		}
		parts, _ := event.DecodeKey(ks.key)
		ks.parts = &parts
	}
	return *ks.parts
}

// judge shows an event to the rules of a table that it can concern, in order.
func (s *Shard) judge(l *lane, t *table, it *item) {
	s.memos[it.stream].begin(it)
	if s.options.asksAll() {
		s.show(l, t, t.keyStateFor(it.key), it, t.all)
		return
	}
	x, sieves, found := t.indexes[it.stream], t.sieves[it.stream], t.all
	wakes := x != nil && x.wakes
	if x != nil {
		found = x.concerned(it.event, &s.found)
	}
	if found = s.pass(t, it, found); len(found) == 0 && !wakes {
		return
	}
	var ks *keyState
	if (sieves != nil || wakes) && len(t.keys) > 0 {
		ks = t.keys[it.key]
	}
	if found = s.sift(sieves, ks, it, found); wakes && ks != nil {
		found = x.withState(ks, found, &s.found)
	}
	if len(found) == 0 {
		return // a key costs nothing
	}
	if ks == nil {
		ks = t.keyStateFor(it.key)
	}
	s.show(l, t, ks, it, found)
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

// show shows an event to some of the rules of a table.
func (s *Shard) show(l *lane, t *table, ks *keyState, it *item, some []int32) {
	e := it.event
	s.frame.Event, s.frame.Key = e, nil
	s.quiet, s.cause = it.quiet, causeEvent
	if t.usesKey {
		s.frame.Key = ks.values()
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
		s.frame.Key = ks.values()
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
		s.forget(l, ks, rule, t.at, alerting.ReasonForgotten, evictedIdle)
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
func (s *Shard) forget(l *lane, ks *keyState, rule int, now event.Time, reason, limit string) {
	st := ks.at(rule)
	for slot, a := range st.alerts {
		if a != nil && a.Told {
			d := s.decided(ks, alerting.Decision{Change: alerting.Cleared, Reason: reason, Time: now})
			s.tell(ks, alertSlot(slot), a, d, grounds{atEnd: l.atEnd(now)})
		}
	}
	if !st.empty() {
		s.out.stats.Evictions.add(s.env.rule.Name, limit, 1)
	}
	st.machine, st.window, st.detect, st.alerts = nil, nil, nil, [alertSlots]*alertState{}
	st.deadlines.cancel()
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
