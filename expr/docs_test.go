package expr

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
)

var fence = regexp.MustCompile("(?ms)^```([a-z]+)( [a-z]+)?\n(.*?)^```$")

// TestManual runs the examples of the manual.
func TestManual(t *testing.T) {
	data, err := os.ReadFile("../docs/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	w.setup(t, `stream telemetry ts:timestamp temperature:double vibration:double count:int status:string on:bool ip:string tags:list
step hot telemetry list
step spike telemetry
step extra telemetry
key site:string device:string ["oslo", "p1"]
table ratings device:string max:double floor:int site:string`)
	w.scope.Event = w.streams["telemetry"]
	examples := 0
	for _, m := range fence.FindAllStringSubmatch(string(data), -1) {
		language, name, body := m[1], strings.TrimSpace(m[2]), m[3]
		switch language {
		case "json":
			w.manualEvents(t, name, body)
		case "csv":
			w.manualRows(t, body)
		case "cel":
			for line := range strings.Lines(body) {
				w.manualExample(t, line)
				examples++
			}
		case "text":
			for line := range strings.Lines(body) {
				w.manualText(t, line)
				examples++
			}
		}
	}
	if examples < 70 {
		t.Errorf("only %d examples found", examples)
	}
}

func (w *world) manualEvents(t *testing.T, name, body string) {
	if name == "event" {
		w.eventIn = strings.TrimSpace(body)
		return
	}
	if strings.HasPrefix(body, "{") {
		body = "[" + body + "]"
	}
	var events []json.RawMessage
	if err := json.Unmarshal([]byte(body), &events); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		w.stepsIn[name] = append(w.stepsIn[name], string(e))
	}
}

// manualRows takes the rows of the table from CSV.
func (w *world) manualRows(t *testing.T, body string) {
	table := w.scope.Tables[0]
	for i, line := range strings.Split(strings.TrimSpace(body), "\n") {
		if i == 0 {
			continue
		}
		var row []event.Value
		for j, cell := range strings.Split(line, ",") {
			switch table.Columns[j].Type {
			case event.TypeString:
				row = append(row, event.String(cell))
			default:
				if cell == "" {
					cell = "null"
				}
				row = append(row, declared(parseJSON(t, cell), table.Columns[j].Type))
			}
		}
		table.Rows[row[0].AsString()] = row
	}
}

// manualExample runs "expression // value", or "// value, and more".
func (w *world) manualExample(t *testing.T, line string) {
	src, want, ok := strings.Cut(strings.TrimSpace(line), "//")
	if !ok {
		t.Errorf("%q has no value", line)
		return
	}
	want = strings.TrimSpace(want)
	p, issues := Compile(strings.TrimSpace(src), &w.scope, WantAny)
	if len(issues) > 0 {
		t.Errorf("%s: %v", src, issues)
		return
	}
	w.fill(t)
	if len(w.history.events[1]) > 0 {
		w.history.events[1][0].Time = w.history.events[0][0].Time + 3e9
	}
	v, err := p.Value(&w.frame)
	got := string(v.AppendJSON(nil))
	switch {
	case err != nil:
		got = "error: " + err.Error()
	case v.Kind() == event.KindTime, v.Kind() == event.KindDuration:
		got = v.Text()
	}
	if want != got && !strings.HasPrefix(want, got+", ") && !strings.HasPrefix(want, got+": ") {
		t.Errorf("%s is %s, the manual says %s", src, got, want)
	}
}

func (w *world) manualText(t *testing.T, line string) {
	src, want, _ := strings.Cut(strings.TrimSpace(line), "->")
	text, issues := CompileText(strings.TrimRight(src, " "), &w.scope)
	if len(issues) > 0 {
		t.Errorf("%s: %v", src, issues)
		return
	}
	w.fill(t)
	got, _ := text.Append(nil, &w.frame)
	if string(got) != strings.TrimSpace(want) {
		t.Errorf("%s is %s, the manual says %s", src, got, want)
	}
}
