package engine

import (
	"cmp"

	"github.com/cepd/cepd/event"
)

// timerKind says whose deadline a timer is. The kinds are in firing order among
// timers of one time.
type timerKind uint8

const (
	timerRuns         timerKind = iota // a window of a pattern ends: interval
	timerWindow                        // a window, or a stretch of a detector, ends: interval
	timerAlert                         // `for`, `clear_for` or `clear_after` is over: steadiness
	timerTimeoutAlert                  // the same of the alert for partial matches: steadiness
	timerIdle                          // `limits: {idle: …}` is over: steadiness
	timerKinds
)

// timerSilence is the silence of a key, in lanes where that has a time of its
// own. Patterns know no silence, and only they have partial matches.
const timerSilence = timerTimeoutAlert

// byLane reports whether the timer goes by the time of the lane where keys have
// a time of their own.
func (t *timer) byLane() bool { return t.kind == timerIdle || t.silence() }

func (t *timer) silence() bool {
	return t.kind == timerSilence && t.keys.clock() != nil && t.keys.table.rules[t.rule].Pattern == nil
}

// Timers at a time T fire in two phases around the events of T.
const (
	phaseInterval = 0 // when the watermark reaches T, before the events of T
	phaseEvents   = 1
	phaseSteady   = 2 // when the watermark has passed T
)

func (k timerKind) phase() uint8 {
	if k <= timerWindow {
		return phaseInterval
	}
	return phaseSteady
}

// timer is a deadline of one rule and key. Entries whose deadline has moved
// stay in the queue and are dropped when they come up.
type timer struct {
	at   event.Time
	keys *keyState
	rule int32 // index into the key's table
	kind timerKind
}

// compare is the order in which timers fire. To rules and keys it does not matter
// which of them comes first: keys that lie in several shards have no order, and
// what is put out is sorted.
func (t *timer) compare(u *timer) int {
	return cmp.Or(cmp.Compare(t.at, u.at), cmp.Compare(t.kind, u.kind))
}

// due returns the watermark at which the timer goes off.
func (t *timer) due() event.Time {
	if t.kind.phase() == phaseSteady {
		return t.at.Add(1) // when the watermark has passed it
	}
	return t.at
}

// never is the deadline of a timer that is not wanted.
const never = event.MaxTime

// deadline is what a rule and key want of a timer, and what is queued for it.
type deadline struct {
	at     event.Time // when it shall go off
	queued event.Time // of its entry in the queue, not later than at
}

// noDeadline wants nothing of a timer, and knows of none.
var noDeadline = deadline{never, never}

func (st *ruleState) kind() timerKind { return timerKind(st.bits & kindMask >> kindShift) }

// due returns the deadline of a kind to change. Most rules have one kind.
func (st *ruleState) due(kind timerKind) *deadline {
	switch {
	case st.kind() == kind:
		return &st.deadline
	case st.extra != nil && st.extra.deadlines != nil:
		return &st.extra.deadlines[kind]
	case st.deadline == noDeadline:
		st.bits = st.bits&^kindMask | ruleBits(kind)<<kindShift
		return &st.deadline
	}
	x := st.more()
	x.deadlines = &[timerKinds]deadline{}
	for k := range x.deadlines {
		x.deadlines[k] = noDeadline
	}
	return &x.deadlines[kind]
}

// until returns the deadline of a kind to read.
func (st *ruleState) until(kind timerKind) deadline {
	switch {
	case st.kind() == kind:
		return st.deadline
	case st.extra != nil && st.extra.deadlines != nil:
		return st.extra.deadlines[kind]
	}
	return noDeadline
}

// queued reports whether the queue knows any of the deadlines.
func (st *ruleState) queued() bool {
	if st.extra != nil && st.extra.deadlines != nil {
		for _, d := range st.extra.deadlines {
			if d.queued != never {
				return true
			}
		}
	}
	return st.deadline.queued != never
}

// cancel wants none of the deadlines any more.
func (st *ruleState) cancel() {
	st.deadline.at = never
	if st.extra != nil && st.extra.deadlines != nil {
		for k := range st.extra.deadlines {
			st.extra.deadlines[k].at = never
		}
	}
}

// deadline returns the timer's deadline, to change if it is queued for the
// timer.
func (t *timer) deadline() *deadline {
	if st := t.keys.look(int(t.rule)); st != noState {
		return st.due(t.kind)
	}
	return &deadline{never, never}
}

// before reports whether the timer fires before a given phase of a given time.
func (t *timer) before(at event.Time, phase uint8) bool {
	return t.at < at || t.at == at && t.kind.phase() < phase
}
