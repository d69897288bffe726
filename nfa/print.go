package nfa

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
)

// Shape returns a text that is the same for two programs exactly if the one's
// machines can be read by the other. Conditions and lengths of time are no
// part of it.
func (p *Prog) Shape() string {
	var b strings.Builder
	root := p.root.withoutTimes()
	root.print(&b, true)
	fmt.Fprintf(&b, " %s %s %t", p.skipText(), p.order, p.within > 0)
	for _, a := range p.aggs {
		fmt.Fprintf(&b, " %s:%d", p.steps[a.step].Name, a.width)
	}
	return b.String()
}

// withoutTimes returns a copy of the tree in which all windows are equal.
func (n *Node) withoutTimes() *Node {
	m := *n
	m.Gap, m.Within = min(n.Gap, 1), min(n.Within, 1)
	m.Subs = nil
	for _, s := range n.Subs {
		m.Subs = append(m.Subs, s.withoutTimes())
	}
	return &m
}

// String returns the order as rule files write it.
func (o Order) String() string { return [...]string{"completion", "start"}[o] }

// String returns the strategy as rule files write it, without its step.
func (s Skip) String() string {
	return [...]string{"past_last", "none", "to_next", "to_first", "to_last"}[s]
}

func (p *Prog) skipText() string {
	if p.skipTo >= 0 && (p.skip == SkipToFirst || p.skip == SkipToLast) {
		return p.skip.String() + " " + p.steps[p.skipTo].Name
	}
	return p.skip.String()
}

// String lists the program: what is said of the whole, then each state with
// its edges. `take`, `ignore` and `proceed` are explained at the compiler's
// states; behind them stand the condition and the number of the next state.
func (p *Prog) String() string {
	var b strings.Builder
	p.root.print(&b, true)
	if p.within > 0 {
		fmt.Fprintf(&b, "  within %s", event.FormatDuration(p.within))
	}
	fmt.Fprintf(&b, "  skip %s  order %s\n", p.skipText(), p.order)
	for _, s := range p.states {
		if s.kind == stateStop {
			continue
		}
		fmt.Fprintf(&b, "%3d  %s\n", s.id, p.title(s))
		for _, e := range s.edges {
			b.WriteString(p.edgeText(s, e))
		}
	}
	return b.String()
}

func (p *Prog) title(s *state) string {
	text := "go on"
	switch {
	case s.kind == stateStart:
		text = "start"
	case s.kind == stateFinal:
		text = "match"
	case s.kind == statePending:
		text = "match when time is over"
	case s.step >= 0:
		text = "wait for " + p.steps[s.step].Name
	}
	if s.window > 0 {
		text += " within " + event.FormatDuration(s.window)
	}
	return text
}

func (p *Prog) edgeText(s *state, e edge) string {
	on := p.condText(e.cond)
	if on != "" {
		on = " if " + on
	}
	switch {
	case e.to.kind == stateStop:
		return fmt.Sprintf("       stop%s\n", on)
	case e.act == actTake:
		return fmt.Sprintf("       take %s%s -> %d\n", p.steps[e.step].Name, on, e.to.id)
	case e.act == actIgnore && e.to == s:
		return fmt.Sprintf("       ignore%s\n", on)
	case e.act == actIgnore:
		return fmt.Sprintf("       ignore%s -> %d\n", on, e.to.id)
	}
	return fmt.Sprintf("       proceed%s -> %d\n", on, e.to.id)
}

// condText prints a condition by the names of steps and conditions.
func (p *Prog) condText(c cond) string {
	var all []string
	for _, cl := range c {
		var any []string
		for _, l := range cl {
			text := p.labels[l.pred()]
			if l.negated() {
				text = "!" + text
			}
			if !slices.Contains(any, text) { // a gate and its condition have one name
				any = append(any, text)
			}
		}
		text := strings.Join(any, " || ")
		if len(any) > 1 && len(c) > 1 {
			text = "(" + text + ")"
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, " && ")
}
