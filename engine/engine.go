package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// Config says how an engine runs. Nothing in it but LogID changes what comes
// out.
type Config struct {
	// LogID becomes part of every transition's id. It is made together with a
	// state directory; replay and tests leave it empty.
	LogID string
	// Shards is the number of shards, at most [event.Groups]. Default 1.
	Shards int
	// Load returns the rule set of a content hash, for records that bring one
	// into force.
	Load func(hash string) (*rules.Set, error)
	// Do calls f(0) to f(n-1), perhaps at the same time, and returns when all
	// have returned. Default: one after the other.
	Do func(n int, f func(i int))
	// StandIns are sources whose messages are events of one stream, by name; a
	// stream has one at most.
	// It is read when a rule set comes into force, and may change before.
	StandIns map[string]StandIn
	// Matches asks for [Output.Matches], with every field of their events.
	Matches bool
	// Emitted asks for [Output.Emitted] of all rules, not only of those whose
	// events go to sinks.
	Emitted bool
	// Tracer, if not nil, is told what rules do with events. Shards must be 1.
	Tracer Tracer
}

// StandIn is a source of recorded or written events of one stream, in place of
// the source that the stream names. The captures of the stream's topic come in
// the payload.
type StandIn struct {
	Stream string
	// Format, where it is not empty, is that of the payloads, in place of the
	// stream's.
	Format string
	// Time, if not nil, says when the event of a message happened, in place of
	// the stream's `time`: for the events of tests.
	Time func(event.Position) event.Time
	// Decoder, if not nil, makes what reads the payloads in place of the
	// decoder of the stream's format, for events that are in memory already.
	Decoder func(*event.Schema) decode.Decoder
}

// options is what shards and router need to know of a Config.
type options struct {
	logID    string
	shards   int
	standIns map[string]StandIn
	matches  bool
	emitted  bool
	tracer   Tracer
	noIndex  bool                        // every rule is asked about every event, see asksAll
	issuers  map[string]*alerting.Issuer // rules, with the position of the record that last started them afresh
}

// start notes the position of the record that started a rule afresh.
func (o *options) start(rule string, at event.Position) {
	o.issuers[rule] = &alerting.Issuer{Log: o.logID, Rule: rule, Started: at}
}

// issuer returns what the ids of what a rule emits have in common.
func (o *options) issuer(rule string) *alerting.Issuer {
	if is := o.issuers[rule]; is != nil {
		return is
	}
	return &alerting.Issuer{Log: o.logID, Rule: rule}
}

// asksAll reports whether every rule is shown every event: for a tracer, which
// is told of each, and to hold the index of rules against.
func (o *options) asksAll() bool { return o.noIndex || o.tracer != nil }

// shard returns the shard that owns a key group.
func (o *options) shard(group uint8) int { return int(group) * o.shards / event.Groups }

// Input is a batch of records, durable before the engine sees it.
type Input struct {
	Records []event.Record
}

// Output is what a batch led to.
type Output struct {
	Transitions []alerting.Transition
	Matches     []Match // only with [Config.Matches]
	Emitted     []alerting.Derived
	Rejects     []Reject // messages that are no events, in log order
	Reload      *Reload  // what the last rule set record did; nil if there was none
	// Deadline is the arrival time at which a tick would change something,
	// [event.MaxTime] if none would.
	Deadline event.Time
	// Settled is a time such that everything decided about earlier times has
	// been put out. A caller that wants all output in one order holds back what
	// is not settled.
	Settled event.Time
	Stats   Stats
}

// Reload says what became of the rules when a rule set came into force, by
// name, each list sorted.
type Reload struct {
	Position  event.Position
	Err       error    // the set could not be loaded; what was in force still is
	Added     []string // new
	Kept      []string // their state stays
	Restarted []string // changed in shape: started afresh
	Removed   []string
}

