package alerting

import "github.com/cepd/cepd/event"

// Phase says where in its life an alert is.
type Phase uint8

// The phases of an alert: it is [Pending] while `for` runs.
const (
	Inactive Phase = iota
	Pending
	Firing
)

// String returns the phase's name.
func (p Phase) String() string { return [...]string{"inactive", "pending", "firing"}[p] }

// Reasons of a [Decision]. They are values of a metric's label and part of a
// payload, so they never change.
const (
	ReasonHolds       = "condition"    // the condition holds
	ReasonFor         = "for"          // the condition held for as long as `for` asks
	ReasonMatch       = "match"        // a pattern matched
	ReasonTimeout     = "timeout"      // a partial match ran out of time
	ReasonClear       = "clear"        // the `clear` condition holds
	ReasonClearAfter  = "clear_after"  // nothing raised it anew for that long
	ReasonNoData      = "no_data"      // the key sent nothing for that long
	ReasonData        = "data"         // the key that had fallen silent sends again
	ReasonForgotten   = "forgotten"    // the key sent nothing for so long that it is forgotten
	ReasonEvicted     = "evicted"      // the rule has as many keys as its limit allows, and others are newer
	ReasonMemory      = "memory"       // memory has no room for the state of the key
	ReasonRuleRemoved = "rule_removed" // a reload took the rule away
	ReasonRuleChanged = "rule_changed" // a reload started the rule afresh
	ReasonRuleShadow  = "rule_shadow"  // a reload put the rule into shadow mode
	ReasonUpgrade     = "upgrade"      // another cepd had raised it, and for this one it does not fire
	ReasonDamaged     = "damaged"      // what was kept of its key is damaged

	ReasonPending     = "pending"      // waiting for `for`
	ReasonPendingOver = "pending_over" // the condition ended before `for` was over
	ReasonFiring      = "firing"       // it fires already
	ReasonClearing    = "clearing"     // waiting for `clear_for`
	ReasonHeld        = "held"         // fires on: `clear` does not hold
	ReasonQuiet       = "quiet"        // nothing holds and nothing fires
)

// Decision is what an instance does at one moment, and why. Change is zero
// where nobody needs to be told.
type Decision struct {
	Change Change
	Reason string
	Time   event.Time
}

// Silence says what happens to the alert of a key that sends nothing.
type Silence uint8

// What silence may do.
const (
	SilenceKeep  Silence = iota // nothing
	SilenceClear                // clears what fires
	SilenceRaise                // raises an alert, which the key's next event clears
)

// Policy is the part of a rule that decides when an alert is raised and
// cleared. All durations are of event time.
type Policy struct {
	For        event.Duration // how long the condition must hold; 0: raise at once
	ClearFor   event.Duration // how long the clear condition must hold; 0: clear at once
	ClearAfter event.Duration // clear when nothing raised it anew for that long; 0: never

	NoData  event.Duration // a key that sends nothing for that long is silent; 0: never
	Silence Silence        // what that does
	Forget  event.Duration // a key that sends nothing for that long is forgotten; 0: never
}

// Instance is the alert of one rule and key. The zero Instance is inactive.
type Instance struct {
	Phase      Phase
	Clearing   bool       // the clear condition holds since ClearSince
	Silent     bool       // silence raised it, or cleared it
	Matches    uint32     // raises and raises anew while firing; one that is full counts no more
	Since      event.Time // pending or firing since
	ClearSince event.Time
	Last       event.Time // when it was last raised, or raised anew
	Seen       event.Time // when the key was last heard of, where silence matters
}

// Remembers reports whether an instance must be kept while it is inactive, to
// know when its key was last heard of.
func (p Policy) Remembers() bool { return p.Silence == SilenceRaise && p.NoData > 0 || p.Forget > 0 }

// Listens reports whether it matters when a key was last heard of.
func (p Policy) Listens() bool { return p.Silence != SilenceKeep && p.NoData > 0 || p.Forget > 0 }

// Level judges a condition that holds or not, and whether the alert may clear.
// While the condition holds, clear is not asked: of two that contradict each
// other the one that warns wins.
func (p Policy) Level(in *Instance, holds, clear bool, now event.Time) Decision {
	silent := in.Silent
	in.Seen, in.Silent = now, false
	if holds {
		in.Clearing = false
		return p.hold(in, now)
	}
	switch {
	case in.Phase == Pending:
		in.end()
		return Decision{Reason: ReasonPendingOver, Time: now}
	case in.Phase == Inactive:
		return Decision{Reason: ReasonQuiet, Time: now}
	case silent:
		in.end()
		return Decision{Change: Cleared, Reason: ReasonData, Time: now}
	case !clear:
		in.Clearing = false
		return Decision{Reason: ReasonHeld, Time: now}
	case p.ClearFor == 0:
		in.end()
		return Decision{Change: Cleared, Reason: ReasonClear, Time: now}
	case !in.Clearing:
		in.Clearing, in.ClearSince = true, now
	}
	return Decision{Reason: ReasonClearing, Time: now}
}

