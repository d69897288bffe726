package rules

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/window"
)

// tableDecl is a table as it is declared.
type tableDecl struct {
	name, body *node
	file       string // as messages name it
	data       []byte
	key        string
	table      *expr.Table    // nil after a mistake
	mentions   *regexp.Regexp // finds its name in expressions
}

// detectNames are what expressions call the results of a detector.
var detectNames = []string{"value", "score", "anomaly", "expected", "lower", "upper"}

func (l *loader) declareTable(name, body *node) {
	what, reserved := expr.Reserved(name.text)
	if _, ok := window.ParseKind(name.text); ok {
		what, reserved = "an aggregate", true
	}
	switch {
	case !plainName.MatchString(name.text):
		l.errorf(name, "names are letters, digits and _, and do not begin with a digit", "a table cannot be called `%s`", name.text)
		return
	case slices.Contains(detectNames, name.text):
		what, reserved = "what a detector says", true
	case name.text == "window", name.text == "baseline":
		what, reserved = "what belongs to a window", true
	case name.text == absentSeen:
		what, reserved = "what `absent` calls the keys that have reported", true
	}
	if reserved {
		l.errorf(name, "give it another name", "a table cannot be called `%s`: that is the name of %s", name.text, what)
		return
	}
	if old := l.tableNamed(name.text); old != nil {
		file, line := old.name.here()
		l.errorf(name, "give one of them another name", "table `%s` is declared twice: also in %s:%d", name.text, file, line)
		return
	}
	l.tables = append(l.tables, &tableDecl{name: name, body: body, mentions: regexp.MustCompile(`\b` + name.text + `\b`)})
}

func (l *loader) tableNamed(name string) *tableDecl {
	for _, t := range l.tables {
		if t.name.text == name {
			return t
		}
	}
	return nil
}

func (l *loader) tableNames() []string {
	names := make([]string, len(l.tables))
	for i, t := range l.tables {
		names[i] = t.name.text
	}
	return names
}

// exprTables returns the tables without mistakes, for a scope.
func (l *loader) exprTables() []*expr.Table {
	var out []*expr.Table
	for _, t := range l.tables {
		if t.table != nil {
			out = append(out, t.table)
		}
	}
	return out
}

// seeTables lets a scope see all tables.
func (l *loader) seeTables(scope *expr.Scope) { scope.Tables = l.exprTables() }

// readsDamaged reports whether an expression mentions a table with a mistake:
// nothing can be said about it then.
func (l *loader) readsDamaged(text string) bool {
	return slices.ContainsFunc(l.tables, func(t *tableDecl) bool { return t.table == nil && t.mentions.MatchString(text) })
}

// tableFormats are the names' ends that say how a table is written.
var tableFormats = []string{".csv", ".tsv", ".json"}

// table reads a table.
func (l *loader) table(d *tableDecl) {
	if !l.keys(d.body, tablePlace) {
		return
	}
	n := d.body.get("file")
	if n == nil {
		if !d.body.partial {
			l.errorf(d.name, "add `file:` and the name of a CSV or JSON file", "table `%s` has no `file`", d.name.text)
		}
		return
	}
	name, ok := l.text(n, "`file`")
	if !ok {
		return
	}
	format := slices.IndexFunc(tableFormats, func(end string) bool { return strings.HasSuffix(strings.ToLower(name), end) })
	if format < 0 {
		l.errorf(n, "the name of the file ends in "+strings.Join(tableFormats, ", "), "`file`: how `%s` is written is not known", name)
		return
	}
	key := d.body.get("key")
	if key != nil {
		if d.key, ok = l.text(key, "`key`"); !ok {
			return
		}
	}
	if !l.readTable(d, n, name) {
		return
	}
	data := &tableReader{report: l.report, src: newSource(d.file, tableText(d.data)), decl: d}
	switch tableFormats[format] {
	case ".json":
		data.json()
	case ".tsv":
		data.csv('\t')
	default:
		data.csv(0)
	}
	if !data.damaged || !data.stopped {
		l.tableKey(d, data)
	}
	if other := l.options.tables[d.name.text]; other != nil && d.table != nil {
		d.table = other
	}
}