// Engine runs rule sets over a log. See the package's description.
type Engine struct {
	config  Config
	options options
	plan    *plan
	router  *router
	shards  []*Shard
	clocks  []laneClock // by number of the lane
	ended   bool
	until   event.Time // where event time ends, once the input has; MinTime before
	out     Output

	position event.Position    // of the last record
	own      own               // what it alerts of itself
	snapshot *Snapshot         // under way; nil without one
	small    map[string]string // rows of globals, as stored
	whole    bool              // what is stored is of no use: the next snapshot must be full

	emitted [][]alerting.Derived // since Step began, each list as it was taken
	order   []emittedPlace       // scratch memory of their order
	room    []emittedPlace       // and to sort it

	replace func(next *machinery, lose map[string]part) // [Engine.carryOver], but in tests
}

// laneClock is what all shards share of a lane: its watermark, and the highest
// time of an event that arrived.
type laneClock struct{ mark, latest event.Time }

// New returns an engine without rules. A record of kind [event.KindRuleSet]
// brings them.
func New(c Config) *Engine {
	if c.Shards == 0 {
		c.Shards = 1
	}
	if c.Shards < 1 || c.Shards > event.Groups {
		panic(fmt.Sprintf("engine: %d shards, want 1 to %d", c.Shards, event.Groups))
	}
	if c.Do == nil {
		c.Do = func(n int, f func(i int)) {
			for i := range n {
				f(i)
			}
		}
	}
	e := &Engine{config: c, until: event.MinTime, own: own{}, whole: true}
	e.replace = e.carryOver
	e.options = options{
		logID: c.LogID, shards: c.Shards, standIns: c.StandIns, matches: c.Matches, emitted: c.Emitted, tracer: c.Tracer,
		issuers: map[string]*alerting.Issuer{},
	}
	empty, err := e.prepare(&rules.Set{})
	if err != nil {
		panic(fmt.Sprintf("engine: the empty rule set: %v", err))
	}
	e.install(empty)
	return e
}

// machinery is what runs a rule set.
type machinery struct {
	plan   *plan
	router *router
}

// prepare makes the machinery of a set, without state.
func (e *Engine) prepare(set *rules.Set) (*machinery, error) {
	p := newPlan(set)
	r, err := newRouter(p, &e.options)
	return &machinery{p, r}, err
}

// install puts a machinery in the place of what runs now, without any state.
func (e *Engine) install(m *machinery) {
	e.plan, e.router = m.plan, m.router
	e.shards = make([]*Shard, e.options.shards)
	for i := range e.shards {
		e.shards[i] = newShard(m.plan, &e.options)
	}
	e.link()
	e.clocks = make([]laneClock, len(m.plan.lanes))
	for i := range e.clocks {
		e.clocks[i] = laneClock{event.MinTime, event.MinTime}
	}
}

// Rules returns the rule set in force.
func (e *Engine) Rules() *rules.Set { return e.plan.set }

// Step takes in a batch of records and returns what they led to. How records
// are split into batches makes no difference.
func (e *Engine) Step(in Input) Output {
	e.out = Output{Deadline: event.MaxTime, Settled: event.MinTime}
	e.out.Stats.Records = int64(len(in.Records))
	e.router.batch(e.heldUntil())
	for rest := in.Records; len(rest) > 0; {
		rest = rest[e.take(rest):]
	}
	e.run()
	e.ownDue(e.router.clock.now)
	e.collect()
	e.out.Deadline = e.deadline()
	e.out.Settled = e.settled()
	return e.out
}

// take takes in some of the records, as many as are read under one rule set,
// and returns their number.
func (e *Engine) take(records []event.Record) int {
	records = e.read(records)
	for i := 0; i < len(records); i++ {
		if i += e.router.passOver(records, i, e); i == len(records) {
			break
		}
		e.record(&records[i], i)
		if e.plan.stepwise || e.plan.lists && e.begins() {
			e.run()
		}
		if records[i].Kind == event.KindRuleSet {
			return i + 1
		}
	}
	e.position = records[len(records)-1].Pos
	return len(records)
}

// holds reports whether any lane holds events back, or a snapshot such as were.
func (e *Engine) holds() bool {
	if e.snapshot != nil && len(e.snapshot.held) > 0 {
		return true
	}
	for _, s := range e.shards {
		for _, l := range s.lanes {
			if l.waiting.len() > 0 || l.held > 0 {
				return true
			}
		}
	}
	return false
}

