package engine

import "github.com/cepd/cepd/event"

// A key whose window has ended mostly comes again in the next one. To take it out
// of its table and put it in again costs more than all that its events do. So it
// lingers for as long as one more window takes, with the memory of its windows.
// Nobody sees that: a key that lingers is empty.
//
// How many keys of a rule may linger depends on how many of the last ones came
// again. Where keys are ever new ones, such as those of orders, few do.

// lingering are the keys of one rule that linger.
type lingering struct {
	table *table
	rule  int
	keys  []*keyState
	until event.Time
	most  int // of them
}

const (
	fewLinger  = 1024    // keys of a rule, to find out whether they come again
	mostLinger = 1 << 20 // no more of a rule, in a shard
)

// linger keeps the state of a rule and key whose last window is gone at a time. It
// reports whether it does.
func (l *lane) linger(ks *keyState, rule int, now event.Time) bool {
	st, g := ks.look(rule), ks.table.lingering[rule]
	if g == nil {
		g = &lingering{table: ks.table, rule: rule, most: fewLinger}
		ks.table.lingering[rule] = g
	}
	switch {
	case st.is(bitLingers):
		return true
	case len(g.keys) >= g.most:
		return false
	case len(g.keys) == 0:
		stretch := ks.table.rules[rule].Window.Spec.Stretch(now)
		if l.plan.keyed || stretch == 0 {
			return false // the time of the key or of its window may stand still
		}
		g.until = now.Add(stretch)
		l.lingering = append(l.lingering, g)
	}
	st.set(bitLingers, true)
	g.keys = append(g.keys, ks)
	return true
}

// lingered lets go of the keys of rules that have not come again by a time.
func (s *Shard) lingered(l *lane, now event.Time) {
	n := 0
	for _, g := range l.lingering {
		if g.until <= now {
			s.letGo(g)
		} else {
			l.lingering[n] = g
			n++
		}
	}
	clear(l.lingering[n:])
	l.lingering = l.lingering[:n]
}

// letGo lets go of the keys of a rule that have not come again.
func (s *Shard) letGo(g *lingering) {
	back := 0
	for i, ks := range g.keys {
		if i%fetchAhead == 0 {
			s.fetchKeys(g.keys[i:])
		}
		st := ks.look(g.rule)
		st.set(bitLingers, false)
		ws := st.window()
		if ws != nil && !ws.Empty() {
			back++
			continue
		}
		if ws != nil {
			st.kept = nil
			s.putWindow(g.table, g.rule, ws)
		}
		g.table.settle(ks)
	}
	if g.most = fewLinger; 2*back >= len(g.keys) {
		g.most = min(8*max(len(g.keys), fewLinger), mostLinger)
	}
	clear(g.keys)
	g.keys = g.keys[:0]
}
