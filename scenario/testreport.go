package scenario

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestReport is what came of all tests of some rule files.
type TestReport struct {
	Results []*TestResult // by file, in the order of the files
	Without []string      // files without a test
}

// RunTests runs the tests of a rule set whose names want accepts, in order, and
// hands each result to each as it comes. A nil want accepts all; each may be
// nil.
func RunTests(set *rules.Set, want func(name string) bool, each func(*TestResult) error) (*TestReport, error) {
	rep := &TestReport{}
	for _, t := range set.Tests {
		if want != nil && !want(t.Name) {
			continue
		}
		r, err := RunTest(set, t)
		if err != nil {
			return rep, fmt.Errorf("%s:%d: test %q: %w", t.File, t.Line, t.Name, err)
		}
		rep.Results = append(rep.Results, r)
		if each != nil {
			if err := each(r); err != nil {
				return rep, err
			}
		}
	}
	return rep, nil
}

// Counts returns how many tests passed and failed.
func (r *TestReport) Counts() (passed, failed int) {
	for _, t := range r.Results {
		if t.Passed() {
			passed++
		} else {
			failed++
		}
	}
	return passed, failed
}

// The JSON of a report.
type (
	jsonReport struct {
		Passed  int        `json:"passed"`
		Failed  int        `json:"failed"`
		Without []string   `json:"files_without_tests"`
		Tests   []jsonTest `json:"tests"`
	}
	jsonTest struct {
		File    string      `json:"file"`
		Line    int         `json:"line"`
		Name    string      `json:"name"`
		Passed  bool        `json:"passed"`
		Refused []string    `json:"refused,omitempty"`
		Rows    []jsonRow   `json:"rows"`
		Traces  []jsonTrace `json:"traces,omitempty"`
	}
	jsonRow struct {
		At       string        `json:"at"`
		OK       bool          `json:"ok"`
		Differs  []string      `json:"differs,omitempty"`
		Expected *jsonExpected `json:"expected"`
		Got      *jsonOutcome  `json:"got"`
	}
	jsonExpected struct {
		Line    int              `json:"line"`
		Rule    string           `json:"rule"`
		What    string           `json:"what"`
		Key     json.RawMessage  `json:"key,omitempty"`
		Labels  json.RawMessage  `json:"labels,omitempty"`
		Summary *string          `json:"summary,omitempty"`
		Timeout *bool            `json:"timeout,omitempty"`
		Emit    *json.RawMessage `json:"emit,omitempty"`
		To      *[]string        `json:"to,omitempty"`
	}
	jsonOutcome struct {
		Rule    string           `json:"rule"`
		What    string           `json:"what"`
		Key     json.RawMessage  `json:"key"`
		Labels  json.RawMessage  `json:"labels,omitempty"`
		Summary string           `json:"summary,omitempty"`
		Reason  string           `json:"reason,omitempty"`
		Emit    *json.RawMessage `json:"emit,omitempty"`
		To      []string         `json:"to,omitempty"` // left out: every sink, or none
	}
	jsonTrace struct {
		Rule string `json:"rule"`
		Key  string `json:"key"`
		Text string `json:"text"`
	}
)

// WriteJSON writes the report as one JSON object, indented.
func (r *TestReport) WriteJSON(w io.Writer) error {
	passed, failed := r.Counts()
	out := jsonReport{Passed: passed, Failed: failed, Without: append([]string{}, r.Without...), Tests: []jsonTest{}}
	for _, t := range r.Results {
		j := jsonTest{File: t.Test.File, Line: t.Test.Line, Name: t.Test.Name, Passed: t.Passed(), Refused: t.Refused, Rows: []jsonRow{}}
		for i := range t.Rows {
			j.Rows = append(j.Rows, t.Rows[i].json())
		}
		for _, x := range t.Traces {
			j.Traces = append(j.Traces, jsonTrace(x))
		}
		out.Tests = append(out.Tests, j)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func (r *TestRow) json() jsonRow {
	out := jsonRow{At: event.FormatDuration(r.At), OK: r.OK(), Differs: r.Differs}
	if x := r.Expected; x != nil {
		j := &jsonExpected{Line: x.Line, Rule: x.Rule, What: what(x)}
		if !x.Key.IsMissing() {
			j.Key = x.Key.AppendJSON(nil)
		}
		if x.Labels != nil {
			j.Labels = event.AppendObject(nil, x.Labels)
		}
		if !x.Summary.IsMissing() {
			text := x.Summary.AsString()
			j.Summary = &text
		}
		if !x.Timeout.IsMissing() {
			timeout := x.Timeout.AsBool()
			j.Timeout = &timeout
		}
		j.Emit = jsonFields(x.Emit)
		if x.To != nil {
			j.To = &x.To
		}
		out.Expected = j
	}
	if o := r.Got; o != nil {
		j := &jsonOutcome{Rule: o.Rule, What: o.What, Key: o.Key.AppendJSON(nil), Summary: o.Summary, Reason: o.Reason, To: o.To}
		if o.Labels != nil {
			labels := make([]event.Entry, len(o.Labels))
			for i, l := range o.Labels {
				labels[i] = event.Entry{Name: l.Name, Value: event.String(l.Value)}
			}
			j.Labels = event.AppendObject(nil, labels)
		}
		j.Emit = jsonFields(o.Emit)
		out.Got = j
	}
	return out
}

func jsonFields(es []event.Entry) *json.RawMessage {
	if es == nil {
		return nil
	}
	raw := json.RawMessage(event.AppendObject(nil, es))
	return &raw
}

// The XML of a report, as JUnit writes it and CI systems read it.
type (
	xmlSuites struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Suites   []xmlSuite `xml:"testsuite"`
	}
	xmlSuite struct {
		Name     string    `xml:"name,attr"`
		Tests    int       `xml:"tests,attr"`
		Failures int       `xml:"failures,attr"`
		Cases    []xmlCase `xml:"testcase"`
	}
	xmlCase struct {
		Name    string      `xml:"name,attr"`
		Class   string      `xml:"classname,attr"`
		File    string      `xml:"file,attr"`
		Line    int         `xml:"line,attr"`
		Failure *xmlFailure `xml:"failure"`
	}
	xmlFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report in JUnit's format: a suite for each file. It
// holds no times, so that it is the same on every run.
func (r *TestReport) WriteJUnit(w io.Writer) error {
	passed, failed := r.Counts()
	out := xmlSuites{Tests: passed + failed, Failures: failed}
	for _, t := range r.Results {
		i := slices.IndexFunc(out.Suites, func(s xmlSuite) bool { return s.Name == t.Test.File })
		if i < 0 {
			i = len(out.Suites)
			out.Suites = append(out.Suites, xmlSuite{Name: t.Test.File})
		}
		s := &out.Suites[i]
		c := xmlCase{Name: t.Test.Name, Class: t.Test.File, File: t.Test.File, Line: t.Test.Line}
		s.Tests++
		if !t.Passed() {
			s.Failures++
			c.Failure = &xmlFailure{t.headline(), t.Failure()}
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("writing JUnit's XML: %w", err)
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(out); err != nil {
		return fmt.Errorf("writing JUnit's XML: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// headline says what failed in one line.
func (r *TestResult) headline() string {
	missing, unexpected, differ := 0, 0, 0
	for i := range r.Rows {
		switch row := &r.Rows[i]; {
		case row.OK():
		case row.Got == nil:
			missing++
		case row.Expected == nil:
			unexpected++
		default:
			differ++
		}
	}
	return fmt.Sprintf("%d missing, %d unexpected, %d different", missing, unexpected, differ+len(r.Refused))
}
