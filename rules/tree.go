package rules

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// node is a part of a YAML document that knows where it stands.
type node struct {
	src      *source
	pos, end int // the bytes that it takes
	kind     kind
	flow     bool // a mapping or list in {} or []
	bad      bool // has been reported: say no more about it
	partial  bool // a mapping of which a key or value is not understood: nothing can be said to be missing

	// Of a text.
	text   string
	origin []int // where each byte of text stands in the file, and the end
	style  style
	typ    scalarType

	entries []entry // of a mapping, in order
	items   []*node // of a list
}

type entry struct{ key, value *node }

type kind uint8

const (
	scalarNode kind = iota
	mappingNode
	listNode
)

// style is how a text is written.
type style uint8

const (
	plain style = iota
	singleQuoted
	doubleQuoted
	literal // after |
	folded  // after >
)

// scalarType is what YAML takes an unquoted text for.
type scalarType uint8

const (
	textType scalarType = iota
	numberType
	boolType
	nullType  // null or ~
	emptyType // nothing at all
)

// at returns where the byte with offset i of a text stands in the file.
func (n *node) at(i int) int {
	if n.kind != scalarNode || len(n.origin) == 0 {
		return n.pos
	}
	return n.origin[min(max(i, 0), len(n.origin)-1)]
}

// what names the node as messages do.
func (n *node) what() string {
	switch {
	case n.kind == mappingNode:
		return "a mapping"
	case n.kind == listNode:
		return "a list"
	case n.typ == numberType:
		return "a number"
	case n.typ == boolType:
		return "true or false"
	case n.typ == nullType:
		return "null"
	case n.typ == emptyType:
		return "nothing"
	}
	return "a text"
}

// get returns the value of a key of a mapping, nil where it has none.
func (n *node) get(key string) *node {
	for _, e := range n.entries {
		if e.key.text == key {
			return e.value
		}
	}
	return nil
}

// maxNesting is how deep mappings and lists may be nested. Rules need six
// levels; the limit keeps a file from exhausting the stack.
const maxNesting = 100

// converter turns the YAML library's tree into nodes.
type converter struct {
	src     *source
	report  *Report
	anchors map[string]*node
	depth   int
}

func (c *converter) errorAt(pos, end int, advice, format string, args ...any) {
	c.report.add(c.src.issue(Error, pos, end, fmt.Sprintf(format, args...), advice))
}

// place returns where a token stands. The library counts lines and columns in
// characters, and does not count tabs after a colon.
func (c *converter) place(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 0
	}
	at := c.src.offset(t.Position.Line, t.Position.Column)
	for at < len(c.src.text) && (c.src.text[at] == ' ' || c.src.text[at] == '\t') {
		at++
	}
	return at
}

// convert returns the node of a part of the library's tree.
func (c *converter) convert(n ast.Node) *node {
	if c.depth++; c.depth > maxNesting {
		c.depth--
		pos := c.place(n.GetToken())
		c.errorAt(pos, pos+1, "", "mappings and lists are nested more than %d levels deep", maxNesting)
		return &node{src: c.src, pos: pos, end: pos, bad: true}
	}
	defer func() { c.depth-- }()
	return c.part(n)
}

func (c *converter) part(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.MappingNode:
		return c.mapping(n, n.Values)
	case *ast.MappingValueNode:
		return c.mapping(n, []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		return c.list(n)
	case *ast.AnchorNode:
		v := c.convert(n.Value)
		if n.Name != nil {
			c.anchors[n.Name.GetToken().Value] = v
		}
		return v
	case *ast.AliasNode:
		return c.alias(n)
	case *ast.TagNode:
		return c.convert(n.Value) // reported with the tokens
	case *ast.LiteralNode:
		return c.block(n)
	case nil:
		return &node{src: c.src, typ: emptyType}
	}
	return c.scalar(n)
}

func (c *converter) alias(n *ast.AliasNode) *node {
	pos := c.place(n.Start)
	name := ""
	if n.Value != nil {
		name = n.Value.GetToken().Value
	}
	if v := c.anchors[name]; v != nil {
		return v
	}
	c.errorAt(pos, pos+1+len(name), "put an expression that begins with * in quotes, or on the next line after |",
		"YAML reads *%s as a reference to &%s, which is nowhere before", name, name)
	return &node{src: c.src, pos: pos, end: pos + 1 + len(name), bad: true}
}

