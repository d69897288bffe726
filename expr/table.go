package expr

import (
	"maps"
	"slices"
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"github.com/cepd/cepd/event"
)

// Table is constant data that expressions look up by a key: rows of typed
// columns. It must not change once an expression is compiled against it.
type Table struct {
	// Name is the name that expressions use.
	Name string
	// Columns are the names and types of the cells of a row. A type is one of
	// bool, int, double and string.
	Columns []event.Field
	// Rows are the rows by the text of their key, each parallel to Columns. A
	// cell is of its column's type, or missing.
	Rows map[string][]event.Value
}

// Keys returns the keys of all rows, sorted.
func (t *Table) Keys() []string { return slices.Sorted(maps.Keys(t.Rows)) }

func (t *Table) column(name string) int {
	return slices.IndexFunc(t.Columns, func(f event.Field) bool { return f.Name == name })
}

// use shows how a cell is written.
func (t *Table) use() string {
	column := "x"
	if len(t.Columns) > 0 {
		column = t.Columns[len(t.Columns)-1].Name
	}
	if !isName(column) {
		column = "`" + column + "`"
	}
	return t.Name + "[e.device]." + column
}

// find returns the row of a key, and whether there is one. A key that is no
// text is looked up by its text: 7 finds the row "7".
func (t *Table) find(key event.Value) (row []event.Value, ok bool, r Reason) {
	switch key.Kind() {
	case event.KindString:
		row, ok = t.Rows[key.AsString()]
	case event.KindInt:
		var buf [20]byte
		row, ok = t.Rows[string(strconv.AppendInt(buf[:0], key.AsInt(), 10))]
	case event.KindUint:
		var buf [20]byte
		row, ok = t.Rows[string(strconv.AppendUint(buf[:0], key.AsUint(), 10))]
	case event.KindBool, event.KindDouble, event.KindTime, event.KindDuration:
		row, ok = t.Rows[key.Text()]
	default:
		r = ReasonType
	}
	return row, ok, r
}

// cell returns a cell of a row.
func cell(row []event.Value, column int) (event.Value, Reason) {
	if v := row[column]; !v.IsMissing() {
		return v, 0
	}
	return event.Missing, ReasonNoSuchField
}

// declareTables makes the names of tables visible.
func (c *compilation) declareTables() {
	for i, t := range c.scope.Tables {
		o := c.provider.addTable(t)
		c.names.visible[t.Name] = variable{varTable, types.NewMapType(types.StringType, o.typ), i}
		c.names.tables = append(c.names.tables, o)
	}
}

// rows returns what the rows are of the table that e names, nil if it is none.
func (r *rewriter) rows(e ast.Expr) *object {
	if e.Kind() != ast.IdentKind || r.isBound(e.AsIdent()) {
		return nil
	}
	if v, ok := r.names.visible[e.AsIdent()]; ok && v.kind == varTable {
		return r.names.tables[v.index]
	}
	return nil
}

// tableSelect turns ratings.p1 into a row. It reports whether e is one.
func (r *rewriter) tableSelect(e ast.Expr) bool {
	s := e.AsSelect()
	if r.rows(s.Operand()) == nil {
		return false
	}
	key := r.fac.NewLiteral(r.newID(e), types.String(s.FieldName()))
	if s.IsTestOnly() {
		e.SetKindCase(r.fac.NewCall(0, fnHasRow, key, s.Operand()))
	} else {
		e.SetKindCase(r.fac.NewCall(0, fnRow, s.Operand(), key))
	}
	return true
}

