package engine

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
)

// What a [Notice] may say of the clock.
const (
	ClockBehind = "behind" // it is behind the last record, and is not believed
	ClockAhead  = "ahead"  // it was set forward, and is followed
	ClockRight  = "right"  // it is not behind any more
)

// What a [Notice] may say of memory.
const (
	MemoryNear   = "near"   // it is nearly used up, and sources are given less
	MemoryEnough = "enough" // it is not any more
)

// Notice is what the shell has noticed of itself, as it stands in the log.
type Notice struct {
	Clock string `json:"clock,omitempty"` // one of the above; empty: nothing
	By    string `json:"by,omitempty"`    // how far it is behind, or was set
	// Damaged is the number of pieces of state that are damaged, and whose keys
	// start afresh, and Rules some of the rules that they are of.
	Damaged int      `json:"damaged,omitempty"`
	Rules   []string `json:"rules,omitempty"`
	// Memory is how it is with memory: one of the above; empty: nothing is said.
	// For want of it, Judge has the events judged that are held back, and Evict
	// lists keys whose state goes.
	Memory string    `json:"memory,omitempty"`
	Judge  bool      `json:"judge,omitempty"`
	Evict  []Evicted `json:"evict,omitempty"`
	// Sink names a sink. GivenUp is why a delivery to it was given up; empty:
	// deliveries come through again, or there is no such sink any more.
	Sink    string `json:"sink,omitempty"`
	GivenUp string `json:"given_up,omitempty"`
}

// Record returns the record that says it.
func (n Notice) Record(arrival event.Time) event.Record {
	data, err := json.Marshal(n)
	if err != nil {
		panic(fmt.Sprintf("engine: encoding a notice: %v", err)) // texts and numbers only
	}
	return event.Record{Kind: event.KindNotice, Arrival: arrival, Payload: data}
}

// NoticeOfDamage returns what is to be said of damaged state.
func NoticeOfDamage(damage []Damage) Notice {
	const most = 10
	n := Notice{Damaged: len(damage)}
	known := map[string]bool{}
	for _, d := range damage {
		if d.Rule != "" && !known[d.Rule] && len(n.Rules) < most {
			known[d.Rule] = true
			n.Rules = append(n.Rules, d.Rule)
		}
	}
	return n
}

// notice judges what the shell has noticed. It moves no watermark. What a newer
// shell may say beside is left alone.
func (e *Engine) notice(rec *event.Record) {
	var n Notice
	if json.Unmarshal(rec.Payload, &n) != nil {
		return
	}
	behind := ownID{ruleClock, ClockBehind}
	switch n.Clock {
	case ClockBehind:
		e.ownRaise(behind, rec, event.MaxTime, ownText{
			"warning", "clock", fmt.Sprintf("the clock of cepd's machine is %s behind what it was", n.By),
			"Times of arrival go on from the last one, and `max_future` is off until the clock is right. Set it, and see why it was wrong: " +
				"is NTP running?",
		})
	case ClockRight:
		e.ownOver(behind, rec.Arrival, rec.Pos, alerting.ReasonClear)
	case ClockAhead:
		e.ownRaise(ownID{ruleClock, ClockAhead}, rec, rec.Arrival.Add(ownClear), ownText{
			"warning", "clock", fmt.Sprintf("the clock of cepd's machine went %s forward at once", n.By),
			"Times of arrival follow it, and what was skipped counts as silence. If it is right now, it was wrong before, or the machine slept; if it is wrong now, set it: streams " +
				"without `time` cannot go back, and stand still until the time that they have seen.",
		})
	}
	e.router.clock.wrong = e.own.clockWrong()
	e.noticeMemory(&n, rec)
	e.noticeSink(&n, rec)
	if n.Damaged > 0 {
		e.ownRaise(ownID{ruleStateDamaged, ""}, rec, rec.Arrival.Add(ownClear), damageText(n))
	}
}