// read reads messages of a batch, each reader a part of them, and returns the
// records that were read. A reader that is alone reads each when it is wanted,
// while the last is still at hand.
func (e *Engine) read(records []event.Record) []event.Record {
	r := e.router
	r.foresee()
	n := len(r.readers)
	if n == 1 {
		return records
	}
	for _, by := range r.readers {
		by.take(&e.out.Stats) // stays, whatever becomes of what is read now
	}
	part := (len(records) + n - 1) / n
	e.config.Do(n, func(i int) {
		from := min(i*part, len(records))
		r.readers[i].readAll(records[from:min(from+part, len(records))], from)
	})
	for i, by := range r.readers {
		if by.stopped {
			for _, behind := range r.readers[i+1:] {
				behind.discard()
			}
			return records[:max(by.end, 1)]
		}
	}
	return records
}

// record lets record n of what was read take effect.
func (e *Engine) record(rec *event.Record, n int) {
	r := e.router
	e.position = rec.Pos
	switch rec.Kind {
	case event.KindMessage:
		e.message(rec, n)
		return
	case event.KindSourceUp, event.KindSourceDown, event.KindStart, event.KindRuleSet, event.KindEnd, event.KindNotice:
		// What was due before the barrier is due under what was in force before
		// it, and the clock has come this far with sources as they were.
		now := rec.Arrival
		if rec.Kind == event.KindStart { // they have been down since the last record
			e.run()
			for source := range r.sources { // a set: the order is of no matter
				e.settleKeys(source)
				r.clock.disconnect(source)
			}
		}
		if rec.Kind != event.KindNotice { // which may be about the clock
			r.clock.move(rec)
			now = r.clock.now
		}
		e.run()
		e.ownDue(now)
	}
	switch rec.Kind {
	case event.KindTick:
		r.clock.move(rec)
	case event.KindSourceUp:
		e.settleKeys(rec.Source)
		r.connected(rec.Source)
		r.clock.up[rec.Source] = true
		since, down := r.clock.down[rec.Source]
		delete(r.clock.down, rec.Source)
		for _, rt := range r.sources[rec.Source] {
			if down && since != event.MinTime { // else nobody knows for how long
				rt.marks.paused += rec.Arrival.Sub(since)
			}
			rt.marks.sourceUp(rec.Source, rec.Arrival)
		}
		e.lookOut()
		e.ownUp(rec)
	case event.KindSourceDown:
		e.settleKeys(rec.Source)
		r.clock.disconnect(rec.Source)
		e.ownDown(rec, rec.Source)
	case event.KindStart:
		e.ownStart(rec)
	case event.KindRuleSet:
		if e.reload(rec); e.out.Reload.Err == nil {
			e.ownRules(rec)
		}
	case event.KindNotice:
		e.notice(rec)
	case event.KindEnd:
		e.end(rec.Arrival)
	case event.KindNote, event.KindTables, event.KindAdmin:
		// Written by later versions' sources, tables and operators; they take
		// their place in the order of the log and change nothing yet.
	}
}

// message lets a message take effect, record n of what was read.
func (e *Engine) message(rec *event.Record, n int) {
	r := e.router
	r.clock.move(rec)
	if e.plan.joins {
		e.firstHeard(rec)
	}
	if len(r.readers) == 1 {
		r.readAndRoute(rec, e)
	} else {
		r.message(rec, n, e)
	}
	if r.clock.isDown(rec.Source) { // how long it has been counts from here, whatever the batch brings next
		e.run()
	}
}

// disconnect notes that a source is down, and since when.
func (c *clock) disconnect(source string) {
	delete(c.up, source)
	if !c.isDown(source) {
		c.down[source] = c.now
	}
}

