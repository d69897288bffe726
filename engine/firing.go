package engine

import "github.com/cepd/cepd/alerting"

// Firing calls f for each alert that fires, in no particular order, with what
// was told at its raise or, where its rule is in shadow mode, shown. The evidence
// may be missing.
func (e *Engine) Firing(f func(raise *alerting.Transition)) {
	for _, a := range e.own {
		if a.told != nil {
			f(a.told)
		}
	}
	for _, s := range e.shards {
		for _, l := range s.lanes {
			for _, t := range l.tables {
				for ks := range t.keys.all() { // the caller is told that there is no order
					for st := range ks.states() {
						for _, a := range st.alerts() {
							if a.Told && a.said != nil {
								f(a.said)
							}
						}
					}
				}
			}
		}
	}
}
