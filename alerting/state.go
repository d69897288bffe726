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
	ReasonRuleRemoved = "rule_removed" // a reload took the rule away
	ReasonRuleChanged = "rule_changed" // a reload started the rule afresh

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

// Policy is the part of a rule that decides when an alert is raised and
// cleared. All durations are of event time.
type Policy struct {
	For        event.Duration // how long the condition must hold; 0: raise at once
	ClearFor   event.Duration // how long the clear condition must hold; 0: clear at once
	ClearAfter event.Duration // clear when nothing raised it anew for that long; 0: never
}

// Instance is the alert of one rule and key. The zero Instance is inactive.
type Instance struct {
	Phase      Phase
	Clearing   bool       // the clear condition holds since ClearSince
	Since      event.Time // pending or firing since
	ClearSince event.Time
	Last       event.Time // when it was last raised, or raised anew
	Matches    int        // raises and raises anew while firing
}

// Level judges a condition that holds or not, and whether the alert may clear.
// While the condition holds, clear is not asked: of two that contradict each
// other the one that warns wins.
func (p Policy) Level(in *Instance, holds, clear bool, now event.Time) Decision {
	if holds {
		in.Clearing = false
		return p.hold(in, now)
	}
	switch {
	case in.Phase == Pending:
		*in = Instance{}
		return Decision{Reason: ReasonPendingOver, Time: now}
	case in.Phase == Inactive:
		return Decision{Reason: ReasonQuiet, Time: now}
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
		*in = Instance{Phase: Pending, Since: now, Last: now}
		return Decision{Reason: ReasonPending, Time: now}
	}
	in.fire(now)
	return Decision{Change: Raised, Reason: ReasonHolds, Time: now}
}

// Match judges a match of a pattern: it raises, or adds to what fires.
func (p Policy) Match(in *Instance, now event.Time, reason string) Decision {
	if in.Phase == Firing {
		in.Last = now
		in.Matches++
		return Decision{Reason: ReasonFiring, Time: now}
	}
	in.fire(now)
	return Decision{Change: Raised, Reason: reason, Time: now}
}

func (in *Instance) fire(now event.Time) {
	*in = Instance{Phase: Firing, Since: now, Last: now, Matches: 1}
}

// end makes the instance inactive, and leaves what it counted to be told.
func (in *Instance) end() { *in = Instance{Matches: in.Matches} }

// Due returns the earliest moment at which time alone changes the instance,
// [event.MaxTime] if there is none. All these deadlines ask for steadiness:
// they are due when event time has passed them.
func (p Policy) Due(in *Instance) event.Time {
	due := event.MaxTime
	if in.Phase == Pending {
		return in.Since.Add(p.For)
	}
	if in.Phase != Firing {
		return due
	}
	if in.Clearing {
		due = in.ClearSince.Add(p.ClearFor)
	}
	if p.ClearAfter > 0 {
		due = min(due, in.Last.Add(p.ClearAfter))
	}
	return due
}

// Expire makes the change that was due at now, which must be what [Policy.Due]
// returned.
func (p Policy) Expire(in *Instance, now event.Time) Decision {
	switch {
	case in.Phase == Pending:
		in.fire(now)
		return Decision{Change: Raised, Reason: ReasonFor, Time: now}
	case in.Clearing && now == in.ClearSince.Add(p.ClearFor):
		in.end()
		return Decision{Change: Cleared, Reason: ReasonClear, Time: now}
	}
	in.end()
	return Decision{Change: Cleared, Reason: ReasonClearAfter, Time: now}
}
