package alerting

import "github.com/cepd/cepd/event"

// Reasons why sinks are told of a change at another time than it was judged,
// or not at all.
const (
	ReasonFlapping     = "flapping"      // raised and cleared too often: one alert stands for all
	ReasonSettled      = "settled"       // it flaps no more
	ReasonOutsideHours = "outside_hours" // held back: outside of `active`
	ReasonUnless       = "unless"        // held back: the alert that `unless` names fires
	ReasonRetained     = "retained"      // held back: judged on a message that the broker had kept
	ReasonReleased     = "released"      // what held it back is over, and it still fires
	ReasonUntold       = "untold"        // it clears, and sinks never knew of it
)

// Flap says when an alert that comes and goes is told as one.
type Flap struct {
	Changes int            // raises and clears within Within that make it flap; 0: never
	Within  event.Duration // and how long it must be steady until it flaps no more
}

// Gate stands between what is judged and what sinks are told. The zero Gate
// has told nothing.
type Gate struct {
	Told     bool     // sinks know the alert as firing
	Flapping bool     // changes are not told until it settles
	Changes  *Changes // nil where there are none
}

// Changes are the times of an alert's last changes, at most [Flap.Changes]. Few
// rules ask for them.
type Changes []event.Time

// LastChanges returns the times of the last changes.
func (g *Gate) LastChanges() Changes {
	if g.Changes == nil {
		return nil
	}
	return *g.Changes
}

// Judged takes in a change that was judged at now, and returns what sinks are
// told. hold, where it is not empty, is the reason why a raise is held back.
// Sinks are told of a clear only if they know of the raise.
func (f Flap) Judged(g *Gate, d Decision, hold string) Decision {
	if d.Change != 0 && f.Changes > 0 {
		f.count(g, d.Time)
	}
	switch {
	case g.Flapping && !g.Told && hold == "" && d.Change == Raised:
		g.Told = true
		return Decision{Raised, ReasonFlapping, d.Time}
	case g.Flapping:
		return Decision{Reason: ReasonFlapping, Time: d.Time}
	case d.Change == Raised && hold != "":
		return Decision{Reason: hold, Time: d.Time}
	case d.Change == Raised && !g.Told:
		g.Told = true
		return d
	case d.Change == Cleared && g.Told:
		g.Told = false
		return d
	case d.Change == Cleared:
		return Decision{Reason: ReasonUntold, Time: d.Time}
	}
	return Decision{Reason: d.Reason, Time: d.Time}
}

// count remembers a change, and sees whether there were too many.
func (f Flap) count(g *Gate, now event.Time) {
	at := g.LastChanges()
	for len(at) > 0 && now.Sub(at[0]) >= f.Within {
		at = at[1:]
	}
	// A reload may have lowered the limit since they were counted.
	for len(at) >= f.Changes {
		at = at[1:]
	}
	at = append(at, now)
	g.Changes = &at
	g.Flapping = g.Flapping || len(at) == f.Changes
}

// Due returns when the alert has settled if nothing changes before, and the
// last changes can be forgotten; [event.MaxTime] where there are none. It asks
// for steadiness.
func (f Flap) Due(g *Gate) event.Time {
	at := g.LastChanges()
	if len(at) == 0 {
		return event.MaxTime
	}
	return at[len(at)-1].Add(f.Within)
}

// Settle ends the flapping that was due to end at now, and returns what sinks
// are told to bring them up to date.
func (f Flap) Settle(g *Gate, firing bool, hold string, now event.Time) Decision {
	flapped := g.Flapping
	g.Flapping, g.Changes = false, nil
	switch {
	case !flapped:
	case firing && !g.Told && hold == "":
		g.Told = true
		return Decision{Raised, ReasonSettled, now}
	case !firing && g.Told:
		g.Told = false
		return Decision{Cleared, ReasonSettled, now}
	}
	return Decision{Reason: ReasonSettled, Time: now}
}

// Release tells of an alert that was held back, fires, and is held back no
// more.
func (g *Gate) Release(firing bool, now event.Time) Decision {
	if !firing || g.Told || g.Flapping {
		return Decision{Reason: ReasonQuiet, Time: now}
	}
	g.Told = true
	return Decision{Raised, ReasonReleased, now}
}

// Idle reports whether there is nothing to remember.
func (g *Gate) Idle() bool { return !g.Told && !g.Flapping && len(g.LastChanges()) == 0 }