// firstHeard sees to a message that may be the first of a stream which rules
// over several streams did not wait for any more. What they have judged by then
// stays judged: an event before it is late.
func (e *Engine) firstHeard(rec *event.Record) {
	for _, rt := range e.router.sources[rec.Source] {
		if rt.marks.clocked || rt.marks.heard() || len(rt.marks.parts) == 0 || !e.router.readers[0].takes(rt, rec) {
			continue
		}
		ran := false
		for i, l := range e.plan.lanes {
			if len(l.streams) > 1 && !l.keyed && slices.Contains(l.streams, rt.streamPlan) {
				if !ran {
					e.run()
					ran = true
				}
				rt.marks.raise(e.clocks[i].mark)
			}
		}
	}
}

func (c *clock) move(rec *event.Record) {
	if rec.Kind != event.KindEnd && rec.Arrival != 0 {
		c.now = max(c.now, rec.Arrival)
	}
}

// deliver takes an item to its lane in a shard. The item stays the caller's.
type deliver func(shard int, it *item)

// deliver puts an item into its lane of the shard that owns its key.
func (e *Engine) deliver(shard int, it *item) {
	e.admit(it)
	l := e.shards[shard].lanes[it.lane]
	l.arrived = append(l.arrived, *it)
}

// admit notes that an item comes to its lane, and finds out when it is judged.
func (e *Engine) admit(it *item) {
	lane := int(it.lane)
	c := &e.clocks[lane]
	c.latest = max(c.latest, it.event.Time)
	if p := e.plan.lanes[lane]; p.keyed {
		it.at = e.markOfStreams(lane) // the time by which silence is judged
	} else if p.latest {
		it.at = max(it.at, e.latestMark(p, int(it.stream)))
	}
}

// end moves event time to t; [event.MinTime] for that of the last event.
func (e *Engine) end(t event.Time) {
	e.ended = t == event.MaxTime
	if t == event.MinTime {
		for _, rt := range e.router.streams {
			if rt.Producer == "" {
				t = max(t, rt.marks.latest)
			}
		}
	}
	e.until = t
	for _, rt := range e.router.streams {
		if rt.Producer == "" {
			rt.marks.raise(t)
		}
	}
}

// run lets all levels do what is due, one after the other. Between two levels
// derived events are exchanged.
func (e *Engine) run() {
	for again := true; again; {
		for _, rt := range e.router.streams {
			rt.marks.tick(&e.router.clock)
			for _, lane := range rt.lanes {
				e.clocks[lane].latest = max(e.clocks[lane].latest, rt.latest)
			}
			rt.latest = event.MinTime
		}
		for level := 0; level < max(e.plan.set.Levels, 1); level++ {
			e.runLevel(level)
		}
		again = e.settleLate()
	}
}

func (e *Engine) runLevel(level int) {
	for i, l := range e.plan.lanes {
		if l.level == level {
			m := e.markOfStreams(i)
			for _, p := range l.parents {
				if !l.keyed && !e.plan.lanes[p].keyed { // else alerts are as they are when they come
					m = min(m, behind(e.clocks[p].mark))
				}
			}
			begins := e.clocks[i].mark == event.MinTime
			if e.clocks[i].mark = max(e.clocks[i].mark, m); begins {
				e.list(i)
			}
		}
	}
	e.do(func(i int) {
		s := e.shards[i]
		for n, l := range s.lanes {
			if l.plan.level != level {
				continue
			}
			l.latest, l.ended, l.paused = e.clocks[n].latest, e.ended, e.outageOf(l.plan)
			if l.plan.keyed {
				e.see(n, l)
				l.advanceKeyed(s)
			} else {
				l.advance(s, e.clocks[n].mark)
			}
		}
	})
	e.exchange(level)
	e.toChildren()
}

// do calls f for each shard. What is run record by record is too little for
// several goroutines.
func (e *Engine) do(f func(i int)) {
	if !e.plan.stepwise {
		e.config.Do(len(e.shards), f)
		return
	}
	for i := range e.shards {
		f(i)
	}
}

