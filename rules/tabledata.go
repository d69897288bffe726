package rules

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// maxTableRows bounds a table, whose rows are all in memory: a larger one
// belongs in a database, and its part that matters in the events.
const maxTableRows = 1_000_000

// tableReader reads the file of a table.
type tableReader struct {
	decl    *tableDecl
	report  *Report
	src     *source
	damaged bool
	stopped bool // the file was not read to its end
	named   bool // rows have their keys beside them
	columns []string
	rows    []tableRow
}

// tableRow is a row, and where it stands in the file.
type tableRow struct {
	pos, end int
	key      string
	keyAt    int
	cells    []tableCell // parallel to the columns that are known so far
}

type tableCell struct {
	pos, end int
	text     string
	kind     cellKind
}

// cellKind is what a cell looks like, in an order in which a column takes the
// highest of its cells, but for a bool among numbers, which makes it text.
type cellKind uint8

const (
	cellMissing cellKind = iota
	cellBool
	cellInt
	cellDouble
	cellText
)

func (k cellKind) join(other cellKind) cellKind {
	low, high := min(k, other), max(k, other)
	if low == cellBool && high > cellBool {
		return cellText
	}
	return high
}

var cellTypes = [...]event.Type{
	cellMissing: event.TypeString, cellBool: event.TypeBool, cellInt: event.TypeInt, cellDouble: event.TypeDouble, cellText: event.TypeString,
}

// errorf reports a mistake in the file.
func (t *tableReader) errorf(pos, end int, advice, format string, args ...any) {
	t.damaged = true
	t.report.add(t.src.issue(Error, pos, end, fmt.Sprintf(format, args...), advice))
}

// tableText is the text of a file as positions count it.
func tableText(data []byte) string {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	return strings.ReplaceAll(string(data), "\r\n", "\n")
}

// csv reads rows under a header.
func (t *tableReader) csv(comma byte) {
	header, _, _ := strings.Cut(t.src.text, "\n")
	if comma == 0 {
		comma = separator(header)
	}
	r := csv.NewReader(strings.NewReader(t.src.text))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace, r.ReuseRecord = rune(comma), -1, true, true
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			at := t.src.offset(bad.StartLine, 1)
			t.errorf(at, at+len(t.src.line(bad.StartLine)), "write a quote inside of a quoted cell twice", "%v", bad.Err)
			t.stopped = true
			return
		}
		cells := make([]tableCell, len(record))
		for i, text := range record {
			line, column := r.FieldPos(i)
			pos := t.src.lines[line-1] + column - 1
			text = strings.TrimSpace(text)
			cells[i] = tableCell{pos, pos + len(text), text, kindOfCell(text)}
		}
		if t.columns == nil {
			t.header(cells)
		} else {
			t.csvRow(cells)
		}
		if !t.fits() {
			t.stopped = true
			return
		}
	}
	if t.columns == nil {
		t.stopped = true
		t.errorf(0, 0, "its first line names the columns", "%s is empty", t.decl.file)
	}
}

// separator guesses what stands between the cells of a CSV file.
func separator(header string) byte {
	best, most := byte(','), strings.Count(header, ",")
	for _, c := range []byte{';', '\t'} {
		if n := strings.Count(header, string(c)); n > most {
			best, most = c, n
		}
	}
	return best
}

func (t *tableReader) header(cells []tableCell) {
	for _, c := range cells {
		switch {
		case c.text == "":
			t.errorf(c.pos, c.end, "", "a column has no name")
		case slices.Contains(t.columns, c.text):
			t.errorf(c.pos, c.end, "give one of them another name", "two columns are called `%s`", c.text)
		}
		t.columns = append(t.columns, c.text)
	}
}

func (t *tableReader) csvRow(cells []tableCell) {
	first, last := cells[0], cells[len(cells)-1]
	if len(cells) != len(t.columns) {
		t.errorf(first.pos, last.end, "", "the row has %s, and the header %d", count(len(cells), "cell"), len(t.columns))
		return
	}
	t.rows = append(t.rows, tableRow{pos: first.pos, end: last.end, cells: cells})
}

