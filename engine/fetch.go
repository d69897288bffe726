package engine

import "github.com/cepd/cepd/window"

// Where there are many keys, most of the time of an event or a timer is spent
// waiting for the state of its key to come from memory. Looking at the keys of
// some before the first of them is judged lets the processor wait for all at once:
// first for where they are, then for what is there, and so on, since it does not
// see far beyond what it waits for.
const (
	fetchAhead = 16   // events or timers
	fetchFrom  = 4096 // keys; the states of fewer lie in a cache
)

// fetch looks at what is kept of the keys of some items, as many as fetchAhead, and
// notes in the shard what it has found of each.
func (l *lane) fetch(s *Shard, items []item) {
	for i := range items {
		if t := l.fetches(&items[i]); t != nil {
			s.fetched += t.home(items[i].hash)
		}
	}
	for i := range items {
		s.near[i] = nil
		if t := l.fetches(&items[i]); t != nil {
			s.near[i] = t.likely(items[i].hash)
		}
	}
	s.fetchKeys(s.near[:len(items)])
}

// fetches returns the keys among which that of an item is looked for, nil where
// there are few or none.
func (l *lane) fetches(it *item) *keyTable {
	if it.parent != nil || it.table < 0 {
		return nil
	}
	if t := l.tables[it.table]; t.fetches() {
		return t.keys
	}
	return nil
}

// fetches reports whether there are so many keys that it pays to fetch them.
func (t *table) fetches() bool { return t.keys.n >= fetchFrom }

// fetchDue looks at what is kept of the keys of the first timers of a row that are
// due together, and returns how many they are.
func (s *Shard) fetchDue(r *timerRow) int {
	due := r.list[r.next:min(r.sorted, r.next+fetchAhead)]
	if len(due) == 1 {
		return 1
	}
	var keys [fetchAhead]*keyState
	for i := range due {
		if ks := due[i].keys; ks.table.keys.n >= fetchFrom {
			keys[i] = ks
		}
	}
	s.fetchKeys(keys[:len(due)])
	return len(due)
}

// fetchKeys looks at what is kept of the first of some keys, as many as fetchAhead;
// nil stands for none.
func (s *Shard) fetchKeys(keys []*keyState) {
	var windows [fetchAhead]*window.State
	keys = keys[:min(len(keys), fetchAhead)]
	for i, ks := range keys {
		if ks == nil {
			continue
		}
		if n := len(ks.key); n > 0 {
			s.fetched += uint64(ks.key[n-1])
		}
		s.fetched += uint64(ks.first.bits)
		windows[i] = ks.first.window()
	}
	for _, ws := range windows[:len(keys)] {
		if ws != nil {
			s.fetched += ws.Read()
		}
	}
}
