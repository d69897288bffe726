package engine

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// In a keyed lane each key of a table has a time of its own. Its events wait
// for the key's own watermark, and so do its timers, in queues of its own: an
// event of one key does nothing to another. Silence is the exception, since the
// time of a key that is silent stands still: it is judged by the lane's time,
// the highest of all keys', and those timers are in the lane's queue.
//
// What the lane's time is when something happens to a key depends on the order
// of the log. Where that matters a plan is stepwise: every record is a batch of
// its own.

// keyClock is the time of one key in one table. It is a [unit].
type keyClock struct {
	tag
	table   *table
	key     string      // encoded
	mark    event.Time  // everything before it has been judged
	heard   event.Time  // the lane's time when the key's last event came, or that event's
	latest  event.Time  // highest time of an event
	streams []keyStream // by number of the stream in the lane
	waiting heap[item]
	timers  timerQueue
	wake    event.Time // of its entry among the lane's wakes; never where there is none
	blocked event.Time // of its entry among those that wait for streams without keys
	end     event.Time // of its entry among the lane's ends; never where there is none
	gone    bool       // dropped, and here until a snapshot knows
	stored  bool       // there may be a row of it
}

// now returns the time of a key in a lane whose time is given.
func (ks *keyState) now(lane event.Time) event.Time {
	if kc := ks.clock(); kc != nil {
		return kc.mark
	}
	return lane
}

// keyStream is what a key has sent on one stream.
type keyStream struct {
	highest event.Time // highest event time; of a derived stream the time that its producer's key has reached
	arrived event.Time // when the last event came, where idle keys go on with the clock
	of      *keyClock  // the producer's key, once looked for
}

// keyRetention is how long a key's time is known after its last event when
// nothing else is kept of the key: what comes again within it is late. A key
// that comes later begins anew.
const keyRetention = 24 * time.Hour

// keyLane is what a lane has more if its keys have a time of their own.
type keyLane struct {
	current *keyClock  // of the key at work
	time    event.Time // the lane's; before the end of the input, once that has come
	now     event.Time // the clock's
	other   event.Time // lowest watermark of streams without keys; MaxTime without such
	passed  event.Time // other, when the keys that wait for it were last looked at
	clocked event.Time // the same of streams whose time is arrival
	until   event.Time // the input has ended, and every key's time goes that far; MinTime before
	held    int        // events that wait
	sources []keyedSource
	moved   []*keyClock   // whose time has moved, for lanes that follow
	wakes   heap[keyWake] // by time of the clock: idle keys that have something to do
	blocks  heap[keyWake] // by event time: keys that wait for streams without keys
	ends    heap[keyWake] // by the lane's time: keys that can be dropped
	// producers are, by number of the stream, where the keys are that those of
	// the lane follow: nil where they move by their events alone.
	producers []func(key string) *keyClock
	under     []map[string]keySet // by number of the stream: keys by that of the producer, if it is another
}

// keySet holds the keys of a lane that take events of one key of a producer.
type keySet map[*keyClock]bool

// keyedSource is what a lane needs to know of a stream's source.
type keyedSource struct {
	down bool
	up   event.Time // when it was last connected
}

type keyWake struct {
	at    event.Time
	clock *keyClock
}

func newWakes() heap[keyWake] {
	return heap[keyWake]{less: func(a, b *keyWake) bool { return a.at < b.at || a.at == b.at && a.clock.key < b.clock.key }}
}

func newKeyLane(p *lanePlan) keyLane {
	return keyLane{time: event.MinTime, now: event.MinTime, other: event.MaxTime, passed: event.MaxTime, clocked: event.MinTime, until: event.MinTime,
		sources: make([]keyedSource, len(p.streams)), producers: make([]func(string) *keyClock, len(p.streams)), wakes: newWakes(), blocks: newWakes(), ends: newWakes()}
}

// clock returns the time of a key, making it if need be. One that could have
// been dropped begins anew.
func (t *table) clock(key string, now event.Time) *keyClock {
	kc := t.clocks[key]
	if kc != nil && !kc.gone && now.Sub(kc.heard) > t.retention() && kc.droppable() {
		t.dropClock(kc)
		kc = t.clocks[key]
	}
	switch {
	case kc == nil:
		kc = t.newClock(strings.Clone(key))
	case kc.gone:
		t.lane.journal.touch(kc)
		kc.begin()
	default:
		return kc
	}
	kc.heard = now
	return kc
}

