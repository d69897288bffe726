package detectrun

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strings"
	"time"
)

//go:embed page.html
var page string

// data is what the page draws. Numbers that are none are null.
type data struct {
	Method  string       `json:"method"`
	Columns []string     `json:"columns"`
	Time    []float64    `json:"time"` // milliseconds since 1970
	Values  [][]*float64 `json:"values"`
	Score   []float64    `json:"score"`
	Lower   []*float64   `json:"lower"`
	Upper   []*float64   `json:"upper"`
	Expect  []*float64   `json:"expected"`
	Anomaly []anomaly    `json:"anomalies"`
}

type anomaly struct {
	Row    int    `json:"row"`
	Time   string `json:"time"`
	Column int    `json:"column"`
	Reason string `json:"reason"`
}

// HTML writes a page with an interactive plot. It needs nothing from elsewhere.
func (r *Result) HTML(w io.Writer, title string) error {
	d := data{Method: r.Method, Columns: r.Columns, Values: make([][]*float64, len(r.Columns)), Anomaly: []anomaly{}}
	number := func(v float64) *float64 {
		if v-v != 0 {
			return nil
		}
		return &v
	}
	for i, p := range r.Points {
		d.Time = append(d.Time, float64(p.Time)/float64(time.Millisecond))
		for c, v := range p.Values {
			d.Values[c] = append(d.Values[c], number(v))
		}
		d.Score = append(d.Score, p.Score.Score)
		d.Lower = append(d.Lower, number(p.Lower))
		d.Upper = append(d.Upper, number(p.Upper))
		d.Expect = append(d.Expect, number(p.Expected))
		if p.Anomaly {
			d.Anomaly = append(d.Anomaly, anomaly{i, p.Time.String(), p.Channel, p.Reason.String()})
		}
	}
	b, err := json.Marshal(d) // escapes < and >, so that no text ends the script
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	_, err = io.WriteString(w, strings.NewReplacer("{{TITLE}}", html.EscapeString(title), "{{DATA}}", string(b)).Replace(page))
	return err
}
