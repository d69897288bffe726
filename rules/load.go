package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

// File is a rule file: a name for messages, and its bytes.
type File struct {
	Name string
	Data []byte
}

// Options says what [Load] checks beside the files themselves.
type Options struct {
	// NeedSource makes a stream without `source` an error, and checks the names
	// of sources and sinks. It is set by the daemon; `cepd check` and replay
	// leave it out.
	NeedSource bool
	// Sources and Sinks are the names in cepd.yaml. They are read where
	// NeedSource is set.
	Sources, Sinks []string
	// AlertsOnly are those of Sinks that do not take events.
	AlertsOnly []string
	// Topicless are those of Sources whose messages have no topic, such as files.
	Topicless []string
	// Files says of those of Sources that read files whether they hold csv or
	// jsonl; empty: what the stream says. Where it is nil, nobody asks whether
	// formats of streams fit their sources.
	Files map[string]string
	// Own becomes that of the set.
	Own *Own
	// ReadTable reads the file of a table. Its name is relative to the folder of
	// the rule file that it stands in, unless it is absolute. The file that is
	// returned is named as messages shall name it, also after an error. Without
	// ReadTable there are no files for tables.
	ReadTable func(ruleFile, name string) (File, error)

	tables map[string]*expr.Table // in place of those that were read, for tests
}

// Load reads rule files as one set: rules of one file may use streams of
// another. It returns no set if there is any error; the report is never nil.
func Load(files []File, o Options) (*Set, *Report) {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	l := &loader{options: o, report: &Report{}, streams: map[string]*streamDecl{}, rules: map[string]*node{},
		named: map[string]*node{}, compiled: map[*node]*Rule{}, derived: map[string]*streamDecl{}}
	for _, f := range files {
		l.file(f)
	}
	for _, t := range l.tables {
		l.table(t)
	}
	l.lateStreams()
	for _, late := range []bool{false, true} { // those that receive late events are like the others
		for _, s := range l.order {
			if (s.late != nil) == late {
				l.stream(s)
			}
		}
	}
	for _, source := range o.Topicless {
		l.topicless(source)
	}
	l.fitting()
	var rules []*Rule
	for _, r := range l.bodies {
		if rule := l.compile(r); rule != nil {
			rules = append(rules, rule)
		}
	}
	l.parents(rules)
	with := func(tables map[string]*expr.Table) (*Set, *Report) {
		o := o
		o.tables = tables
		return Load(files, o)
	}
	var tests []*Test
	if o.tables == nil {
		tests = l.allTests(rules)
	}
	if !o.NeedSource && !l.report.hasErrors() {
		l.overTables(tests, with)
	}
	slices.Sort(l.report.TableFiles)
	l.report.TableFiles = slices.Compact(l.report.TableFiles)
	l.report.finish()
	if !l.report.OK() {
		return nil, l.report
	}
	rules = slices.DeleteFunc(rules, func(r *Rule) bool { return r.off })
	set := &Set{Hash: hashFiles(files, l.tables), Rules: rules, Tests: tests, Tables: l.setTables(), Own: o.Own}
	for _, s := range l.order {
		set.Streams = append(set.Streams, s.stream)
	}
	for _, r := range rules {
		if r.Output != nil {
			set.Streams = append(set.Streams, r.Output)
		}
	}
	set.arrange()
	l.timing(set)
	return set, l.report
}

// loader collects what the files declare, then compiles it.
type loader struct {
	options Options
	report  *Report
	streams map[string]*streamDecl
	order   []*streamDecl    // in order of declaration
	rules   map[string]*node // name of each rule
	bodies  []*node          // of rules, in order
	named   map[string]*node // rules by name
	damaged bool             // a part of a file could not be read, and may have declared anything

	testNodes []*node // `tests` of each file
	tables    []*tableDecl

	compiled map[*node]*Rule        // rules that are done, and nil for those under way
	path     []string               // names of the rules under way
	derived  map[string]*streamDecl // what rules emit, as others take it
	unless   []unlessDecl
}

// file collects the streams and rules of a file.
func (l *loader) file(f File) {
	root, damaged := parse(f, l.report)
	l.damaged = l.damaged || damaged
	if root == nil || !l.keys(root, filePlace) {
		return
	}
	if n := root.get("streams"); n != nil && l.mapping(n, "`streams`") {
		for _, e := range n.entries {
			l.declareStream(e.key, e.value)
		}
	}
	if n := root.get("tables"); n != nil && l.mapping(n, "`tables`") {
		for _, e := range n.entries {
			l.declareTable(e.key, e.value)
		}
	}
	if n := root.get("tests"); n != nil {
		l.testNodes = append(l.testNodes, n)
	}
	n := root.get("rules")
	switch {
	case n == nil || n.bad:
	case n.kind == listNode:
		for _, r := range n.items {
			l.declareRule(r)
		}
	case n.kind == mappingNode && len(n.entries) > 0:
		l.errorf(n.entries[0].key, "write `- name: "+n.entries[0].key.text+"` and indent the rest below it", "`rules` is a list, and this is a mapping")
	case n.typ == emptyType:
		l.errorf(n, "write `- name: ...` below it, or remove the key", "`rules` is empty")
	default:
		l.errorf(n, "write `- name: ...` below it", "`rules` is a list, and this is %s", n.what())
	}
}

// here says where a node stands, for a message about another one.
func (n *node) here() (file string, line int) {
	line, _ = n.src.position(n.pos)
	return n.src.name, line
}

// hashFiles hashes the names and bytes of files, which are sorted by name, and
// of the files of tables.
func hashFiles(files []File, tables []*tableDecl) string {
	h := sha256.New()
	for _, f := range files {
		h.Write(event.AppendText(nil, f.Name))
		h.Write(event.AppendText(nil, string(f.Data)))
	}
	for _, t := range tables {
		h.Write(event.AppendText(nil, t.file))
		h.Write(event.AppendText(nil, string(t.data)))
	}
	return hex.EncodeToString(h.Sum(nil))
}