// fits reports whether the table is not too large, and says so if it is.
func (t *tableReader) fits() bool {
	if len(t.rows) > maxTableRows {
		row := t.rows[len(t.rows)-1]
		t.errorf(row.pos, row.end, "", "a table has at most %d rows", maxTableRows)
		return false
	}
	return true
}

var (
	intCell    = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	doubleCell = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

// kindOfCell says what an unquoted cell looks like. A number is one as JSON has
// it: 007 is a text.
func kindOfCell(text string) cellKind {
	if text == "" {
		return cellMissing
	}
	if text == "true" || text == "false" {
		return cellBool
	}
	if !doubleCell.MatchString(text) {
		return cellText
	}
	if _, err := strconv.ParseInt(text, 10, 64); err == nil && intCell.MatchString(text) {
		return cellInt
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return cellDouble
	}
	return cellText
}

// json reads a list of objects, or an object of objects by their keys.
func (t *tableReader) json() {
	d := json.NewDecoder(strings.NewReader(t.src.text))
	d.UseNumber()
	p := &jsonTable{t, d}
	err := p.table()
	t.stopped = err != nil
	if err == nil && d.More() {
		pos := p.next()
		t.errorf(pos, pos+1, "", "there is more after the table")
	}
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, errTable):
	case errors.As(err, &syntax):
		pos := max(int(syntax.Offset)-1, 0)
		t.errorf(pos, pos+1, "", "not JSON: %v", err)
	case err != nil:
		pos := len(strings.TrimRight(t.src.text, " \t\n"))
		t.errorf(max(pos-1, 0), pos, "", "the JSON ends too early")
	}
}

// errTable stops reading after a mistake that was reported.
var errTable = errors.New("not a table")

type jsonTable struct {
	*tableReader
	d *json.Decoder
}

// next returns where the next token begins.
func (p *jsonTable) next() int {
	at := int(p.d.InputOffset())
	for at < len(p.src.text) && strings.IndexByte(" \t\n\r,:", p.src.text[at]) >= 0 {
		at++
	}
	return at
}

func (p *jsonTable) table() error {
	const advice = "write [{...}, {...}], or {\"key\": {...}}"
	pos := p.next()
	tok, err := p.d.Token()
	if err != nil {
		return err
	}
	p.named = tok == json.Delim('{')
	if !p.named && tok != json.Delim('[') {
		p.errorf(pos, int(p.d.InputOffset()), advice, "a table is a list of objects, or an object of objects")
		return errTable
	}
	for p.d.More() {
		row := tableRow{pos: p.next()}
		if p.named {
			tok, err := p.d.Token()
			if err != nil {
				return err
			}
			row.key, row.keyAt = tok.(string), row.pos
		}
		if err := p.row(&row); err != nil {
			return err
		}
		if p.rows = append(p.rows, row); !p.fits() {
			return errTable
		}
	}
	_, err = p.d.Token()
	return err
}

func (p *jsonTable) row(row *tableRow) error {
	pos := p.next()
	tok, err := p.d.Token()
	if err != nil {
		return err
	}
	if tok != json.Delim('{') {
		p.errorf(pos, max(int(p.d.InputOffset()), pos+1), "write an object, as in {\"max\": 80}", "a row of a table is an object")
		return errTable
	}
	for p.d.More() {
		at := p.next()
		name, err := p.d.Token()
		if err != nil {
			return err
		}
		c, err := p.cell(name.(string))
		if err != nil {
			return err
		}
		row.set(p.column(name.(string)), c, func() {
			p.errorf(at, c.pos, "", "the row has two cells `%s`", name)
		})
	}
	_, err = p.d.Token()
	row.end = int(p.d.InputOffset())
	return err
}