// exchange carries derived events to the shards and lanes that read them, and
// then how far the keys have come that they come out of.
func (e *Engine) exchange(level int) {
	var unordered []derived
	for _, s := range e.shards {
		for _, d := range s.out.derived {
			if d.stream.Unordered {
				unordered = append(unordered, d)
				continue
			}
			e.router.quiet = d.quiet
			e.router.route(d.stream, d.event, e.deliver)
		}
		clear(s.out.derived)
		s.out.derived = s.out.derived[:0]
	}
	slices.SortStableFunc(unordered, func(a, b derived) int { return event.Compare(a.event, b.event) })
	for _, d := range unordered {
		e.routeUnordered(d)
	}
	for i, l := range e.plan.lanes {
		if l.keyed && l.level == level {
			e.follow(i, l)
		}
	}
}

// markOfStreams returns the lowest watermark of a lane's streams.
func (e *Engine) markOfStreams(lane int) event.Time {
	l := e.plan.lanes[lane]
	return e.router.mark(l, func(i int) event.Time { return e.streamMark(l.streams[i], l.own(i)) })
}

// streamMark returns the watermark of a stream; that of a derived one is the
// time of its producer, unless it has one of its own and that is wanted. It is
// one smallest unit behind the producer's: only then is all of a time done, the
// timers behind its events included.
func (e *Engine) streamMark(s *streamPlan, own bool) event.Time {
	if s.Producer == "" || own {
		return e.router.streams[s.number].marks.mark
	}
	return behind(e.clocks[s.producer].mark)
}

// behind returns a time one smallest unit before t.
func behind(t event.Time) event.Time {
	if t == event.MinTime || t == event.MaxTime {
		return t
	}
	return t - 1
}

// minTick bounds how soon the engine asks for a tick after the clock's last
// move.
const minTick = time.Millisecond

// deadline returns the arrival time at which a tick would change something.
func (e *Engine) deadline() event.Time {
	at := event.MaxTime
	for i := range e.plan.lanes {
		due := event.MaxTime
		for _, s := range e.shards {
			due = min(due, s.lanes[i].due())
		}
		if due != event.MaxTime {
			at = min(at, e.laneDue(i, due))
		}
		if e.plan.lanes[i].keyed {
			at = min(at, e.keysDue(i))
		}
	}
	if at = min(at, e.ownDeadline()); at != event.MaxTime {
		at = max(at, e.router.clock.now.Add(minTick))
	}
	return at
}

// laneDue returns the arrival time at which the clock alone would bring a
// lane's watermark to t.
func (e *Engine) laneDue(lane int, t event.Time) event.Time {
	at, timed, clocked := event.MinTime, false, event.MinTime
	l := e.plan.lanes[lane]
	streams := l.streams
	for i, s := range streams {
		m := e.router.streams[s.number].marks
		switch {
		case s.Producer != "" && !l.own(i):
			at, timed = max(at, e.laneDue(s.producer, t.Add(1))), true
		case m.clocked: // makes nobody wait who has a time of its own
			clocked = max(clocked, m.due(t, &e.router.clock))
		case len(streams) > 1 && l.own(i) && !m.heard(): // is not waited for
		case len(streams) > 1 && !m.heard():
			at = max(at, m.leftOut(&e.router.clock))
		default:
			at, timed = max(at, m.due(t, &e.router.clock)), true
		}
	}
	if !timed {
		at = max(at, clocked)
		if clocked == event.MinTime {
			return event.MaxTime // no stream has a time that could come
		}
	}
	for _, p := range l.parents {
		if !l.keyed && !e.plan.lanes[p].keyed {
			at = max(at, e.laneDue(p, t.Add(1)))
		}
	}
	return at
}

func (e *Engine) settled() event.Time {
	at := event.MaxTime
	for i := range e.clocks {
		if e.plan.lanes[i].keyed && e.until == event.MinTime {
			return event.MinTime // a key may come with what is long ago
		}
		at = min(at, e.clocks[i].mark)
	}
	return at
}

// Watermarks returns the watermark of each stream, by name; streams that have
// seen nothing are left out.
func (e *Engine) Watermarks() map[string]event.Time {
	marks := map[string]event.Time{}
	for _, s := range e.plan.order {
		if m := e.streamMark(s, s.Unordered); m != event.MinTime && m != event.MaxTime {
			marks[s.Name] = m
		}
	}
	return marks
}
