package nfa

import "github.com/cepd/cepd/event"

// A Machine holds the open partial matches of one key, and moves them event by
// event. There are two: the run machine, for any program, and the compact
// machine, for those that [Prog.Compact] reports. They give the same matches.
type Machine interface {
	// Step moves the partial matches over an event, whose time no later event
	// may precede. The caller has advanced the machine to the event's time
	// before.
	Step(e *event.Event, env Env, out *Result)
	// Advance ends what ends up to and including a time: partial matches past
	// their window, and trailing negations that held until their deadline.
	Advance(t event.Time, out *Result)
	// Deadline returns a time before which Advance would change nothing that
	// can be told, [event.MaxTime] if it never does.
	Deadline() event.Time
	// Empty reports whether there is nothing to remember.
	Empty() bool
	// AppendBinary appends an exact encoding of the machine to dst.
	AppendBinary(dst []byte) []byte
}

// NewMachine returns the machine for a program, without partial matches. A key
// without any needs none: a caller may step one empty machine for all such
// keys, and give it away to the key once it is no longer empty.
func NewMachine(p *Prog) Machine {
	if p.compact != nil {
		return newCompactMachine(p)
	}
	return newRunMachine(p)
}

// Makes reports whether [NewMachine] returns machines such as m, which is of the
// program. One that was read back may be of the other kind: its conditions looked
// at the run when it was stored, and do so no more. Such a machine goes on, but
// must not serve another key, since what is stored of a key would depend on it.
func (p *Prog) Makes(m Machine) bool {
	_, compact := m.(*compactMachine)
	return compact == (p.compact != nil)
}

// NewTracedMachine returns a machine whose partial matches a [Tracer] can
// follow one by one, whatever the program.
func NewTracedMachine(p *Prog) Machine { return newRunMachine(p) }

// runMachine is the machine for any program.
//
// Most keys that have any run have one that has accepted one event. That lies
// in the machine itself, which has no set of runs then.
type runMachine struct {
	prog  *Prog
	first *event.Event // of the only run; nil for none, or where there is a set
	runs  *runSet      // nil for none
	state uint32       // in which the only run waits
	step  uint16       // that has taken its event
	given bool         // it has been given as a match
}

// runSet holds the runs of a key.
//
// The runs lie in buckets, one for each state in which a run waits. Whether an
// event moves a run depends, but for linked predicates, on its state alone; so
// one look decides for a whole bucket, and an event that moves nothing visits
// no run. In a bucket the runs are sorted by their first event, so that what
// is too old, and what a match skips, is a beginning of the bucket.
type runSet struct {
	prog    *Prog
	buckets []bucket  // sorted by state, none empty
	waiting []waiting // completed matches that order: start holds back, sorted
	epoch   uint32    // see node.mark
	count   uint32    // runs in all buckets
}

// run is a partial match: what it has accepted. Its state is its bucket's.
type run struct {
	last  *node
	first *event.Event
}

type bucket struct {
	runs  []run
	due   event.Time // no run of the bucket ends before
	state uint32
	// byLast says that the runs are sorted by their last event as well, as
	// they are behind a first step. Then a step's window is cut like the
	// pattern's.
	byLast bool
}

// waiting is a completed match and its end.
type waiting struct {
	run
	end event.Time
}

func newRunMachine(p *Prog) *runMachine { return &runMachine{prog: p} }

// Empty implements [Machine].
func (m *runMachine) Empty() bool { return m.first == nil && m.runs == nil }

// Deadline implements [Machine]: the earliest end of a run.
func (m *runMachine) Deadline() event.Time {
	switch {
	case m.first != nil:
		return m.prog.deadline(&m.prog.flat[m.state], m.first.Time, m.first.Time)
	case m.runs != nil:
		return m.runs.deadline()
	}
	return event.MaxTime
}

// Advance implements [Machine].
func (m *runMachine) Advance(t event.Time, out *Result) {
	t = min(t, event.MaxTime-1) // MaxTime is the deadline of what never ends
	if t < m.Deadline() {
		return
	}
	m.inflate(&out.scratch)
	m.runs.advance(t, out)
	m.settle(&out.scratch)
}