func (t *table) newClock(key string) *keyClock {
	kc := &keyClock{table: t, key: key, streams: make([]keyStream, len(t.lane.plan.streams)),
		waiting: heap[item]{less: func(a, b *item) bool { return a.compare(b) < 0 }},
		timers:  newTimerQueue(),
	}
	kc.begin()
	t.clocks[key] = kc
	if ks := t.keys.get(hashKey(key), key); ks != nil {
		ks.setClock(kc)
	}
	kc.follow()
	return kc
}

// follow notes whose time that of the key follows.
func (kc *keyClock) follow() {
	t := kc.table
	for i := range t.lane.plan.streams {
		if parts := t.follows[i]; parts != nil {
			if k := t.producerKey(parts, kc.key); k != kc.key {
				t.lane.follow(i, k, kc)
			}
		}
	}
}

// begin sets a clock that knows nothing.
func (kc *keyClock) begin() {
	kc.gone = false
	kc.mark, kc.heard, kc.latest = event.MinTime, event.MinTime, event.MinTime
	kc.wake, kc.blocked, kc.end = never, never, never
	for i := range kc.streams {
		kc.streams[i] = keyStream{highest: event.MinTime, arrived: event.MinTime}
	}
}

// retention is how long the time of a silent key is known.
func (t *table) retention() event.Duration {
	var d event.Duration
	for _, r := range t.rules {
		if r.Idle == 0 {
			return keyRetention
		}
		d = max(d, r.Idle)
	}
	return d
}

// droppable reports whether nothing but its time is kept of a key.
func (kc *keyClock) droppable() bool {
	ks := kc.table.keys.get(hashKey(kc.key), kc.key)
	return len(kc.waiting.items) == 0 && (ks == nil || ks.empty())
}

func (t *table) dropClock(kc *keyClock) {
	t.lane.journal.touch(kc)
	for t := range kc.timers.all() {
		*t.deadline() = deadline{never, never}
	}
	kc.timers = newTimerQueue()
	if ks := t.keys.get(hashKey(kc.key), kc.key); ks != nil {
		t.settle(ks)
	}
	kc.gone = true
	if !kc.stored {
		t.deleteClock(kc)
	}
}

func (t *table) deleteClock(kc *keyClock) {
	t.lane.journal.drop(kc)
	delete(t.clocks, kc.key)
	for i, parts := range t.follows {
		if parts == nil || i >= len(t.lane.under) || t.lane.under[i] == nil {
			continue
		}
		k := t.producerKey(parts, kc.key)
		if set := t.lane.under[i][k]; set != nil {
			if delete(set, kc); len(set) == 0 {
				delete(t.lane.under[i], k)
			}
		}
	}
}

// producerKey returns the key of the producer that a key is of.
func (t *tablePlan) producerKey(parts []int, key string) string {
	values, err := event.DecodeKey(key)
	if err != nil {
		panic("engine: a key that was made is none: " + err.Error())
	}
	if len(parts) == len(values) && slices.IsSorted(parts) {
		return key
	}
	of := make([]event.Value, 0, len(parts))
	for _, i := range parts {
		of = append(of, values[i])
	}
	k, err := event.AppendKey(nil, of...)
	if err != nil {
		panic("engine: the parts of a key are no key: " + err.Error())
	}
	return string(k)
}

// follow notes that the time of a key is that of another key of a producer.
func (l *lane) follow(stream int, producer string, kc *keyClock) {
	if l.under == nil {
		l.under = make([]map[string]keySet, len(l.plan.streams))
	}
	if l.under[stream] == nil {
		l.under[stream] = map[string]keySet{}
	}
	if l.under[stream][producer] == nil {
		l.under[stream][producer] = keySet{}
	}
	l.under[stream][producer][kc] = true
}

