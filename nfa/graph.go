package nfa

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
)

// A graph draws the pattern as its author wrote it, a box for each step and an
// arrow for each way from one to the next, and not the states of the program,
// of which there are more and which say less.
type graph struct {
	condition func(name string) string
	boxes     []box
	arrows    []arrow
	groups    int
}

type box struct {
	id    string
	lines []string
	kind  boxKind
	group []string // the labels of the groups around it, outermost first
}

type boxKind uint8

const (
	boxStep boxKind = iota
	boxNot
	boxStart
	boxMatch
)

type arrow struct {
	from, to, label string
	dashed          bool // another round
}

// drawing is the graph of a program.
func (p *Prog) drawing(condition func(name string) string) *graph {
	g := &graph{condition: condition}
	g.boxes = append(g.boxes, box{id: "start", kind: boxStart})
	ends := g.inside(p.root, []string{"start"}, "", nil)
	match := box{id: "match", lines: []string{"match"}, kind: boxMatch}
	if p.within > 0 {
		match.lines = append(match.lines, "within "+event.FormatDuration(p.within))
	}
	g.boxes = append(g.boxes, match)
	for _, e := range ends {
		g.arrow(e, "match", "")
	}
	return g
}

func (g *graph) arrow(from, to, label string) {
	a := arrow{from: from, to: to, label: label}
	if !slices.Contains(g.arrows, a) {
		g.arrows = append(g.arrows, a)
	}
}

// part draws a node behind the boxes in from and returns the boxes that it can
// end with.
func (g *graph) part(n *Node, from []string, follow string, group []string) []string {
	if n.Op == OpStep || n.Op == OpNot {
		id := g.step(n, group)
		for _, f := range from {
			g.arrow(f, id, follow)
		}
		if n.Optional {
			return append([]string{id}, from...)
		}
		return []string{id}
	}
	if n.suffix() != "" || n.Op == OpAll {
		g.groups++
		label := n.suffix()
		if n.Op == OpAll {
			label = strings.TrimSpace("all, in any order " + label)
		}
		// The number keeps two groups with the same label apart.
		group = append(slices.Clone(group), fmt.Sprintf("%d %s", g.groups, label))
	}
	first := len(g.boxes)
	ends := g.inside(n, from, follow, group)
	if n.Max != 1 && first < len(g.boxes) {
		for _, e := range ends {
			if !slices.Contains(from, e) {
				g.arrows = append(g.arrows, arrow{from: e, to: g.boxes[first].id, label: "again", dashed: true})
			}
		}
	}
	if n.Optional {
		ends = append(ends, from...)
	}
	return ends
}

// inside draws what is in a group.
func (g *graph) inside(n *Node, from []string, follow string, group []string) []string {
	if n.Op == OpSequence {
		for _, s := range n.Subs {
			if s.Follow != FollowStart {
				follow = s.Follow.String()
			}
			from = g.part(s, from, follow, group)
		}
		return from
	}
	var ends []string
	for _, s := range n.Subs {
		for _, e := range g.part(s, from, follow, group) {
			if !slices.Contains(ends, e) {
				ends = append(ends, e)
			}
		}
	}
	return ends
}

func (g *graph) step(n *Node, group []string) string {
	b := box{id: fmt.Sprintf("s%d", len(g.boxes)), kind: boxStep, group: group}
	if n.Op == OpNot {
		b.kind = boxNot
	}
	b.lines = append(b.lines, strings.TrimSpace(map[bool]string{true: "no "}[n.Op == OpNot]+n.Name+n.suffix()))
	if g.condition != nil {
		b.lines = append(b.lines, g.condition(n.Name))
		if n.Until != "" {
			b.lines = append(b.lines, "until "+g.condition(n.Until))
		}
	}
	g.boxes = append(g.boxes, b)
	return b.id
}

// Mermaid draws the pattern as a Mermaid flowchart. condition returns the text
// of a step's or `until` condition; nil leaves them out.
func (p *Prog) Mermaid(condition func(name string) string) string {
	g := p.drawing(condition)
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	shapes := [...]string{boxStep: "[\"%s\"]", boxNot: "{{\"%s\"}}", boxStart: "((\"%s\"))", boxMatch: "([\"%s\"])"}
	g.nested(&b, func(x box) string {
		lines := make([]string, len(x.lines))
		for i, l := range x.lines {
			lines[i] = mermaidText(l)
		}
		return x.id + fmt.Sprintf(shapes[x.kind], strings.Join(lines, "<br>"))
	}, func(i int, label string) string {
		return fmt.Sprintf("subgraph g%d[\"%s\"]", i, mermaidText(label))
	}, "end")
	for _, a := range g.arrows {
		line := "-->"
		if a.dashed {
			line = "-.->"
		}
		if a.label != "" {
			line += "|\"" + mermaidText(a.label) + "\"|"
		}
		fmt.Fprintf(&b, "  %s %s %s\n", a.from, line, a.to)
	}
	return b.String()
}

// mermaidText escapes what has a meaning in Mermaid or HTML. Entities are
// written with # there.
func mermaidText(s string) string {
	return strings.NewReplacer("#", "#35;", "\"", "#quot;", "&", "#amp;", "<", "#lt;", ">", "#gt;", "\n", " ").Replace(s)
}

// DOT draws the pattern for Graphviz. condition is that of [Prog.Mermaid].
func (p *Prog) DOT(condition func(name string) string) string {
	g := p.drawing(condition)
	var b strings.Builder
	b.WriteString("digraph pattern {\n  rankdir=LR\n  node [shape=box, style=rounded]\n")
	shapes := [...]string{boxStep: "", boxNot: ", shape=octagon", boxStart: ", shape=circle", boxMatch: ", shape=doubleoctagon"}
	g.nested(&b, func(x box) string {
		return fmt.Sprintf("%s [label=%s%s]", x.id, dotText(strings.Join(x.lines, "\n")), shapes[x.kind])
	}, func(i int, label string) string {
		return fmt.Sprintf("subgraph cluster%d { label=%s", i, dotText(label))
	}, "}")
	for _, a := range g.arrows {
		style := ""
		if a.dashed {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "  %s -> %s [label=%s%s]\n", a.from, a.to, dotText(a.label), style)
	}
	b.WriteString("}\n")
	return b.String()
}

func dotText(s string) string {
	return "\"" + strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "\n", "\\n").Replace(s) + "\""
}

// nested writes the boxes, each within its groups.
func (g *graph) nested(b *strings.Builder, boxText func(box) string, open func(i int, label string) string, end string) {
	var in []string
	number := 0
	leave := func(depth int) {
		for len(in) > depth {
			fmt.Fprintf(b, "%s%s\n", strings.Repeat("  ", len(in)), end)
			in = in[:len(in)-1]
		}
	}
	for _, x := range g.boxes {
		common := 0
		for common < len(in) && common < len(x.group) && in[common] == x.group[common] {
			common++
		}
		leave(common)
		for _, label := range x.group[common:] {
			number++
			in = append(in, label)
			_, text, _ := strings.Cut(label, " ")
			fmt.Fprintf(b, "%s%s\n", strings.Repeat("  ", len(in)), open(number, text))
		}
		fmt.Fprintf(b, "%s%s\n", strings.Repeat("  ", len(in)+1), boxText(x))
	}
	leave(0)
}
