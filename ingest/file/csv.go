package file

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/cepd/cepd/event"
)

// rows turns the rows of a CSV file into JSON objects.
type rows struct {
	comma byte
	names [][]byte // `"name":` of each column; empty for one without a name
	cells []cell   // of the row at hand
	built []byte   // the object at hand
	pool  *pool
	out   *memory // where objects go; nil before the first
	used  int     // of it
}

type cell struct {
	text    []byte // without the quotes around it
	doubled bool   // it holds quotes, each written twice
}

var errQuote = errors.New("a quote that nothing closes")

// frame implements [framer]: a row ends with a line, unless that end is
// quoted.
func (r *rows) frame(b []byte, atEnd bool) (n, lines int) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 && !atEnd {
		return 0, 0
	}
	if end < 0 {
		end = len(b) - 1
	}
	end++
	if bytes.IndexByte(b[:end], '"') < 0 {
		return end, 1
	}
	p := 0
	for {
		_, next, err := r.cell(b, p)
		switch {
		case err != nil && atEnd:
			return end, 1 // the rest of the file must not vanish in one cell
		case err != nil:
			return 0, 0
		case next < len(b) && b[next] == r.comma:
			p = next + 1
		case next < len(b):
			return next + 1, bytes.Count(b[:next+1], []byte{'\n'})
		case atEnd:
			return next, bytes.Count(b, []byte{'\n'}) + 1
		default:
			return 0, 0
		}
	}
}

// cell reads the cell at p, up to the comma or line end behind it.
func (r *rows) cell(b []byte, p int) (c cell, next int, err error) {
	start := p
	for start < len(b) && r.blank(b[start]) {
		start++
	}
	if start < len(b) && b[start] == '"' {
		return r.quoted(b, start+1)
	}
	next = len(b)
	for i := p; i < len(b); i++ {
		if b[i] == r.comma || b[i] == '\n' {
			next = i
			break
		}
	}
	end := next
	for end > start && (r.blank(b[end-1]) || b[end-1] == '\r') {
		end--
	}
	return cell{text: b[min(start, end):end]}, next, nil
}

func (r *rows) blank(c byte) bool { return c == ' ' || c == '\t' && r.comma != '\t' }

// quoted reads the cell whose opening quote is before p. What stands between
// its closing quote and the next comma does not count.
func (r *rows) quoted(b []byte, p int) (c cell, next int, err error) {
	end := p
	for {
		i := bytes.IndexByte(b[end:], '"')
		if i < 0 {
			return cell{}, 0, errQuote
		}
		end += i
		if end+1 == len(b) || b[end+1] != '"' {
			break
		}
		c.doubled = true
		end += 2
	}
	c.text = b[p:end]
	for next = end + 1; next < len(b) && b[next] != r.comma && b[next] != '\n'; next++ {
	}
	return c, next, nil
}

// split reads the cells of a row, which has no line end.
func (r *rows) split(row []byte) error {
	r.cells = r.cells[:0]
	for p := 0; ; {
		c, next, err := r.cell(row, p)
		if err != nil {
			return err
		}
		r.cells = append(r.cells, c)
		if next >= len(row) {
			return nil
		}
		p = next + 1
	}
}

func (c cell) plain() []byte {
	if !c.doubled {
		return c.text
	}
	return bytes.ReplaceAll(c.text, []byte(`""`), []byte(`"`))
}

// header takes the names of the columns from the first row.
func (r *rows) header(row []byte) error {
	if err := r.split(row); err != nil {
		return fmt.Errorf("the header of csv has %w", err)
	}
	r.names = make([][]byte, len(r.cells))
	seen := map[string]bool{}
	for i, c := range r.cells {
		name := strings.TrimSpace(string(c.plain()))
		if name == "" {
			continue
		}
		if seen[name] {
			return fmt.Errorf("two columns of the csv header have the name %q", name)
		}
		seen[name] = true
		r.names[i] = append(appendText(nil, []byte(name)), ':')
	}
	return nil
}

// object returns a row as a JSON object, or as something that is none where
// the row is no row, and the memory in which it is, if others share that.
func (r *rows) object(row []byte) ([]byte, *memory) {
	if err := r.split(row); err != nil {
		return fmt.Appendf(nil, "row of csv with %v: %s", err, row), nil
	}
	r.built = append(r.built[:0], '{')
	for i, c := range r.cells {
		if len(c.text) == 0 {
			continue
		}
		if i >= len(r.names) {
			return fmt.Appendf(nil, "row of csv with %d cells, but the header has %d: %s", len(r.cells), len(r.names), row), nil
		}
		if len(r.names[i]) == 0 {
			continue
		}
		if len(r.built) > 1 {
			r.built = append(r.built, ',')
		}
		r.built = append(r.built, r.names[i]...)
		if text := c.plain(); isNumber(text) || string(text) == "true" || string(text) == "false" {
			r.built = append(r.built, text...)
		} else {
			r.built = appendText(r.built, text)
		}
	}
	r.built = append(r.built, '}')
	if r.out == nil || r.used+len(r.built) > len(r.out.bytes) {
		if r.out != nil {
			r.pool.drop(r.out)
		}
		r.out, r.used = r.pool.get(len(r.built)), 0
	}
	end := r.used + copy(r.out.bytes[r.used:], r.built)
	object := r.out.bytes[r.used:end:end]
	r.used = end
	return object, r.out
}

// appendText appends a JSON string. Bytes that are no UTF-8 stay as they are:
// replaced, two keys could become one; so the decoder finds and rejects them.
func appendText(dst, text []byte) []byte {
	dst = append(dst, '"')
	for len(text) > 0 {
		i := 0
		for i < len(text) && text[i] >= ' ' && text[i] != '"' && text[i] != '\\' {
			i++
		}
		dst = append(dst, text[:i]...)
		if i < len(text) {
			quoted := event.AppendQuoted(nil, string(text[i:i+1]))
			dst = append(dst, quoted[1:len(quoted)-1]...)
			i++
		}
		text = text[i:]
	}
	return append(dst, '"')
}

// isNumber reports whether JSON would read text as a number.
func isNumber(text []byte) bool {
	digits := func() int {
		n := 0
		for n < len(text) && text[n]-'0' <= 9 {
			n++
		}
		text = text[n:]
		return n
	}
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	zero := len(text) > 0 && text[0] == '0'
	if n := digits(); n == 0 || zero && n > 1 {
		return false
	}
	if len(text) > 0 && text[0] == '.' {
		text = text[1:]
		if digits() == 0 {
			return false
		}
	}
	if len(text) > 0 && text[0]|0x20 == 'e' {
		text = text[1:]
		if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
			text = text[1:]
		}
		if digits() == 0 {
			return false
		}
	}
	return len(text) == 0
}
