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

// fetch looks at what is kept of the keys of some items.
func (l *lane) fetch(s *Shard, items []item) {
	var keys [fetchAhead]*keyTable
	n := 0
	for i := range items {
		if it := &items[i]; it.parent == nil && it.table >= 0 {
			if t := l.tables[it.table].keys; t.n >= fetchFrom {
				keys[i] = t
				s.fetched += t.home(it.hash)
				n++
			}
		}
	}
	if n == 0 {
		return
	}
	var found [fetchAhead]*keyState
	for i, t := range keys {
		if t != nil {
			found[i] = t.likely(items[i].hash)
		}
	}
	s.fetchKeys(&found)
}

// fetchDue looks at what is kept of the keys of the first timers of a row that are
// due together, and returns how many they are.
func (s *Shard) fetchDue(r *timerRow) int {
	due := r.list[r.next:min(r.sorted, r.next+fetchAhead)]
	if len(due) == 1 {
		return 1
	}
	var found [fetchAhead]*keyState
	for i := range due {
		if ks := due[i].keys; ks.table.keys.n >= fetchFrom {
			found[i] = ks
		}
	}
	s.fetchKeys(&found)
	return len(due)
}

// fetchKeys looks at what is kept of some keys.
func (s *Shard) fetchKeys(found *[fetchAhead]*keyState) {
	var windows [fetchAhead]*window.State
	for i, ks := range found {
		if ks == nil {
			continue
		}
		if n := len(ks.key); n > 0 {
			s.fetched += uint64(ks.key[n-1])
		}
		s.fetched += uint64(ks.first.bits)
		windows[i] = ks.first.window()
	}
	for _, ws := range windows {
		if ws != nil {
			s.fetched += ws.Read()
		}
	}
}
