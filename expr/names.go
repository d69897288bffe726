package expr

import (
	"fmt"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"github.com/cepd/cepd/event"
)

// A variable is a name that the expression at hand can use.
type variable struct {
	kind  variableKind
	typ   *types.Type
	index int // of a step, an aggregate or one of Scope.Vars
}

type variableKind uint8

const (
	varEvent     variableKind = iota // e
	varKey                           // key, or its one part
	varStep                          // the one event of a step
	varList                          // the events of a step
	varOther                         // one of Scope.Vars
	varAggregate                     // an incremental aggregate
	varWindow                        // a variable of Scope.Window
	varTable                         // one of Scope.Tables
	varDefault                       // a row that lookup() gives where a table has none
)

// Prefixes of variables that no user can write.
const (
	prefixMatched   = "@matched:" // the events of a step, whatever its count
	prefixAggregate = "@agg:"
	prefixWindow    = "@window:"
	prefixDefault   = "@default:"
)

// names are the variables of a scope, and the names that are known but mean
// nothing where the expression stands, with the reason.
type names struct {
	visible map[string]variable
	hidden  map[string]hiddenName
	key     *object   // of several parts
	tables  []*object // rows of the tables, by number
	// defaults are the rows that calls of lookup() bring along.
	defaults []rowValue
}

type hiddenName struct{ message, advice string }

func (c *compilation) declare() {
	s := c.scope
	c.names = names{visible: map[string]variable{}, hidden: map[string]hiddenName{}}
	n := &c.names
	if s.Event != nil {
		o := c.provider.add("an event of "+s.Event.Stream(), []*event.Schema{s.Event}, nil)
		n.visible[c.event] = variable{varEvent, o.typ, 0}
	} else {
		n.hidden["e"] = hiddenName{"there is no single event `e` here", ""}
	}
	if s.NoKey {
		n.hidden["key"] = hiddenName{"there is no `key` yet: `by` makes it", "write `e.` and the field"}
	} else {
		n.visible["key"] = variable{varKey, c.keyType(), 0}
	}
	if s.Window != nil {
		c.declareWindow(s.Window)
	}
	if c.inside != nil {
		c.hideWindow(c.inside)
	}
	c.declareTables()
	for i, v := range s.Vars {
		n.visible[v.Name] = variable{varOther, libraryType(v.Type), i}
	}
	for i, step := range s.Steps {
		c.declareStep(i, step)
	}
}

func (c *compilation) keyType() *types.Type {
	switch k := c.scope.Key; {
	case len(k.Parts) == 0:
		return types.NullType
	case k.Single:
		return libraryType(k.Parts[0].Type)
	default:
		c.names.key = c.provider.add("the key", nil, k.Parts)
		return c.names.key.typ
	}
}

func (c *compilation) declareStep(i int, step Step) {
	n := &c.names
	streams := make([]string, len(step.Schemas))
	for j, s := range step.Schemas {
		streams[j] = s.Stream()
	}
	o := c.provider.add("an event of "+strings.Join(streams, " or "), step.Schemas, nil)
	list := types.NewListType(o.typ)
	n.visible[prefixMatched+strconv.Itoa(i)] = variable{varList, list, i}
	switch {
	case step.Negated:
		n.hidden[step.Name] = hiddenName{fmt.Sprintf("%s is negated: a match has no event for it", step.Name), ""}
	case step.List:
		n.visible[step.Name] = variable{varList, list, i}
	case i == c.scope.Self:
		n.hidden[step.Name] = hiddenName{fmt.Sprintf("%s is the event that is being judged here", step.Name), "write `e`"}
	default:
		n.visible[step.Name] = variable{varStep, o.typ, i}
	}
}

// userNames returns the visible names that a user can write.
func (n *names) userNames() []string {
	var out []string
	for name := range n.visible {
		if name[0] != '@' {
			out = append(out, name)
		}
	}
	return out
}

// Reserved reports whether a name means something in every expression, so that
// a step, table or `let` may not have it, and what it is: "a CEL function",
// "a CEL type" and so on.
func Reserved(name string) (what string, ok bool) {
	what, ok = reservedNames[name]
	return what, ok
}

var reservedNames = func() map[string]string {
	m := map[string]string{}
	for name := range base.functions {
		if first, _, dotted := strings.Cut(name, "."); dotted {
			m[first] = "a group of CEL functions"
		} else if isName(name) {
			m[name] = "a CEL function"
		}
	}
	for _, k := range aggregateKinds {
		m[k.name] = "a CEL macro"
	}
	for _, macro := range base.env.Macros() {
		m[macro.Function()] = "a CEL macro"
	}
	for _, name := range strings.Fields("bool bytes double duration dyn int list map null_type optional_type string timestamp type uint google") {
		m[name] = "a CEL type"
	}
	for _, name := range strings.Fields(celKeywords) {
		m[name] = "a CEL keyword"
	}
	m["duration"] = "a CEL function"
	m["matched"] = "a CEL function"
	m["lookup"] = "a CEL function"
	m["math"] = "a group of CEL functions"
	m["e"] = "the event"
	m["key"] = "the key"
	return m
}()

const celKeywords = "as break const continue else false for function if import in let loop package namespace null return true var void while"

// nearest returns the known name that is closest to a mistyped one, or "".
func nearest(name string, known []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, k := range known {
		d := editDistance(strings.ToLower(name), strings.ToLower(k), least+1)
		if d < least || d == least && best != "" && k < best {
			best, least = k, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, substitutions and swaps of
// neighbours that turn a into b; limit or more is returned as limit.
func editDistance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return min(prev[len(b)], limit)
}
