package rules

import (
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// testTables reads `tables` of a test: rows that stand in for those of the
// files, in the same columns, so that the rules are the same.
func (l *loader) testTables(d *testDecl, n *node) {
	if !l.mapping(n, "`tables` of a test") {
		return
	}
	d.test.tables = map[string]*expr.Table{}
	for _, e := range n.entries {
		t := l.tableNamed(e.key.text)
		switch {
		case t == nil:
			l.errorf(e.key, oneOf(e.key.text, l.tableNames(), "declare it under `tables` at the top of the file"), "there is no table `%s`", e.key.text)
		case t.table == nil || e.value.bad: // has a mistake
		default:
			d.test.tables[e.key.text] = l.testTable(t, e.value)
		}
	}
}

// testTable reads the rows of a table: a list of rows with their keys in them,
// or a mapping from key to row.
func (l *loader) testTable(t *tableDecl, n *node) *expr.Table {
	out := &expr.Table{Name: t.name.text, Columns: t.table.Columns, Rows: map[string][]event.Value{}}
	add := func(at *node, key string, row []event.Value) {
		switch _, twice := out.Rows[key]; {
		case key == "":
			l.errorf(at, "add `"+t.key+"` to it", "the row has no key")
		case twice:
			l.errorf(at, "remove one of them", "the key `%s` is here twice", key)
		default:
			out.Rows[key] = row
		}
	}
	switch {
	case n.kind == mappingNode:
		for _, e := range n.entries {
			if row, ok := l.testRow(t, e.value); ok {
				if i := columnOf(out, t.key); i >= 0 {
					row[i] = event.String(e.key.text)
				}
				add(e.key, e.key.text, row)
			}
		}
	case n.kind == listNode && t.key != "":
		for _, item := range n.items {
			if row, ok := l.testRow(t, item); ok {
				key := ""
				if v := row[columnOf(out, t.key)]; !v.IsMissing() {
					key = v.AsString()
				}
				add(item, key, row)
			}
		}
	case n.kind == scalarNode && n.typ == emptyType:
		l.errorf(n, "write [] for no row at all", "table `%s` is empty", t.name.text)
	default:
		l.errorf(n, "write `{KEY: {"+out.Columns[len(out.Columns)-1].Name+": ...}}`", "the rows of table `%s` are a mapping by their keys, and this is %s", t.name.text, n.what())
	}
	return out
}

func columnOf(t *expr.Table, name string) int {
	return slices.IndexFunc(t.Columns, func(f event.Field) bool { return f.Name == name })
}

func (l *loader) testRow(t *tableDecl, n *node) ([]event.Value, bool) {
	if !l.mapping(n, "a row of a table") {
		return nil, false
	}
	row := make([]event.Value, len(t.table.Columns))
	for _, e := range n.entries {
		i := columnOf(t.table, e.key.text)
		if i < 0 {
			var known []string
			for _, f := range t.table.Columns {
				known = append(known, f.Name)
			}
			l.errorf(e.key, oneOf(e.key.text, known, ""), "%s has no column `%s`", t.file, e.key.text)
			continue
		}
		var ok bool
		typ := t.table.Columns[i].Type
		if row[i], ok = cellOfNode(e.value).value(typ); !ok || e.value.kind != scalarNode {
			l.errorf(e.value, "", "column `%s` of %s is %s, and this is %s", e.key.text, t.file, typ, e.value.what())
		}
	}
	return row, true
}

func cellOfNode(n *node) tableCell {
	c := tableCell{text: n.text}
	switch n.typ {
	case numberType, boolType:
		c.kind = kindOfCell(strings.ToLower(n.text))
		c.text = strings.ToLower(n.text)
	case textType:
		c.kind = cellText
	}
	return c
}

// overTables compiles the rules anew for tests that have tables of their own,
// once for all that have the same.
func (l *loader) overTables(tests []*Test, with func(map[string]*expr.Table) (*Set, *Report)) {
	sets := map[string]*Set{}
	for _, t := range tests {
		if t.tables == nil {
			continue
		}
		n := t.tablesNode
		text := n.src.text[n.pos:n.end]
		if sets[text] == nil {
			set, report := with(t.tables)
			if set == nil {
				l.errorf(n, "", "with these tables the rules have a mistake: %s", report.Issues[0].Message)
				continue
			}
			sets[text] = set
		}
		t.set = sets[text]
	}
}

// For returns the set that a test runs on: s, or with tables of the test's own
// the same rules over those.
func (s *Set) For(t *Test) *Set {
	if t.set != nil {
		return t.set
	}
	return s
}