func (c *converter) list(n *ast.SequenceNode) *node {
	pos := c.place(n.Start)
	out := &node{src: c.src, kind: listNode, pos: pos, end: pos + 1, flow: n.IsFlowStyle}
	for _, v := range n.Values {
		item := c.convert(v)
		if item.pos == 0 && item.typ == emptyType {
			item.pos, item.end = pos, pos+1
		}
		out.items = append(out.items, item)
		out.end = max(out.end, item.end)
	}
	return out
}

func (c *converter) mapping(n ast.Node, values []*ast.MappingValueNode) *node {
	pos := c.place(n.GetToken())
	out := &node{src: c.src, kind: mappingNode, pos: pos, end: pos + 1}
	if m, ok := n.(*ast.MappingNode); ok && m.IsFlowStyle {
		out.flow = true
	}
	var merges []*ast.MappingValueNode
	for _, v := range values {
		if v.Key.IsMergeKey() {
			merges = append(merges, v)
			continue
		}
		key := c.key(v)
		value := c.convert(v.Value)
		if value.kind == scalarNode && value.typ == emptyType {
			value.pos, value.end = key.pos, key.end // nothing has no place
		}
		if !out.flow && len(out.entries) == 0 {
			out.pos = key.pos
		}
		out.end = max(out.end, value.end)
		if !key.bad {
			c.put(out, key, value)
		}
	}
	if out.flow {
		c.cut(out)
	}
	for _, v := range merges { // what is written here goes before
		c.merge(out, v)
	}
	return out
}

// cut reports values in {...} that YAML ended at a comma which was meant to be
// a part of them, and drops the pieces behind it, which YAML takes for keys.
func (c *converter) cut(m *node) {
	kept, open := m.entries[:0], 0
	report := func(v *node) {
		if !v.bad {
			c.errorAt(v.pos, v.end, "put it in quotes, or write each entry on a line of its own", "inside of {...} YAML ends a value at a comma, so `%s` is cut", v.text)
		}
		v.bad = true
	}
	for _, e := range m.entries {
		if e.value.kind == scalarNode && e.value.typ == emptyType {
			if open > 0 {
				open += brackets(e.key.text)
				continue
			}
			if n := len(kept); n > 0 && isPhrase(kept[n-1].value) && strings.Contains(e.key.text, " ") {
				report(kept[n-1].value)
				continue
			}
		}
		open = 0
		if v := e.value; v.kind == scalarNode && v.style == plain && brackets(v.text) > 0 {
			open = brackets(v.text)
			report(v)
		}
		kept = append(kept, e)
	}
	m.entries = kept
}

// isPhrase reports whether a value is text of several words that is not in quotes.
func isPhrase(v *node) bool {
	return v.kind == scalarNode && v.style == plain && strings.Contains(v.text, " ")
}

// brackets counts the brackets that a text leaves open.
func brackets(s string) int {
	return strings.Count(s, "(") - strings.Count(s, ")")
}

// put adds an entry, or reports that its key is there already.
func (c *converter) put(m *node, key, value *node) {
	if old := m.get(key.text); old != nil {
		line := 0
		for _, e := range m.entries {
			if e.key.text == key.text {
				line, _ = c.src.position(e.key.pos)
			}
		}
		c.errorAt(key.pos, key.end, "remove one of the two", "`%s` is here twice: also in line %d", key.text, line)
		return
	}
	m.entries = append(m.entries, entry{key, value})
}

// merge adds the entries of a mapping after <<, where there are none of the
// same name.
func (c *converter) merge(m *node, v *ast.MappingValueNode) {
	from := c.convert(v.Value)
	list := []*node{from}
	if from.kind == listNode {
		list = from.items
	}
	for _, f := range list {
		if f.kind != mappingNode {
			if !f.bad {
				c.errorAt(f.pos, f.end, "", "<< takes a mapping to merge, and this is %s", f.what())
			}
			continue
		}
		for _, e := range f.entries {
			if m.get(e.key.text) == nil {
				m.entries = append(m.entries, e)
			}
		}
	}
}

func (c *converter) key(v *ast.MappingValueNode) *node {
	var k ast.Node = v.Key
	if mk, ok := k.(*ast.MappingKeyNode); ok {
		pos := c.place(mk.Start)
		c.errorAt(pos, pos+1, "write `key: value`", "a key cannot be written after ?")
		return &node{src: c.src, pos: pos, end: pos + 1, bad: true}
	}
	out := c.convert(k)
	if out.kind != scalarNode && !out.bad {
		c.errorAt(out.pos, out.end, "", "a key must be a text, and this is %s", out.what())
		out.bad = true
	}
	return out
}