// Step implements [Machine].
func (m *runMachine) Step(e *event.Event, env Env, out *Result) {
	s := &out.scratch
	if m.runs == nil && out.Trace == nil {
		s.env = env
		done := m.stepFirst(e, s)
		if s.env = nil; done {
			return
		}
	}
	m.inflate(s)
	m.runs.step(e, env, out)
	m.settle(s)
}

// stepFirst is Step for a machine without a set of runs. It returns false if
// the event makes one necessary, having changed nothing.
func (m *runMachine) stepFirst(e *event.Event, s *scratch) bool {
	p := m.prog
	if m.first == nil {
		return !s.open(p, startState) || m.begin(s)
	}
	if f := &p.flat[m.state]; p.lapses(f) && m.first.Time.Add(p.within) <= e.Time {
		return false
	}
	s.open(p, int(m.state))
	return s.stay(int(m.state)) && !s.open(p, startState)
}

// begin lets the event begin the only run, if that is all that it does.
func (m *runMachine) begin(s *scratch) bool {
	if len(s.active) > 1 || s.active[0].asks {
		return false
	}
	a := s.active[0].arc
	if a.kind != arcTake {
		return true // nothing has begun that could be killed, or wait
	}
	if len(a.ends) > 0 || a.to == finalState || len(m.prog.stepAggs[a.step]) > 0 {
		return false
	}
	m.first, m.state, m.step, m.given = s.env.Keep(), uint32(a.to), uint16(a.step), false
	return true
}

// inflate makes a set of the only run, if there is one.
func (m *runMachine) inflate(s *scratch) {
	if m.runs != nil {
		return
	}
	r := s.spare
	if s.spare = nil; r == nil {
		r = newRunSet()
	}
	r.prog, m.runs = m.prog, r
	if m.first != nil {
		n := m.prog.extend(nil, int(m.step), m.first)
		n.given = m.given
		s.moved = append(s.moved, move{int(m.state), run{n, m.first}})
		r.settle(s)
		s.moved[0] = move{}
		s.moved = s.moved[:0]
		m.first = nil
	}
}

// newRunSet returns an empty set, in one piece of memory with a bucket.
func newRunSet() *runSet {
	few := &struct {
		runSet
		buckets [1]bucket
	}{}
	few.runSet.buckets = few.buckets[:0]
	return &few.runSet
}

// settle gives up a set without runs.
func (m *runMachine) settle(s *scratch) {
	if m.runs.size() == 0 {
		s.spare, m.runs = m.runs, nil
	}
}

// deflate does without a set where that has only one run, that has accepted one
// event. It is for machines that wait: where runs come and go the set is soon
// wanted again.
func (m *runMachine) deflate() {
	r := m.runs
	if r == nil || r.size() > 1 || r.count == 0 {
		return
	}
	b := &r.buckets[0]
	if n := b.runs[0].last; n.depth == 0 && n.extra == nil {
		*m = runMachine{prog: m.prog, first: n.event, state: b.state, step: n.step, given: n.given}
	}
}

// size returns the number of open runs, with matches that wait for them.
func (m *runSet) size() int { return int(m.count) + len(m.waiting) }

// scratch is the memory of one call of Step or Advance.
type scratch struct {
	event  *event.Event
	env    Env
	kept   *event.Event
	made   []made
	fresh  []*node // of made, those that begin a chain
	active []active
	chosen []*arc
	moved  []move
	done   []waiting
	ended  []ended
	answer []answer // by predicate, for the run at hand
	run    uint32   // the number of that run
	hist   History  // and what it has accepted
	spare  *runSet  // empty
}

// release forgets what a call found, so that it can be collected.
func (s *scratch) release() {
	s.event, s.env, s.kept, s.hist.last = nil, nil, nil, nil
	if len(s.made)+len(s.fresh)+len(s.moved)+len(s.done)+len(s.ended) == 0 {
		return
	}
	clear(s.made)
	clear(s.fresh)
	clear(s.moved)
	clear(s.done)
	clear(s.ended)
	s.made, s.fresh, s.moved, s.done, s.ended = s.made[:0], s.fresh[:0], s.moved[:0], s.done[:0], s.ended[:0]
}

// made is a node of the event at hand; next links those of one predecessor.
type made struct {
	node *node
	next uint32 // index+1 in made
}

// move is a run on its way to a state.
type move struct {
	state int
	run
}