func (p Policy) hold(in *Instance, now event.Time) Decision {
	switch {
	case in.Phase == Pending:
		return Decision{Reason: ReasonPending, Time: now}
	case in.Phase == Firing:
		in.Last = now
		return Decision{Reason: ReasonFiring, Time: now}
	case p.For > 0:
		*in = Instance{Phase: Pending, Since: now, Last: now, Seen: in.Seen}
		return Decision{Reason: ReasonPending, Time: now}
	}
	in.fire(now)
	return Decision{Change: Raised, Reason: ReasonHolds, Time: now}
}

// Match judges a match of a pattern: it raises, or adds to what fires.
func (p Policy) Match(in *Instance, now event.Time, reason string) Decision {
	if in.Phase == Firing {
		in.Last = now
		in.Matches = max(in.Matches, in.Matches+1)
		return Decision{Reason: ReasonFiring, Time: now}
	}
	in.fire(now)
	return Decision{Change: Raised, Reason: reason, Time: now}
}

func (in *Instance) fire(now event.Time) {
	*in = Instance{Phase: Firing, Since: now, Last: now, Matches: 1, Seen: in.Seen}
}

// end makes the instance inactive, and leaves what it counted to be told.
func (in *Instance) end() { *in = Instance{Matches: in.Matches, Seen: in.Seen} }

// Due returns the earliest moment at which time alone changes the instance,
// [event.MaxTime] if there is none. All these deadlines ask for steadiness:
// they are due when event time has passed them.
func (p Policy) Due(in *Instance) event.Time { return min(p.DueSilent(in), p.DueSteady(in)) }

// DueSilent is Due for what silence brings. Where keys have a time of their
// own, that of a silent one stands still, and silence goes by another time than
// the rest.
func (p Policy) DueSilent(in *Instance) event.Time { return min(p.silentAt(in), p.forgetAt(in)) }

// DueSteady is Due for all else.
func (p Policy) DueSteady(in *Instance) event.Time {
	due := event.MaxTime
	switch in.Phase {
	case Pending:
		due = min(due, in.Since.Add(p.For))
	case Firing:
		due = min(due, p.clearAt(in), p.clearAfterAt(in))
	}
	return due
}

func (p Policy) silentAt(in *Instance) event.Time {
	if p.NoData == 0 || in.Silent || p.Silence == SilenceKeep ||
		p.Silence == SilenceRaise && in.Phase == Firing || p.Silence == SilenceClear && in.Phase == Inactive {
		return event.MaxTime
	}
	return in.Seen.Add(p.NoData)
}

func (p Policy) forgetAt(in *Instance) event.Time {
	if p.Forget == 0 {
		return event.MaxTime
	}
	return in.Seen.Add(p.Forget)
}

func (p Policy) clearAt(in *Instance) event.Time {
	if !in.Clearing {
		return event.MaxTime
	}
	return in.ClearSince.Add(p.ClearFor)
}

func (p Policy) clearAfterAt(in *Instance) event.Time {
	if p.ClearAfter == 0 || in.Silent {
		return event.MaxTime
	}
	return in.Last.Add(p.ClearAfter)
}

// Expire makes the change that was due at now, which must be what [Policy.Due]
// returned. Of several that are due at once the alert's own come first.
func (p Policy) Expire(in *Instance, now event.Time) Decision {
	switch {
	case in.Phase == Pending && now == in.Since.Add(p.For):
		in.fire(now)
		return Decision{Change: Raised, Reason: ReasonFor, Time: now}
	case in.Phase == Firing && now == p.clearAt(in):
		in.end()
		return Decision{Change: Cleared, Reason: ReasonClear, Time: now}
	case in.Phase == Firing && now == p.clearAfterAt(in):
		in.end()
		return Decision{Change: Cleared, Reason: ReasonClearAfter, Time: now}
	}
	return p.ExpireSilent(in, now)
}

// ExpireSilent is Expire for what [Policy.DueSilent] returned.
func (p Policy) ExpireSilent(in *Instance, now event.Time) Decision {
	if now == p.silentAt(in) {
		return p.fallSilent(in, now)
	}
	was := in.Phase
	*in = Instance{Matches: in.Matches}
	if was == Firing {
		return Decision{Change: Cleared, Reason: ReasonForgotten, Time: now}
	}
	return Decision{Reason: ReasonForgotten, Time: now}
}

func (p Policy) fallSilent(in *Instance, now event.Time) Decision {
	was := in.Phase
	if p.Silence == SilenceRaise {
		in.fire(now)
		in.Silent = true
		return Decision{Change: Raised, Reason: ReasonNoData, Time: now}
	}
	in.end()
	if was == Firing {
		return Decision{Change: Cleared, Reason: ReasonNoData, Time: now}
	}
	return Decision{Reason: ReasonNoData, Time: now}
}