// noticeMemory judges what the shell says of memory.
func (e *Engine) noticeMemory(n *Notice, rec *event.Record) {
	near := ownID{ruleMemory, MemoryNear}
	switch n.Memory {
	case MemoryNear:
		e.ownRaise(near, rec, event.MaxTime, ownText{
			"warning", "memory", fmt.Sprintf("cepd has little memory left: %s", n.By),
			"Sources are given less of it, so that they wait or are refused. If that is not enough, the state of keys that have not been heard of for " +
				"longest is dropped. Raise state.memory, or bound what rules keep with `limits`; cepd check says what each takes.",
		})
	case MemoryEnough:
		e.ownOver(near, rec.Arrival, rec.Pos, alerting.ReasonClear)
	}
	if n.Judge {
		e.judgeHeld()
		e.ownRaise(ownID{ruleMemory, memoryHeld}, rec, rec.Arrival.Add(ownClear), ownText{
			"warning", "memory", "events were judged without waiting for others, since there was no memory to hold them back",
			"What comes after them, and was before them, counts as late: see cepd_events_late_total. Raise state.memory, or lower the `lag` of " +
				"the stream.",
		})
	}
	if len(n.Evict) > 0 {
		e.evict(n.Evict, rec.Pos)
		e.ownRaise(ownID{ruleMemory, memoryEvicted}, rec, rec.Arrival.Add(ownClear), ownText{
			"critical", "memory", "state of keys was dropped, since there was no memory for it",
			"Their rules start afresh, and their alerts were cleared with the reason memory; cepd_rule_evictions_total counts them by rule. Raise " +
				"state.memory, or bound what rules keep with `limits`; cepd check says what each takes.",
		})
	}
}

// noticeSink judges what the shell says of a sink.
func (e *Engine) noticeSink(n *Notice, rec *event.Record) {
	id := ownID{RuleDeadLetters, n.Sink}
	switch {
	case n.Sink == "":
	case n.GivenUp == "":
		e.ownOver(id, rec.Arrival, rec.Pos, alerting.ReasonClear)
	default:
		e.ownRaise(id, rec, event.MaxTime, ownText{
			"critical", "sink", fmt.Sprintf("sink %s does not get what it should: %s", n.Sink, n.GivenUp),
			"What is given up is a dead letter: cepd dlq list -d DIR shows them all, each with its error. See what the receiver does not accept, such as the " +
				"address, the credentials or the format, and let cepd send them again: cepd dlq retry -d DIR. DIR is the folder that state.dir names.",
		})
	}
}

func damageText(n Notice) ownText {
	what := fmt.Sprintf("%d pieces of state were damaged", n.Damaged)
	if n.Damaged == 1 {
		what = "a piece of state was damaged"
	}
	if len(n.Rules) > 0 {
		what += ", of " + strings.Join(n.Rules, ", ")
	}
	return ownText{
		"critical", "", what,
		"Their keys have started afresh, and alerts of them were cleared. The log of cepd names them. Look at the disk: cepd state verify says " +
			"what else is damaged.",
	}
}

// clockWrong reports whether the shell's clock cannot be believed.
func (o own) clockWrong() bool { return o[ownID{ruleClock, ClockBehind}] != nil }

// GivenUp names the sinks, in order, of which the log says that deliveries to them
// are given up.
func (e *Engine) GivenUp() []string {
	var sinks []string
	for _, id := range e.own.sorted() {
		if id.rule == RuleDeadLetters {
			sinks = append(sinks, id.about)
		}
	}
	return sinks
}

// MemoryNear reports whether, as far as the log says, the shell's memory is
// nearly used up.
func (e *Engine) MemoryNear() bool { return e.own[ownID{ruleMemory, MemoryNear}] != nil }

// ClockWrong reports whether, as far as the log says, the shell's clock is
// behind.
func (e *Engine) ClockWrong() bool { return e.own.clockWrong() }
