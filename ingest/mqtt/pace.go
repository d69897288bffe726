package mqtt

import "time"

// pace decides whether a reader rests before it takes what has come, as the
// driver of a network card does with its interrupts: where messages come fast,
// each of them would wake the reader, and nearly each would have a sync of the
// log for itself. A message that comes alone is taken at once. Where messages come
// very fast rests are long: what a rest costs, a sync of the log and some wakings,
// is shared by twice as many.
//
// A broker sends only so many messages without an acknowledgement. Where that
// is what it waits for, a rest makes it slower. Nobody tells a client of that
// limit; but if most rests bring the same number of messages, and none brings more,
// that may be it. If fewer messages come then than came just before, the reader
// does not rest for a while, or not for long. Else it tries from time to time how
// many come without rests.
type pace struct {
	rest time.Duration // before the next taking; 0: none

	begun   time.Time // of what is counted
	count   int       // messages
	takings int       // of messages
	most    int       // messages that were taken at once
	as      int       // takings of as many

	since  time.Time     // its rests are as long as they are
	total  int           // messages since then, up to begun
	before float64       // messages a second that came just before that; 0: that says nothing
	judged bool          // long rests were compared with that
	trust  time.Duration // that rests do no harm
	until  time.Time     // it does not rest before
	brief  time.Time     // its rests are not long before
}

const (
	// restFor is how long a rest is: about the least that a Go program can sleep,
	// and no more than a sync of the log takes on many disks.
	restFor = time.Millisecond
	// longRest is how long it is where messages come very fast. Go waits in whole
	// milliseconds and rounds down: a little less than two would be one, and another
	// one, each with a waking.
	longRest = 2*time.Millisecond + 20*time.Microsecond
	// fastRate is at how many messages a second rests begin: from two for each.
	fastRate = 2000
	// slowRate is at how many they end.
	slowRate = 1000
	// longRate is at how many messages a second they are long.
	longRate = 20_000
	// countFor is how long messages are counted before the pace is judged. Without
	// rests so many messages may cost much, and countEnough in countLeast are enough.
	countFor, countLeast, countEnough = 20 * time.Millisecond, 5 * time.Millisecond, 100
	// longAfter is for how long rests are short before they are long, and how long it
	// takes to see what came of that.
	longAfter = 100 * time.Millisecond
	// trustFirst is after how long it is tried again how many come without rests,
	// where a limit is likely. Each time that this changes nothing it is twice as long,
	// up to trustMost.
	trustFirst, trustMost = 100 * time.Millisecond, 1600 * time.Millisecond
	// awakeFor is how long it does not rest where rests make the broker slower, and
	// briefFor how long its rests are not long where that does.
	awakeFor, briefFor = 250 * time.Millisecond, time.Second
)

// took notes that messages were taken at a time.
func (p *pace) took(messages int, now time.Time) {
	p.count += messages
	p.takings++
	switch {
	case messages == p.most:
		p.as++
	case messages > p.most:
		p.most, p.as = messages, 1
	}
	passed := now.Sub(p.begun)
	if passed < countFor && (p.rest > 0 || passed < countLeast || p.count < countEnough) {
		return
	}
	rate := float64(p.count) / passed.Seconds()
	limited := p.takings > 3 && 2*p.as > p.takings
	p.total += p.count
	p.begun, p.count, p.takings, p.most, p.as = now, 0, 0, 0, 0
	switch {
	case p.rest > 0 && rate < slowRate:
		p.rest, p.trust = 0, 0
	case p.rest == 0 && rate >= fastRate && !now.Before(p.until):
		p.change(restFor, rate, now)
	case p.rest == restFor:
		p.judge(rate, limited, now)
	case p.rest == longRest:
		p.judgeLong(rate, limited, now)
	}
}

// change begins with rests of a length.
func (p *pace) change(rest time.Duration, before float64, now time.Time) {
	p.rest, p.before, p.since, p.total, p.judged = rest, before, now, 0, false
}

// average returns how many messages a second have come since rests are as long as
// they are.
func (p *pace) average(now time.Time) float64 { return float64(p.total) / now.Sub(p.since).Seconds() }

// judge decides whether short rests go on, where each brings the same number of
// messages or not.
func (p *pace) judge(rate float64, limited bool, now time.Time) {
	lasted := now.Sub(p.since)
	switch {
	case limited && lasted < 2*countFor && rate < p.before*4/5: // since they have begun
		p.rest, p.trust, p.until = 0, 0, now.Add(awakeFor)
	case lasted >= longAfter && p.average(now) >= longRate && !now.Before(p.brief):
		p.change(longRest, p.average(now), now)
	case limited && lasted > max(p.trust, trustFirst):
		p.wake()
	}
}

// judgeLong decides whether long rests go on. More of them than of short ones
// come to a limit, so that they may not where clearly fewer messages come than
// before, whatever the reason.
func (p *pace) judgeLong(rate float64, limited bool, now time.Time) {
	lasted, worse := now.Sub(p.since), limited && rate < p.before*49/50
	if !p.judged && lasted >= longAfter {
		p.judged, worse = true, worse || p.average(now) < p.before*4/5
	}
	switch {
	case worse:
		p.brief = now.Add(briefFor)
		p.change(restFor, 0, now)
	case rate < longRate/2:
		p.change(restFor, 0, now)
	case limited && lasted > max(p.trust, trustFirst):
		p.wake()
	}
}

// wake tries how many messages come without rests.
func (p *pace) wake() { p.rest, p.trust = 0, min(2*max(p.trust, trustFirst), trustMost) }

// due returns how long to rest if one only now sees that something has come:
// what comes after a silence is no fast pace any more.
func (p *pace) due(now time.Time) time.Duration {
	if now.Sub(p.begun) >= 2*countFor {
		return 0
	}
	return p.rest
}