// advanceKeyed does all that has become due. The order within one record is:
// parents that begin to fire, the clock, silence, events, parents that cease.
func (l *lane) advanceKeyed(s *Shard) {
	l.parents(s, true)
	l.wakeUp(s)
	l.fireSilence(s, l.time)
	for i := range l.arrived {
		switch it := &l.arrived[i]; {
		case it.parent != nil:
		case it.event != nil:
			l.arrive(s, it)
		default:
			l.producerMoved(s, it)
		}
	}
	l.parents(s, false)
	clear(l.arrived)
	l.arrived = l.arrived[:0]
	if l.until != event.MinTime {
		l.runAll(s)
		l.fireSilence(s, l.until)
	}
	l.unblock(s)
	l.fireSilence(s, max(l.time, l.until)) // what came of all this may be due already, and waits for no other record
	l.dropSilent()
}

// parents takes in the changes of parents that arrived.
func (l *lane) parents(s *Shard, fires bool) {
	for i := range l.arrived {
		if p := l.arrived[i].parent; p != nil && p.fires == fires {
			s.parentChanged(l, &l.arrived[i])
		}
	}
}

// arrive takes in an event, which moves the time of its key.
func (l *lane) arrive(s *Shard, it *item) {
	t := l.tables[it.table]
	kc := t.clock(it.key, it.at)
	l.journal.touch(kc)
	kc.heard = max(kc.heard, it.at, it.event.Time)
	l.endOf(kc)
	it.at = it.event.Time
	n := l.plan.number(int(it.stream))
	st := &kc.streams[n]
	if it.at < max(kc.mark, l.keyMark(kc)) {
		l.runKey(s, kc) // idle, it may have gone on with the clock
		l.lateFor(s, kc, it)
		return
	}
	kc.latest = max(kc.latest, it.at)
	if l.plan.marks[n] == rules.MarksKey {
		st.highest = max(st.highest, it.at)
		if l.plan.streams[n].Watermark.KeyIdle > 0 {
			st.arrived = l.now
		}
	}
	it.key = kc.key
	kc.waiting.push(*it)
	l.held++
	l.runKey(s, kc)
}

// lateFor shows an event behind the watermark of its key to the windows that
// still take it, or puts it among those that nobody takes.
func (l *lane) lateFor(s *Shard, kc *keyClock, it *item) {
	if d := kc.table.lateness; d > 0 && it.at >= kc.mark.Add(-d) {
		it.at, it.late = kc.mark, true
		l.current = kc
		s.judge(l, kc.table, it, nil)
		l.current = nil
		l.runKey(s, kc)
		return
	}
	s.out.late = append(s.out.late, lateEvent{event: it.event, stream: it.stream, quiet: it.quiet})
}

// producerMoved takes in how far the key of a producer has come.
func (l *lane) producerMoved(s *Shard, it *item) {
	n := l.plan.number(int(it.stream))
	move := func(kc *keyClock) {
		if kc.gone || kc.streams[n].highest >= it.at {
			return
		}
		l.journal.touch(kc)
		kc.streams[n].highest = it.at
		l.runKey(s, kc)
	}
	if kc := l.tables[it.table].clocks[it.key]; kc != nil {
		move(kc)
	}
	if n < len(l.under) {
		for _, kc := range inOrderOf(maps.Keys(l.under[n][it.key]), l.tables[it.table].limited) {
			move(kc)
		}
	}
}

// keyMark returns how far the time of a key goes: to the lowest watermark of
// the streams on which it has been heard, and of those without keys.
func (l *lane) keyMark(kc *keyClock) event.Time {
	low, heard := l.other, l.other != event.MaxTime
	for i := range kc.streams {
		if m, ok := l.streamOf(kc, i); ok {
			low, heard = min(low, m), true
		}
	}
	if !heard {
		return l.clocked
	}
	return low
}

// streamOf returns the watermark of a key on one stream, false where it was not
// heard there.
func (l *lane) streamOf(kc *keyClock, i int) (event.Time, bool) {
	st := &kc.streams[i]
	if st.highest == event.MinTime {
		return 0, false
	}
	if l.plan.marks[i] == rules.MarksProducer {
		if from, of := l.producer(kc, i); of != nil {
			return max(st.highest, behind(from.keyMark(of))), true
		}
		return st.highest, true
	}
	w := &l.plan.streams[i].Watermark
	at := st.highest.Add(-w.Lag)
	if since := l.idleSince(kc, i); since != never && l.now.Sub(since) >= w.KeyIdle {
		at = at.Add(l.now.Sub(since))
	}
	return at, true
}