// tableCall turns what is asked of a table into functions over it. It reports
// whether e asks something of one.
func (r *rewriter) tableCall(e ast.Expr) bool {
	call := e.AsCall()
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	name := call.FunctionName()
	if name == "lookup" {
		r.lookup(e, args)
		return true
	}
	if len(args) == 0 || len(args) > 2 {
		return false
	}
	if name == operators.In && r.rows(args[1]) != nil {
		r.walk(args[0])
		e.SetKindCase(r.fac.NewCall(0, fnHasRow, args...))
		return true
	}
	of := r.rows(args[0])
	if of == nil {
		return false
	}
	switch name {
	case "size":
		e.SetKindCase(r.fac.NewLiteral(0, types.Int(len(of.table.Rows))))
	case operators.Index:
		r.walk(args[1])
		e.SetKindCase(r.fac.NewCall(0, fnRow, args...))
	case operators.OptIndex, operators.OptSelect:
		r.walk(args[1])
		e.SetKindCase(r.fac.NewCall(0, fnMaybeRow, args...))
	default:
		return false
	}
	return true
}

const lookupUse = `as in lookup(ratings, e.device, {"max": 80}).max`

// lookup rewrites a look-up with a default: lookup(ratings, key, row), where
// the table may be named by a text, and the row is one of constants, or another
// row of the table.
func (r *rewriter) lookup(e ast.Expr, args []ast.Expr) {
	if e.AsCall().IsMemberFunction() || len(args) != 3 {
		r.issue(e, "lookup() takes a table, a key and a default row", lookupUse)
		return
	}
	of := r.rows(args[0])
	if isStringLiteral(args[0]) {
		name := string(args[0].AsLiteral().(types.String))
		args[0].SetKindCase(r.fac.NewIdent(0, name))
		if of = r.rows(args[0]); of == nil {
			r.issue(args[0], "there is no table `"+name+"`", didYouMean(name, r.names.tableNames()))
			return
		}
	}
	if of == nil {
		r.issueSpan(args[0], "lookup() takes the name of a table", lookupUse)
		return
	}
	r.walk(args[1])
	if args[2].Kind() == ast.MapKind {
		r.defaultRow(of, args[2])
	} else {
		r.walk(args[2])
		if call := args[2]; call.Kind() != ast.CallKind || call.AsCall().FunctionName() != fnRow && call.AsCall().FunctionName() != fnLookup ||
			r.rows(call.AsCall().Args()[0]) != of {
			r.issueSpan(args[2], "the default of lookup() is a row: of constants, or another row of "+of.table.Name, lookupUse+`, or lookup(ratings, e.device, ratings["other"]).max`)
		}
	}
	e.SetKindCase(r.fac.NewCall(0, fnLookup, args...))
}

// defaultRow turns a map of constants into a variable that holds a row.
func (r *rewriter) defaultRow(of *object, e ast.Expr) {
	t := of.table
	row := make([]event.Value, len(t.Columns))
	for _, entry := range e.AsMap().Entries() {
		name, value := entry.AsMapEntry().Key(), entry.AsMapEntry().Value()
		if !isStringLiteral(name) || value.Kind() != ast.LiteralKind {
			r.issueSpan(e, "a default row holds constants", lookupUse)
			return
		}
		column := string(name.AsLiteral().(types.String))
		i := t.column(column)
		if i < 0 {
			r.issueSpan(name, "a row of "+t.Name+" has no column `"+column+"`", didYouMean(column, columnNames(t)))
			return
		}
		v, why := fromLibrary(value.AsLiteral())
		if why == 0 {
			v, why = conform(v, t.Columns[i].Type)
		}
		if why != 0 {
			r.issueSpan(value, "column "+column+" of "+t.Name+" is "+typeNames[libraryType(t.Columns[i].Type).Kind()]+", not "+r.literalName(value), "")
			return
		}
		row[i] = v
	}
	name := prefixDefault + strconv.Itoa(len(r.names.defaults))
	r.names.visible[name] = variable{varDefault, of.typ, len(r.names.defaults)}
	r.names.defaults = append(r.names.defaults, rowValue{of, row})
	e.SetKindCase(r.fac.NewIdent(0, name))
}

func (r *rewriter) literalName(e ast.Expr) string {
	if t, ok := e.AsLiteral().Type().(*types.Type); ok {
		return r.typeName(t)
	}
	return "this"
}

func columnNames(t *Table) []string {
	names := make([]string, len(t.Columns))
	for i, f := range t.Columns {
		names[i] = f.Name
	}
	return names
}

