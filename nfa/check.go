package nfa

import "slices"

// Compile checks a pattern and compiles it. The program is nil if any of the
// issues is an error.
func Compile(p *Pattern, o Options) (*Prog, []Issue) {
	prog := &Prog{
		text: p.String(), steps: p.Steps(),
		within: o.Within, skip: o.Skip, skipTo: -1, order: o.Order, maxRuns: o.MaxRuns, timeout: o.Timeout,
	}
	if prog.maxRuns <= 0 {
		prog.maxRuns = DefaultMaxRuns
	}
	c := &compiler{prog: prog, preds: map[string]cond{}, steps: map[string]int{}, stop: map[int]*state{}}
	for _, s := range prog.steps {
		c.steps[s.Name] = s.Number
		if s.Name == o.SkipTo {
			prog.skipTo = s.Number
		}
		c.predicate(s.Name, o.Predicates[s.Name])
	}
	for _, u := range p.Untils() {
		c.predicate(u.Name, o.Predicates[u.Name])
	}
	prog.stepAggs = make([][]int, len(prog.steps))
	prog.stepVals = make([]int, len(prog.steps))
	for i, step := range o.AggregateSteps {
		prog.aggs = append(prog.aggs, aggregate{step, prog.stepVals[step], o.AggregateWidths[i]})
		prog.stepAggs[step] = append(prog.stepAggs[step], i)
		prog.stepVals[step] += o.AggregateWidths[i]
	}
	p.Root.walk(false, func(n *Node, _ bool) {
		prog.grouped = prog.grouped || n.Max == Unlimited && n.Op != OpStep
	})
	c.compile(p.Root)
	prog.flatten()
	return prog, nil
}

// predicate gives the condition of a name its place in the program.
func (c *compiler) predicate(name string, q Predicate) {
	if _, ok := c.preds[name]; ok {
		return
	}
	var all cond
	if q.Gated {
		all = cond{{c.literal(name, Predicate{ID: q.Gate})}}
	}
	all = append(all, clause{c.literal(name, Predicate{ID: q.ID, Linked: q.Linked})})
	c.preds[name] = all
}

func (c *compiler) literal(name string, q Predicate) literal {
	i := slices.IndexFunc(c.prog.preds, func(p Predicate) bool { return p == q })
	if i < 0 {
		i = len(c.prog.preds)
		c.prog.preds = append(c.prog.preds, q)
		c.prog.labels = append(c.prog.labels, name)
	}
	return literal(2 * i)
}
