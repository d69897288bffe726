package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/expr"
)

const tableRules = `
streams: {t: {time: e.ts, fields: {ts: timestamp, d: string, id: int, x: double}}}
tables: {ratings: {file: %s, key: k}}
rules:
  - {name: rows, from: t, by: e.d, when: 'e.d in ratings', alert: {summary: "${key}"}}
  - {name: silent, from: t, by: e.%s, absent: {for: 1m, of: ratings}, alert: {summary: "${key}"}}
`

// loadTable loads a rule file with one table.
func loadTable(t *testing.T, file, by, data string) (*Set, *expr.Table) {
	t.Helper()
	var seen *expr.Table
	set, report := Load([]File{{"f.yaml", fmt.Appendf(nil, tableRules, file, by)}}, Options{
		ReadTable: func(_, name string) (File, error) { return File{Name: name, Data: []byte(data)}, nil },
	})
	if !report.OK() {
		t.Fatal(report)
	}
	l := &loader{report: &Report{}}
	d := &tableDecl{file: file, data: []byte(data), key: "k", name: &node{text: "ratings"}}
	r := &tableReader{report: l.report, src: newSource(file, tableText(d.data)), decl: d}
	if strings.HasSuffix(file, ".json") {
		r.json()
	} else {
		r.csv(0)
	}
	r.keys()
	if seen = r.table(); !l.report.OK() {
		t.Fatal(l.report)
	}
	return set, seen
}

func showTable(t *expr.Table) string {
	var b strings.Builder
	for _, c := range t.Columns {
		fmt.Fprintf(&b, "%s:%v ", c.Name, c.Type)
	}
	for _, key := range t.Keys() {
		fmt.Fprintf(&b, "\n%s", key)
		for _, v := range t.Rows[key] {
			fmt.Fprintf(&b, " %s", v.AppendJSON(nil))
		}
	}
	return b.String()
}

// TestTables: how files become rows, and columns their types.
func TestTables(t *testing.T) {
	for _, tt := range []struct{ name, file, data, want string }{
		{
			"types", "r.csv",
			"k,i,d,b,s,zero,mixed,none,big\n1,1,1,true,x,007,true,,9223372036854775808\n2,-2,2.5,false,,1,2,,1\n",
			"k:string i:int d:double b:bool s:string zero:string mixed:string none:string big:double " +
				"\n1 \"1\" 1 1 true \"x\" \"007\" \"true\" null 9223372036854776000" +
				"\n2 \"2\" -2 2.5 false null \"1\" \"2\" null 1",
		},
		{
			"quotes, a byte order mark and DOS lines", "r.csv",
			"\xef\xbb\xbfk, s\r\na , \"x, \"\"y\"\"\"\r\n\r\n\"b\nc\",z\r\n",
			"k:string s:string \na \"a\" \"x, \\\"y\\\"\"\nb\nc \"b\\nc\" \"z\"",
		},
		{"semicolons", "r.csv", "k;x\na;1,5\n", "k:string x:string \na \"a\" \"1,5\""},
		{"tabs", "R.TSV", "k\tx\na\t1e3\n", "k:string x:double \na \"a\" 1000"},
		{"a header alone", "r.csv", "k,x", "k:string x:string "},
		{
			"a list of objects", "r.json",
			`[{"k": "a", "x": 1}, {"y": true, "k": 7.0}, {"k": "c", "x": 2.5, "y": null, "z": "1"}]`,
			"k:string x:double y:bool z:string \n7 \"7\" null true null\na \"a\" 1 null null\nc \"c\" 2.5 null \"1\"",
		},
		{
			"an object of objects", "r.json", `{"a": {"x": 1, "k": "a"}, "b": {"x": "y"}}`,
			"x:string k:string \na \"1\" \"a\"\nb \"y\" \"b\"",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, table := loadTable(t, tt.file, "d", tt.data)
			if diff := cmp.Diff(tt.want, showTable(table)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTableChanges: another content is another set of the same rules, and other
// keys to wait for.
func TestTableChanges(t *testing.T) {
	a, _ := loadTable(t, "r.csv", "d", "k,x\np1,1\np2,2\n")
	b, _ := loadTable(t, "r.csv", "d", "k,x\np1,1\np3,2.5\n")
	if a.Hash == b.Hash {
		t.Error("the hash of a set does not depend on its tables")
	}
	for i := range a.Rules {
		if a.Rules[i].Shape != b.Rules[i].Shape {
			t.Errorf("rule %s begins afresh with other contents of a table", a.Rules[i].Name)
		}
	}
	if n := len(a.Rules[1].AbsentKeys); n != 2 || cmp.Equal(a.Rules[1].AbsentKeys, b.Rules[1].AbsentKeys) {
		t.Errorf("keys %q and %q", a.Rules[1].AbsentKeys, b.Rules[1].AbsentKeys)
	}
	if want := []*Table{{Name: "ratings", File: "r.csv", Key: "k", Rows: 2, Columns: a.Tables[0].Columns}}; !cmp.Equal(want, a.Tables) {
		t.Errorf("tables %v", cmp.Diff(want, a.Tables))
	}
	numbers, _ := loadTable(t, "r.csv", "id", "k,x\n7,1\n")
	if got := numbers.Rules[1].AbsentKeys; len(got) != 1 || got[0][0] != 3 {
		t.Errorf("the key of an int is %q", got)
	}
}

// FuzzTable: whatever a file holds, it is a table or a mistake with a place.
func FuzzTable(f *testing.F) {
	f.Add(false, "k,x\np1,1\n")
	f.Add(false, "k;x\n\"a\n\"\"b\",\n")
	f.Add(true, `[{"k": "p1", "x": 1}]`)
	f.Add(true, `{"p1": {"x": null, "k": "p1"}} 1`)
	f.Fuzz(func(t *testing.T, json bool, data string) {
		file := "r.csv"
		if json {
			file = "r.json"
		}
		set, report := Load([]File{{"f.yaml", fmt.Appendf(nil, tableRules, file, "d")}}, Options{
			ReadTable: func(_, name string) (File, error) { return File{Name: name, Data: []byte(data)}, nil },
		})
		if (set == nil) == report.OK() {
			t.Fatalf("a set: %v, and the report:\n%s", set != nil, report)
		}
		for _, i := range report.Issues {
			_ = i.String()
		}
	})
}
