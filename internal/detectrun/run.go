package detectrun

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cepd/cepd/detectors"
	"github.com/cepd/cepd/event"
)

// Options say what to run over what.
type Options struct {
	Method string
	Config detectors.Config
	Time   string         // column of the time; empty: found by its name or its looks
	Values []string       // columns of the values; empty: the first of numbers
	Zone   *time.Location // of times that do not name one; nil is UTC
}

// Point is one row with what the detector said.
type Point struct {
	Time   event.Time
	Values []float64
	detectors.Score
}

// Result is what a run has seen.
type Result struct {
	Method  string
	Columns []string
	Points  []Point
	Skipped int  // rows without a time
	Untimed bool // no column has times: rows are a second apart
	Late    int  // rows that are not later than the one before
	Blank   int  // rows with no number in any column
}

// Anomalies counts the rows on which the verdict was an anomaly.
func (r *Result) Anomalies() int {
	n := 0
	for _, p := range r.Points {
		if p.Anomaly {
			n++
		}
	}
	return n
}

// Run reads CSV with a header from in, feeds a detector, and writes each row with
// its score to out as it comes.
func Run(in io.Reader, out io.Writer, o Options) (*Result, error) {
	buffered := bufio.NewReader(in)
	r := csv.NewReader(buffered)
	r.FieldsPerRecord = -1
	r.Comment = '#'
	r.Comma = separator(buffered)
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty; its first line has to name the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	first, err := r.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the first row: %w", err)
	}
	cols, err := findColumns(head, first, o)
	if err != nil {
		return nil, err
	}
	cols.comma = r.Comma != ','
	cfg := o.Config
	cfg.Channels = len(cols.values)
	d, err := detectors.New(o.Method, cfg)
	if err != nil {
		return nil, err
	}
	res := &Result{Method: o.Method, Columns: cols.names, Untimed: cols.time < 0}
	w := newWriter(out, cols.names)
	for row := first; row != nil; {
		if err := res.step(d, cols, row, o.Zone, w); err != nil {
			return nil, err
		}
		if row, err = r.Read(); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading row %d: %w", len(res.Points)+2, err)
		}
	}
	return res, w.flush()
}

func (r *Result) step(d detectors.Detector, cols columns, row []string, zone *time.Location, w *writer) error {
	t := event.Time(len(r.Points)) * event.Time(time.Second)
	if cols.time >= 0 {
		text := ""
		if cols.time < len(row) {
			text = row[cols.time]
		}
		var ok bool
		if t, ok = parseTime(text, zone); !ok {
			r.Skipped++
			return nil
		}
	}
	if n := len(r.Points); n > 0 && t <= r.Points[n-1].Time {
		r.Late++
	}
	p := Point{Time: t, Values: make([]float64, len(cols.values))}
	blank := true
	for i, c := range cols.values {
		p.Values[i] = math.NaN()
		if c < len(row) {
			if v, ok := cols.number(row[c]); ok {
				p.Values[i], blank = v, false
			}
		}
	}
	if blank {
		r.Blank++
	}
	p.Score = d.Step(t, p.Values)
	r.Points = append(r.Points, p)
	return w.write(&p)
}

// columns says where in a row things are; time is -1 where rows are a second
// apart.
type columns struct {
	time   int
	values []int
	names  []string
	comma  bool // numbers may have a decimal comma
}