// producer returns the lane and the key that a key follows on a stream, nil
// where it has been dropped, or cannot move but by events.
func (l *lane) producer(kc *keyClock, i int) (*lane, *keyClock) {
	t := l.producers[i]
	if t == nil {
		return nil, nil
	}
	of := kc.streams[i].of
	if of == nil || of.gone || of.table.clocks[of.key] != of {
		key := kc.table.producerKey(kc.table.follows[i], kc.key)
		of = t(key)
		kc.streams[i].of = of
	}
	if of == nil || of.gone {
		return nil, nil
	}
	return of.table.lane, of
}

// idleSince returns since when the idle time of a key on a stream runs, never
// where it does not.
func (l *lane) idleSince(kc *keyClock, i int) event.Time {
	st, source := &kc.streams[i], &l.sources[i]
	if l.plan.streams[i].Watermark.KeyIdle == 0 || l.now == event.MinTime || source.down || st.arrived == event.MinTime {
		return never
	}
	return max(st.arrived, source.up)
}

// runKey does all that has become due of one key.
func (l *lane) runKey(s *Shard, kc *keyClock) {
	mark := max(l.keyMark(kc), l.until)
	if mark > kc.mark {
		l.journal.touch(kc)
		kc.mark = mark
		if len(l.plan.followers) > 0 {
			l.moved = append(l.moved, kc)
		}
	}
	if l.keyDue(kc) <= kc.mark {
		l.journal.touch(kc)
		latest := l.latest
		l.current, l.latest = kc, kc.latest
		for it := kc.waiting.top(); it != nil && it.at <= kc.mark; it = kc.waiting.top() {
			l.fire(s, &kc.timers, it.at, phaseEvents)
			w := kc.waiting.pop()
			l.held--
			l.judge(s, kc.table, &w, nil)
		}
		l.fire(s, &kc.timers, kc.mark, phaseSteady)
		l.current, l.latest = nil, latest
		l.endOf(kc)
	}
	l.lookOut(kc)
}

// heardAt returns the later of the time of an event and, where keys have a time of
// their own, what the lane's was when the key at work was last heard of. That
// does not depend on when ticks come.
func (l *lane) heardAt(at event.Time) event.Time {
	if l.current != nil {
		return max(at, l.current.heard)
	}
	return at
}

// keyDue returns the earliest time at which there is something to do for a key.
func (l *lane) keyDue(kc *keyClock) event.Time {
	due := never
	if it := kc.waiting.top(); it != nil {
		due = it.at
	}
	return min(due, l.dueOf(&kc.timers))
}

// lookOut sees to it that a key is looked at again when something else than its
// own events can move its time to what is due: the clock, or other streams.
func (l *lane) lookOut(kc *keyClock) {
	due := l.keyDue(kc)
	if due == never {
		return
	}
	if due > l.other && due < kc.blocked {
		l.block(kc, due)
	}
	if at := l.wakeOf(kc, due); at < kc.wake {
		kc.wake = at
		l.wakes.push(keyWake{at, kc})
	}
}

// wakeOf returns the time of the clock at which an idle key reaches an event
// time.
func (l *lane) wakeOf(kc *keyClock, due event.Time) event.Time {
	at := event.MinTime
	for i := range kc.streams {
		m, heard := l.streamOf(kc, i)
		if !heard || m >= due {
			continue
		}
		if l.plan.marks[i] == rules.MarksProducer {
			from, of := l.producer(kc, i)
			if of == nil {
				return never
			}
			w := from.wakeOf(of, due.Add(1))
			if w == never {
				return never
			}
			at = max(at, w)
			continue
		}
		since := l.idleSince(kc, i)
		if since == never {
			return never
		}
		w := &l.plan.streams[i].Watermark
		at = max(at, since.Add(max(w.KeyIdle, due.Sub(kc.streams[i].highest.Add(-w.Lag)))))
	}
	if at == event.MinTime {
		return never
	}
	return at
}

// wakeUp looks at the idle keys whose time has come by the clock. When that was
// may have been noted too early, unlike after a restart: their turn does not
// depend on it. Those that waited for streams without keys too have theirs when
// these have gone on.
func (l *lane) wakeUp(s *Shard) {
	for woken := l.woken(); len(woken) > 0; woken = l.woken() {
		for _, kc := range inOrderOf(slices.Values(woken), true) {
			switch due := l.keyDue(kc); {
			case due <= l.passed:
				l.look(s, kc)
			case due < kc.blocked:
				l.block(kc, due)
			}
		}
	}
}