func (n *names) tableNames() []string {
	var out []string
	for _, o := range n.tables {
		out = append(out, o.table.Name)
	}
	return out
}

// verifyRowKey wants a key that has a text.
func (c *compilation) verifyRowKey(key ast.Expr) {
	switch t := c.typeOf(key); t.Kind() {
	case types.StringKind, types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.TimestampKind, types.DurationKind, types.DynKind, types.ErrorKind:
	default:
		c.issueSpan(key, "the key of a table is a text, not "+c.typeName(t), "")
	}
}

// rowFn finds a row. Where it may find none, that is no row without a reason.
type rowFn func(*Frame) ([]event.Value, Reason)

// findFn looks for a row. The reason is that of its key.
type findFn func(*Frame) (row []event.Value, ok bool, r Reason)

// row covers the functions that find a row of a table.
func (g *generator) row(name string, args []ast.Expr) code {
	find := g.find(args[0], args[1])
	if find == nil {
		return code{}
	}
	switch name {
	case fnRow:
		return code{form: formRow, row: func(f *Frame) ([]event.Value, Reason) {
			row, ok, r := find(f)
			if r == 0 && !ok {
				r = ReasonNoSuchRow
			}
			return row, r
		}}
	case fnMaybeRow:
		return code{form: formMaybeRow, row: func(f *Frame) ([]event.Value, Reason) {
			row, _, r := find(f)
			return row, r
		}}
	}
	other := g.expr(args[2])
	if other.form != formRow {
		return code{}
	}
	return code{form: formRow, row: func(f *Frame) ([]event.Value, Reason) {
		row, ok, r := find(f)
		if r == 0 && !ok {
			return other.row(f)
		}
		return row, r
	}}
}

// find returns a closure that looks for a row of a table by its key.
func (g *generator) find(table, key ast.Expr) findFn {
	t := g.names.tables[g.names.visible[table.AsIdent()].index].table
	k := g.expr(key)
	if k.form == formString {
		s := k.s
		return func(f *Frame) ([]event.Value, bool, Reason) {
			x, r := s(f)
			if r != 0 {
				return nil, false, r
			}
			row, ok := t.Rows[x]
			return row, ok, 0
		}
	}
	if !k.isScalar() {
		return nil
	}
	v := k.box()
	return func(f *Frame) ([]event.Value, bool, Reason) {
		x, r := v(f)
		if r != 0 {
			return nil, false, r
		}
		return t.find(x)
	}
}

// hasRow covers `in` of a table.
func (g *generator) hasRow(args []ast.Expr) code {
	find := g.find(args[1], args[0])
	if find == nil {
		return code{}
	}
	return boolCode(func(f *Frame) Truth {
		_, ok, r := find(f)
		if r != 0 {
			return failed(r)
		}
		return truthOf(ok)
	})
}

// column covers a cell of a row.
func (g *generator) column(of ast.Expr, row rowFn, name string) code {
	t := g.provider.object(g.typeOf(of)).table
	i := t.column(name)
	return valueCode(func(f *Frame) (event.Value, Reason) {
		cells, r := row(f)
		if r != 0 {
			return event.Missing, r
		}
		return cell(cells, i)
	}).unbox(t.Columns[i].Type)
}

func (g *generator) hasColumn(of ast.Expr, row rowFn, name string) code {
	i := g.provider.object(g.typeOf(of)).table.column(name)
	return boolCode(func(f *Frame) Truth {
		cells, r := row(f)
		if r != 0 {
			return failed(r)
		}
		return truthOf(!cells[i].IsMissing())
	})
}

// maybeColumn covers a cell that may be missing, of a row that may be.
func (g *generator) maybeColumn(of ast.Expr, row rowFn, name string) code {
	t := g.typeOf(of)
	if isOptional(t) {
		t = t.Parameters()[0]
	}
	i := g.provider.object(t).table.column(name)
	return code{form: formMaybe, v: func(f *Frame) (event.Value, Reason) {
		cells, r := row(f)
		if r != 0 || cells == nil {
			return event.Missing, r
		}
		return cells[i], 0
	}}
}