// number reads a cell.
func (c *columns) number(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	if c.comma && strings.Count(text, ",") == 1 && !strings.Contains(text, ".") {
		text = strings.Replace(text, ",", ".", 1)
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && v-v == 0
}

// separator is what stands between the cells: whatever of a comma, a semicolon or a
// tab the first line has most of.
func separator(in *bufio.Reader) rune {
	start, _ := in.Peek(in.Size())
	for len(start) > 0 && start[0] == '#' {
		_, rest, _ := bytes.Cut(start, []byte("\n"))
		start = rest
	}
	line, _, _ := bytes.Cut(start, []byte("\n"))
	best := ','
	for _, c := range ";\t" {
		if bytes.Count(line, []byte(string(c))) > bytes.Count(line, []byte(string(best))) {
			best = c
		}
	}
	return best
}

var timeNames = []string{"timestamp", "time", "datetime", "date", "ts"}

func findColumns(head, first []string, o Options) (columns, error) {
	for i := range head {
		head[i] = strings.TrimSpace(strings.TrimPrefix(head[i], "\ufeff"))
	}
	c := columns{time: -1, comma: true}
	if !slices.ContainsFunc(head, func(h string) bool { _, ok := c.number(h); return !ok }) {
		return c, fmt.Errorf("the first line has to name the columns, and it has numbers: %s", strings.Join(head, " "))
	}
	index := func(name string) (int, error) {
		i := slices.Index(head, name)
		if i < 0 {
			return 0, fmt.Errorf("there is no column %q; there are %s", name, strings.Join(head, ", "))
		}
		return i, nil
	}
	var err error
	if o.Time != "" {
		if c.time, err = index(o.Time); err != nil {
			return c, err
		}
	} else {
		c.time = slices.IndexFunc(head, func(h string) bool { return slices.Contains(timeNames, strings.ToLower(h)) })
	}
	if c.time < 0 { // none has the name of one: what looks like a date is one
		c.time = slices.IndexFunc(first, func(text string) bool {
			_, number := c.number(text)
			_, ok := parseTime(text, o.Zone)
			return ok && !number
		})
	}
	for _, name := range o.Values {
		i, err := index(strings.TrimSpace(name))
		if err != nil {
			return c, err
		}
		c.values = append(c.values, i)
	}
	if len(c.values) == 0 {
		for i := range first {
			if _, ok := c.number(first[i]); ok && i != c.time && i < len(head) {
				c.values = []int{i}
				break
			}
		}
	}
	if len(c.values) == 0 {
		return c, fmt.Errorf("no column of numbers was found; name one with --value, of %s", strings.Join(head, ", "))
	}
	for _, i := range c.values {
		c.names = append(c.names, head[i])
	}
	return c, nil
}

var timeLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02", "2006/01/02 15:04:05", "01/02/2006 15:04", "01/02/2006 15:04:05"}

// parseTime reads a date and time, or the seconds, milliseconds, microseconds or
// nanoseconds since 1970.
func parseTime(text string, zone *time.Location) (event.Time, bool) {
	text = strings.TrimSpace(text)
	if zone == nil {
		zone = time.UTC
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			et, err := event.FromTime(t)
			return et, err == nil
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v-v != 0 {
		return 0, false
	}
	unit := 1e9
	for unit > 1 && math.Abs(v)*unit > 8e18 {
		unit /= 1e3
	}
	if math.Abs(v)*unit > 9e18 {
		return 0, false
	}
	return event.Time(v * unit), true
}

// writer writes rows as CSV.
type writer struct {
	w    *bufio.Writer
	line []byte
}

func newWriter(out io.Writer, names []string) *writer {
	w := &writer{w: bufio.NewWriter(out)}
	c := csv.NewWriter(w.w)
	_ = c.Write(slices.Concat([]string{"timestamp"}, names, []string{"score", "expected", "lower", "upper", "anomaly"}))
	c.Flush()
	return w
}

func (w *writer) write(p *Point) error {
	b := p.Time.Append(w.line[:0])
	for _, v := range p.Values {
		b = appendNumber(append(b, ','), v, -1)
	}
	b = appendNumber(append(b, ','), p.Score.Score, -1)
	for _, v := range []float64{p.Expected, p.Lower, p.Upper} {
		b = appendNumber(append(b, ','), v, 7)
	}
	b = strconv.AppendBool(append(b, ','), p.Anomaly)
	w.line = append(b, '\n')
	_, err := w.w.Write(w.line)
	return err
}

func (w *writer) flush() error { return w.w.Flush() }

// appendNumber appends v; what is not a number is empty.
func appendNumber(b []byte, v float64, digits int) []byte {
	if v-v != 0 {
		return b
	}
	return strconv.AppendFloat(b, v, 'g', digits, 64)
}
