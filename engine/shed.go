package engine

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
)

// Where rules keep more of keys than memory holds, and nothing else helps, the
// keys go that have not been heard of for longest. How much memory there is, and
// when a key was heard of, is not known to a replay. So the shell asks for the
// names of such keys, and they go by the record that lists them: that leads to
// the same on any machine, and for any number of shards.
//
//	shell                      log                       engine
//	Coldest(share) ------> notice, evict: [...] ------> evict

// Evicted lists keys of rules that share a `by`.
type Evicted struct {
	Rules []string `json:"rules"`
	Keys  [][]byte `json:"keys"` // encoded
}

// evictBytes is how long the keys of one record may be, about.
const evictBytes = 1 << 20

// evictedMemory is the reason for which state goes that memory has no room for.
const evictedMemory = "memory"

// Age tells keys apart that are heard of from now on, and those that were heard of
// before: what a journal calls a generation is all that is known of when. One may
// end without a snapshot.
func (e *Engine) Age() {
	for _, s := range e.shards {
		s.journal.gen++
	}
}

// Coldest lists a share of all keys that rules keep anything of, those that have
// not been heard of for longest, in notices to be written into the log. After a
// restart the keys that were not heard of since come first. Keys that a rule
// waits for because a table lists them are left out. It changes nothing.
func (e *Engine) Coldest(share float64) []Notice {
	var heard []uint32
	e.eachKey(func(_ *table, ks *keyState) { heard = append(heard, ks.tag.gen) })
	n := min(int(math.Ceil(share*float64(len(heard)))), len(heard))
	if n <= 0 {
		return nil
	}
	slices.Sort(heard)
	last := heard[n-1]
	before, _ := slices.BinarySearch(heard, last)
	ties := n - before // of the keys that were last heard of in the same generation, so many
	var all []Notice
	var list []Evicted
	var of *table
	length := 0
	e.eachKey(func(t *table, ks *keyState) {
		if ks.tag.gen > last {
			return
		}
		if ks.tag.gen == last {
			if ties == 0 {
				return
			}
			ties--
		}
		if length += len(ks.key); length > evictBytes {
			all = append(all, Notice{Evict: list})
			list, of, length = nil, nil, len(ks.key)
		}
		if of != t {
			of, list = t, append(list, Evicted{Rules: t.names()})
		}
		keys := &list[len(list)-1].Keys
		*keys = append(*keys, []byte(ks.key))
	})
	all = append(all, Notice{Evict: list})
	for _, notice := range all {
		for _, of := range notice.Evict {
			slices.SortFunc(of.Keys, bytes.Compare)
		}
	}
	return all
}

// eachKey visits the keys that have any state and may lose it.
func (e *Engine) eachKey(visit func(*table, *keyState)) {
	for _, s := range e.shards {
		for _, l := range s.lanes {
			for _, t := range l.tables {
				for ks := range t.keys.all() { // whoever asks puts them into the log
					if !ks.empty() && !t.lists(ks.key) {
						visit(t, ks)
					}
				}
			}
		}
	}
}

func (t *tablePlan) names() []string {
	names := make([]string, len(t.rules))
	for i, r := range t.rules {
		names[i] = r.Name
	}
	return names
}

// lists reports whether a rule waits for a key that its table lists.
func (t *tablePlan) lists(key string) bool {
	return slices.ContainsFunc(t.rules, func(r *rulePlan) bool { return r.listed[key] })
}

// Held counts the events that are held back until their stream's watermark.
func (e *Engine) Held() int {
	n := 0
	for _, s := range e.shards {
		for _, l := range s.lanes {
			n += l.waiting.len()
		}
	}
	return n
}

// judgeHeld lets watermarks go as far as the streams' events. Nothing of these is
// lost; what comes later and was before them is late.
func (e *Engine) judgeHeld() {
	for _, rt := range e.router.streams {
		if rt.Producer == "" && !rt.Watermark.PerKey {
			rt.marks.raise(rt.marks.latest)
		}
	}
	e.run()
}

// evict drops the state of keys that a record lists. Rules and keys that are no
// more are passed over.
func (e *Engine) evict(list []Evicted, pos event.Position) {
	for _, of := range list {
		for _, name := range of.Rules {
			if at, known := e.plan.places[name]; known {
				for _, key := range of.Keys {
					e.evictKey(at, string(key), pos)
				}
			}
		}
	}
	for _, s := range e.shards {
		for _, l := range s.lanes {
			l.dropTimers(&l.timers)
			s.lingered(l, event.MaxTime)
		}
	}
	e.run() // whoever waits for their alerts hears of it
}

// evictKey drops what a rule keeps of a key.
func (e *Engine) evictKey(at place, key string, pos event.Position) {
	s := e.shards[e.options.shard(event.Group([]byte(key)))]
	l := s.lanes[at.lane]
	t := l.tables[at.table]
	ks := t.keys.get(hashKey(key), key)
	if ks == nil || ks.look(at.rule).empty() || t.lists(key) {
		return
	}
	t.touch(ks, at.rule)
	s.env.begin(t.rules[at.rule], nil, nil, nil)
	s.obey(pos)
	s.forget(l, ks, at.rule, ks.now(e.clocks[at.lane].mark), alerting.ReasonMemory, evictedMemory, grounds{last: pos})
	if kc := ks.clock(); kc != nil {
		l.dropTimers(&kc.timers)
	}
	if ks.filed() { // else the last of its timers has let go of it
		t.settle(ks)
	}
}

// dropTimers takes the timers out of a queue that nobody wants any more, and
// lets go of the keys that were kept for them.
func (l *lane) dropTimers(q *timerQueue) {
	var wanted []timer
	var gone []*keyState
	for t := range q.all() {
		switch d := t.deadline(); {
		case d.queued != t.at: // another entry stands for it
		case d.at == never:
			d.queued = never
			gone = append(gone, t.keys)
		default:
			wanted = append(wanted, *t)
		}
	}
	slices.SortFunc(wanted, func(a, b timer) int { return cmp.Compare(a.at, b.at) }) // one row
	*q = newTimerQueue()
	for i := range wanted {
		q.push(&wanted[i])
	}
	for _, ks := range gone {
		if ks.filed() { // it may have had several
			ks.table.settle(ks)
		}
	}
}