func (p *jsonTable) cell(name string) (tableCell, error) {
	c := tableCell{pos: p.next()}
	tok, err := p.d.Token()
	c.end = int(p.d.InputOffset())
	if err != nil {
		return c, err
	}
	switch v := tok.(type) {
	case nil:
	case bool:
		c.text, c.kind = strconv.FormatBool(v), cellBool
	case string:
		c.text, c.kind = v, cellText
	case json.Number:
		if c.text, c.kind = v.String(), kindOfCell(v.String()); c.kind == cellDouble {
			f, _ := v.Float64()
			c.text = event.Double(f).Text()
		}
	default:
		p.errorf(c.pos, c.end, "", "column `%s`: a cell is a text, a number, true or false, and this is a list or an object", name)
		return c, errTable
	}
	return c, nil
}

// column returns the number of a column, adding it if it is new.
func (t *tableReader) column(name string) int {
	i := slices.Index(t.columns, name)
	if i < 0 {
		i = len(t.columns)
		t.columns = append(t.columns, name)
	}
	return i
}

func (r *tableRow) set(column int, c tableCell, twice func()) {
	for len(r.cells) <= column {
		r.cells = append(r.cells, tableCell{})
	}
	if r.cells[column].end > 0 {
		twice()
	}
	r.cells[column] = c
}

// cell returns a cell of a row, missing where the row is shorter.
func (r *tableRow) cell(column int) tableCell {
	if column < len(r.cells) {
		return r.cells[column]
	}
	return tableCell{pos: r.pos, end: r.end}
}

// keys finds the key of each row.
func (t *tableReader) keys() {
	column := -1
	if t.decl.key != "" {
		column = t.column(t.decl.key)
	}
	at := map[string]int{}
	for i := range t.rows {
		row := &t.rows[i]
		pos, end := row.keyAt, row.keyAt+1
		if column >= 0 {
			c := row.cell(column)
			switch {
			case !t.named:
				row.key, pos, end = c.text, c.pos, c.end
			case c.kind == cellMissing:
				row.set(column, tableCell{row.pos, row.pos + 1, row.key, cellText}, func() {})
			case c.text != row.key:
				t.errorf(c.pos, c.end, "", "the row is called `%s`, and its `%s` is `%s`", row.key, t.decl.key, c.text)
			}
		}
		if row.key == "" {
			t.errorf(pos, max(end, pos+1), "", "the row has no key: `%s` is empty", t.decl.key)
			continue
		}
		if line, twice := at[row.key]; twice {
			t.errorf(pos, end, "remove one of them", "the key `%s` is here twice: also in line %d", row.key, line)
			continue
		}
		at[row.key], _ = t.src.position(row.pos)
	}
}

// table makes the table, with a type for each column. The column of the keys is
// text.
func (t *tableReader) table() *expr.Table {
	kinds := make([]cellKind, len(t.columns))
	for i := range t.rows {
		for j, c := range t.rows[i].cells {
			kinds[j] = kinds[j].join(c.kind)
		}
	}
	out := &expr.Table{Name: t.decl.name.text, Rows: make(map[string][]event.Value, len(t.rows))}
	for i, name := range t.columns {
		if name == t.decl.key {
			kinds[i] = cellText
		}
		out.Columns = append(out.Columns, event.Field{Name: name, Type: cellTypes[kinds[i]]})
	}
	for i := range t.rows {
		row := make([]event.Value, len(t.columns))
		for j, c := range t.rows[i].cells {
			row[j], _ = c.value(out.Columns[j].Type)
		}
		out.Rows[t.rows[i].key] = row
	}
	return out
}

// value returns the value of a cell in a column of a type, and whether it is of
// that type.
func (c tableCell) value(t event.Type) (event.Value, bool) {
	switch {
	case c.kind == cellMissing:
		return event.Missing, true
	case t == event.TypeString:
		return event.String(strings.Clone(c.text)), true
	case t == event.TypeBool && c.kind == cellBool:
		return event.Bool(c.text == "true"), true
	case t == event.TypeInt && c.kind == cellInt:
		i, err := strconv.ParseInt(c.text, 10, 64)
		return event.Int(i), err == nil
	case t == event.TypeDouble && (c.kind == cellInt || c.kind == cellDouble):
		f, err := strconv.ParseFloat(c.text, 64)
		return event.Double(f), err == nil
	}
	return event.Missing, false
}