// active is an arc that the plain predicates leave open. asks says that linked
// ones decide.
type active struct {
	arc  *arc
	asks bool
}

// answer remembers a linked predicate's answer for one run.
type answer struct {
	run  uint32
	hold bool
}

// tick starts a new epoch.
func (m *runSet) tick() {
	m.epoch++
	if m.epoch != 0 {
		return
	}
	// Once in four billion: forget all marks, so that none is taken for new.
	m.epoch = 1
	m.heads(func(n *node) {
		for ; n != nil; n = n.prev() {
			n.mark = 0
		}
	})
}

// heads visits the last node of every run, and of every match that waits.
func (m *runSet) heads(visit func(n *node)) {
	for _, b := range m.buckets {
		for _, r := range b.runs {
			visit(r.last)
		}
	}
	for _, w := range m.waiting {
		visit(w.last)
	}
}

// step is [Machine.Step].
func (m *runSet) step(e *event.Event, env Env, out *Result) {
	if m.prog.windows && m.prog.within > 0 {
		m.lapse(e.Time, out)
	}
	s := &out.scratch
	s.event, s.env = e, env
	if len(s.answer) < len(m.prog.preds) {
		s.answer = make([]answer, len(m.prog.preds))
	}
	s.hist.prog = m.prog
	m.tick()
	emptied := false
	for i := range m.buckets {
		b := &m.buckets[i]
		m.stepBucket(b, out)
		emptied = emptied || len(b.runs) == 0
	}
	m.stepStart(out)
	if len(s.moved) > 0 {
		m.settle(s)
	}
	if emptied {
		m.sweep() // only now: a loop that takes an event comes back to its bucket
	}
	if len(s.done) > 0 || len(m.waiting) > 0 {
		m.complete(out)
	}
	if m.size() > m.prog.maxRuns {
		m.evict(e.Time, out)
	}
	s.release()
}

// stepStart lets the event begin runs. The start itself always stays.
func (m *runSet) stepStart(out *Result) {
	if out.scratch.open(m.prog, startState) {
		m.stepRun(run{}, startState, out)
	}
}

// stepBucket moves the runs of one state.
func (m *runSet) stepBucket(b *bucket, out *Result) {
	s := &out.scratch
	state := int(b.state)
	s.open(m.prog, state)
	if s.stay(state) && out.Trace == nil {
		return
	}
	kept := 0
	for _, r := range b.runs {
		if m.stepRun(r, state, out) {
			b.runs[kept] = r
			kept++
		}
	}
	m.truncate(b, kept)
}

// stays reports whether an arc leaves a run as and where it is.
func (a *arc) stays(state int) bool { return a.kind == arcIgnore && a.to == state }

// stay reports whether the active arcs leave every run as and where it is.
func (s *scratch) stay(state int) bool {
	return len(s.active) == 1 && !s.active[0].asks && s.active[0].arc.stays(state)
}

// open evaluates the plain predicates of a state's arcs. It leaves in active
// those that hold and those that linked predicates decide.
func (s *scratch) open(p *Prog, state int) bool {
	s.active = s.active[:0]
	f := &p.flat[state]
	resting := false
	if f.rests {
		resting, _ = s.plain(p, f.rest)
	}
	for i := range f.arcs {
		a := &f.arcs[i]
		if resting && a.kind == arcIgnore {
			continue
		}
		if hold, asks := s.plain(p, a.on); hold || asks {
			s.active = append(s.active, active{a, asks})
		}
	}
	if resting {
		s.active = append(s.active, active{&f.stay, false})
	}
	return len(s.active) > 0
}

// plain evaluates a condition as far as plain predicates go: it holds, or asks
// linked ones, or neither.
func (s *scratch) plain(p *Prog, on cond) (hold, asks bool) {
	for _, cl := range on {
		holds, linked := false, false
		for _, l := range cl {
			if pred := &p.preds[l.pred()]; pred.Linked {
				linked = true
			} else if s.env.Holds(pred.ID) != l.negated() {
				holds = true
				break
			}
		}
		if !holds && !linked {
			return false, false
		}
		asks = asks || !holds
	}
	return !asks, asks
}

// holds evaluates a whole condition for the run at hand.
func (s *scratch) holds(p *Prog, on cond) bool {
	for _, cl := range on {
		holds := false
		for _, l := range cl {
			holds = holds || s.literal(p, l)
		}
		if !holds {
			return false
		}
	}
	return true
}