// readTable gets the bytes of a table's file.
func (l *loader) readTable(d *tableDecl, n *node, name string) bool {
	if l.options.ReadTable == nil {
		l.errorf(n, "", "`file`: there are no files here")
		return false
	}
	rules, _ := n.here()
	f, err := l.options.ReadTable(rules, name)
	d.file, d.data = f.Name, f.Data
	l.report.TableFiles = append(l.report.TableFiles, f.Name)
	if err != nil {
		l.errorf(n, "the name is relative to the folder of the rule file", "`file`: %v", err)
		return false
	}
	return true
}

// tableKey finds the column of the keys, and makes the table.
func (l *loader) tableKey(d *tableDecl, data *tableReader) {
	n := d.body.get("key")
	switch {
	case n == nil && data.named:
	case n == nil:
		if !d.body.partial {
			l.errorf(d.name, "add `key:` and one of "+strings.Join(data.columns, ", "), "table `%s` does not say which column is its `key`", d.name.text)
		}
		return
	case !slices.Contains(data.columns, d.key) && !data.named:
		l.errorf(n, oneOf(d.key, data.columns, ""), "%s has no column `%s`", d.file, d.key)
		return
	}
	if data.keys(); !data.damaged {
		d.table = data.table()
	}
}

// setTables describes the tables of a set.
func (l *loader) setTables() []*Table {
	var out []*Table
	for _, d := range l.tables {
		out = append(out, &Table{Name: d.name.text, File: d.file, Key: d.key, Columns: d.table.Columns, Rows: len(d.table.Rows)})
	}
	slices.SortFunc(out, func(a, b *Table) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// absentSeen is the `of` of a rule that looks for the silence of keys that it
// has heard of.
const absentSeen = "seen"

// absentOf reads whose silence a rule looks for.
func (l *loader) absentOf(d *ruleDecl, n *node) {
	name, ok := l.text(n, "`of`")
	if !ok || name == absentSeen {
		return
	}
	t := l.tableNamed(name)
	if t == nil && !l.damaged {
		advice := "write `seen`, or declare the table under `tables`"
		if near := nearest(name, append([]string{absentSeen}, l.tableNames()...)); near != "" {
			advice = "did you mean `" + near + "`?"
		}
		l.errorf(n, advice, "there is no table `%s`", name)
	}
	if t == nil {
		return
	}
	d.shape = append(d.shape, "of "+name)
	if len(d.rule.KeyLabels) != 1 {
		l.errorf(n, "write a `by` of one part, such as `by: e.device`", "`of: %s`: the keys of a table are single texts, and those of the rule are not", name)
		return
	}
	key := d.keyScope(-1)
	if t.table == nil || len(key.Parts) != 1 {
		return // has a mistake
	}
	for _, text := range t.table.Keys() {
		v, ok := keyOfType(text, key.Parts[0].Type)
		if !ok {
			l.errorf(n, "write `by` so that it gives a text, or correct the table", "`of: %s`: the key `%s` is none that `by` could give, which is %s", name, text, key.Parts[0].Type)
			return
		}
		encoded, err := event.AppendKey(nil, v)
		if err == nil {
			d.rule.AbsentKeys = append(d.rule.AbsentKeys, string(encoded))
		}
		if _, number := keyOfType(text, event.TypeInt); number && key.Parts[0].Type == event.TypeAny {
			l.warnf(n, "declare the type of the field under `fields` of the stream", "`of: %s`: the key `%s` is taken for a text, and events may have a number there", name, text)
		}
	}
	slices.Sort(d.rule.AbsentKeys)
}

// keyOfType returns the value of a type whose text is a table's key. Of a value
// of any type it is a text.
func keyOfType(text string, t event.Type) (v event.Value, ok bool) {
	switch t {
	case event.TypeString, event.TypeAny:
		return event.String(text), true
	case event.TypeInt:
		i, err := strconv.ParseInt(text, 10, 64)
		v, ok = event.Int(i), err == nil
	case event.TypeUint:
		u, err := strconv.ParseUint(text, 10, 64)
		v, ok = event.Uint(u), err == nil
	case event.TypeDouble:
		f, err := strconv.ParseFloat(text, 64)
		v, ok = event.Double(f), err == nil
	case event.TypeBool:
		v, ok = event.Bool(text == "true"), text == "true" || text == "false"
	case event.TypeTimestamp:
		at, err := event.ParseTime(text)
		v, ok = event.Timestamp(at), err == nil
	case event.TypeDuration:
		d, err := event.ParseDuration(text)
		v, ok = event.DurationOf(d), err == nil
	}
	return v, ok && v.Text() == text
}