// block notes that a key waits for streams without keys.
func (l *lane) block(kc *keyClock, due event.Time) {
	kc.blocked = due
	l.blocks.push(keyWake{due, kc})
}

// woken takes out the keys whose time has come by the clock.
func (l *lane) woken() (keys []*keyClock) {
	for w := l.wakes.top(); w != nil && w.at <= l.now; w = l.wakes.top() {
		if w := l.wakes.pop(); w.clock.wake == w.at {
			w.clock.wake = never
			keys = append(keys, w.clock)
		}
	}
	return keys
}

// unblock looks at the keys that waited for streams without keys, in the order of
// what is due of them. What was noted of that may be out of date, unlike after a
// restart.
func (l *lane) unblock(s *Shard) {
	l.passed = l.other
	var keys []keyWake
	for w := l.blocks.top(); w != nil && w.at <= l.other; w = l.blocks.top() {
		if w := l.blocks.pop(); w.clock.blocked == w.at {
			w.clock.blocked = never
			keys = append(keys, keyWake{l.keyDue(w.clock), w.clock})
		}
	}
	slices.SortFunc(keys, func(a, b keyWake) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.clock.key, b.clock.key))
	})
	for _, w := range keys {
		l.look(s, w.clock)
	}
}

// look does what may have become due of a key.
func (l *lane) look(s *Shard, kc *keyClock) {
	switch {
	case kc.gone:
	case l.keyDue(kc) <= l.keyMark(kc):
		l.runKey(s, kc)
	default: // the mark of a key moves only where that matters, whatever was looked at
		l.lookOut(kc)
	}
}

// fireSilence lets the timers go off that go by the lane's time.
func (l *lane) fireSilence(s *Shard, upTo event.Time) {
	for l.timers.before(upTo, phaseSteady) {
		t, row := l.timers.first()
		if !l.wanted(&l.timers, t, row) {
			continue
		}
		kc := t.keys.clock()
		l.current = kc
		l.fireTimer(s, l.timers.take(row))
		l.current = nil
		if kc != nil && !kc.gone {
			l.look(s, kc) // a timer that goes off early, and is put off, moves no time
			l.endOf(kc)
		}
	}
}

// runAll moves the time of every key to the end of the input.
func (l *lane) runAll(s *Shard) {
	for _, t := range l.tables {
		for _, kc := range inOrderOf(maps.Values(t.clocks), t.limited) {
			if !kc.gone {
				l.runKey(s, kc)
			}
		}
	}
}

// lookAll looks at all keys.
func (l *lane) lookAll(s *Shard) {
	for _, t := range l.tables {
		for _, kc := range inOrderOf(maps.Values(t.clocks), t.limited) {
			l.look(s, kc)
		}
	}
}

// inOrderOf lists keys whose time has come: in order if they see each other,
// since a rule keeps so many at most, else as they come.
func inOrderOf(keys iter.Seq[*keyClock], ordered bool) []*keyClock {
	list := slices.Collect(keys)
	if ordered {
		slices.SortFunc(list, func(a, b *keyClock) int { return strings.Compare(a.key, b.key) })
	}
	return list
}

// endOf sees to it that a key is dropped when nothing is kept of it for long.
func (l *lane) endOf(kc *keyClock) {
	if kc.end == never {
		kc.end = kc.heard.Add(kc.table.retention())
		l.ends.push(keyWake{kc.end, kc})
	}
}

// dropSilent drops the keys that have sent nothing for long. One of which more
// is kept than its time is looked at again when that has changed.
func (l *lane) dropSilent() {
	for w := l.ends.top(); w != nil && w.at < l.time; w = l.ends.top() {
		w := l.ends.pop()
		kc := w.clock
		if kc.gone || kc.end != w.at {
			continue
		}
		kc.end = never
		switch t := kc.table; {
		case kc.heard.Add(t.retention()) >= l.time:
			l.endOf(kc)
		case kc.droppable():
			t.dropClock(kc)
		}
	}
}