func (s *scratch) literal(p *Prog, l literal) bool {
	pred := &p.preds[l.pred()]
	if !pred.Linked {
		return s.env.Holds(pred.ID) != l.negated()
	}
	a := &s.answer[l.pred()]
	if a.run != s.run {
		*a = answer{s.run, s.env.Linked(pred.ID, &s.hist)}
	}
	return a.hold != l.negated()
}

// look makes r the run that linked predicates are asked about.
func (s *scratch) look(r run) {
	s.hist.last = r.last
	s.run++
	if s.run == 0 {
		clear(s.answer)
		s.run = 1
	}
}

// stepRun moves one run along the active arcs and reports whether it also
// stays as it is. The run of the start state is empty.
func (m *runSet) stepRun(r run, state int, out *Result) (stays bool) {
	s := &out.scratch
	s.look(r)
	s.chosen = s.chosen[:0]
	begins, killer := r.last == nil, -1
	for _, a := range s.active {
		switch {
		case a.asks && !s.holds(m.prog, a.arc.on):
		case a.arc.kind != arcStop:
			s.chosen = append(s.chosen, a.arc)
		case !begins: // nothing has begun that could be killed
			killer = a.arc.step
		}
	}
	for _, a := range s.chosen {
		switch {
		case a.kind == arcTake:
			m.take(r, a, killer >= 0, out)
		case begins:
		case a.to == finalState:
			m.finish(r, s.event.Time, s)
		case killer >= 0:
		case a.to == state:
			stays = true
		default:
			s.moved = append(s.moved, move{a.to, r})
		}
	}
	if out.Trace != nil && !begins {
		m.traceStep(out, r, state, killer)
	}
	return stays
}

// take lets a run accept the event. A killed run may still complete with it.
func (m *runSet) take(r run, a *arc, killed bool, out *Result) {
	s := &out.scratch
	n := m.extend(r.last, a.step, s)
	next := run{n, r.first}
	if next.first == nil {
		next.first = n.event
	}
	if out.Trace != nil {
		m.traceTake(out, r, next, a)
	}
	if a.to == finalState {
		m.finish(next, s.event.Time, s)
		return
	}
	if !killed {
		s.moved = append(s.moved, move{a.to, next})
	}
	for _, end := range a.ends {
		if s.holds(m.prog, end) {
			m.finish(next, s.event.Time, s)
			return
		}
	}
}

// finish notes a completed match, unless it has been given before.
func (m *runSet) finish(r run, end event.Time, s *scratch) {
	if !r.last.given {
		r.last.given = true
		s.done = append(s.done, waiting{r, end})
	}
}

// extend returns the chain of prev and the event at hand, always the same one
// for the same predecessor and step.
func (m *runSet) extend(prev *node, step int, s *scratch) *node {
	if prev == nil {
		for _, n := range s.fresh {
			if int(n.step) == step {
				return n
			}
		}
	} else if prev.mark != m.epoch {
		prev.mark, prev.child = m.epoch, 0
	} else {
		for i := prev.child; i != 0; i = s.made[i-1].next {
			if n := s.made[i-1].node; int(n.step) == step {
				return n
			}
		}
	}
	n := m.prog.extend(prev, step, s.keep())
	m.fold(n, s)
	if prev == nil {
		s.fresh = append(s.fresh, n)
		return n
	}
	s.made = append(s.made, made{n, prev.child})
	prev.child = uint32(len(s.made))
	return n
}

func (s *scratch) keep() *event.Event {
	if s.kept == nil {
		s.kept = s.env.Keep()
	}
	return s.kept
}

// fold carries on the aggregates over the step that took the event.
func (m *runSet) fold(n *node, s *scratch) {
	aggs := m.prog.stepAggs[n.step]
	if len(aggs) == 0 {
		return
	}
	values := make([]event.Value, m.prog.stepVals[n.step])
	if n.same != nil {
		copy(values, n.same.extra.values)
	}
	for _, i := range aggs {
		a := m.prog.aggs[i]
		s.env.Fold(i, values[a.offset:a.offset+a.width])
	}
	if n.extra == nil {
		n.extra = &extra{}
	}
	n.extra.values = values
}
