package mqtt

import "time"

// pace decides whether a reader rests before it takes what has come, as the
// driver of a network card does with its interrupts: where messages come fast,
// each of them would wake the reader, and nearly each would have a sync of the
// log for itself. A message that comes alone is taken at once.
//
// A broker sends only so many messages without an acknowledgement. Where that
// is what it waits for, a rest makes it slower. Nobody tells a client of that
// limit; but if clearly fewer messages come with rests than came without them
// just before, that is likely, and the reader does not rest for a while.
type pace struct {
	rests bool // before the next taking

	begun time.Time     // of what is counted
	count int           // messages
	since time.Time     // it rests
	awake float64       // messages a second that came without rests, just before that
	trust time.Duration // that rests do no harm
	until time.Time     // it does not rest before
}

const (
	// restFor is how long a rest is: about the least that a Go program can sleep,
	// and no more than a sync of the log takes on many disks.
	restFor = time.Millisecond
	// fastRate is at how many messages a second rests begin: from two for each.
	fastRate = 2000
	// slowRate is at how many they end.
	slowRate = 1000
	// countFor is how long messages are counted before the pace is judged.
	countFor = 20 * time.Millisecond
	// trustFirst is after how long it is tried again how many come without rests.
	// Each time that this changes nothing it is twice as long, up to trustMost.
	trustFirst, trustMost = 100 * time.Millisecond, 1600 * time.Millisecond
	// awakeFor is how long it does not rest where rests make the broker slower.
	awakeFor = 250 * time.Millisecond
)

// took notes that messages were taken at a time.
func (p *pace) took(messages int, now time.Time) {
	p.count += messages
	passed := now.Sub(p.begun)
	if passed < countFor {
		return
	}
	rate := float64(p.count) / passed.Seconds()
	p.begun, p.count = now, 0
	switch {
	case !p.rests && (rate < fastRate || now.Before(p.until)):
	case !p.rests:
		p.rests, p.since, p.awake = true, now, rate
	case rate < slowRate:
		p.rests, p.trust = false, 0
	case now.Sub(p.since) < 2*countFor && rate < p.awake*4/5: // since they have begun
		p.rests, p.trust, p.until = false, 0, now.Add(awakeFor)
	case now.Sub(p.since) > max(p.trust, trustFirst):
		p.rests, p.trust = false, min(2*max(p.trust, trustFirst), trustMost)
	}
}

// due reports whether a rest is due for one who only now sees that something has
// come: what comes after a silence is no fast pace any more.
func (p *pace) due(now time.Time) bool { return p.rests && now.Sub(p.begun) < 2*countFor }
