package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// TestScenarios runs the scenario files of testdata. Each is run again with
// other numbers of shards and sizes of batches, and with the state written and
// read back after every record: the output must be the same.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario files: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			for _, v := range []variant{
				{shards: 1}, {shards: 2}, {shards: 8}, {shards: 1, single: true}, {shards: 8, single: true},
				{shards: 1, restore: true}, {shards: 2, restore: true},
			} {
				t.Run(v.String(), func(t *testing.T) {
					s := newScript(t, v)
					datadriven.RunTest(t, file, s.run)
				})
				if t.Failed() {
					return
				}
			}
		})
	}
}

// variant is a way to run a scenario that must make no difference.
type variant struct {
	shards  int
	single  bool // one record a batch
	restore bool // with the state written and read back after each
}

func (v variant) String() string {
	return fmt.Sprintf("shards=%d,single=%t,restore=%t", v.shards, v.single, v.restore)
}

// script runs the commands of a scenario file:
//
//	rules [own=5m]            with alerts of the engine itself about the sources in
//	                          and other, if they are away for so long; a rule file, and files of tables after lines "-- NAME --"
//	feed [source=S] [topic=T] [qos=1]
//	                          one payload a line; "+3s " before it moves the
//	                          clock first, "retained " and "dup " say what they
//	                          say, "from=ID " is what the sender calls it,
//	                          "packet=N " the number of its packet
//	tick 5s                   moves the clock
//	up S, down S              a source is connected, disconnected; "up S lost":
//	                          its broker had forgotten the session
//	start [5s]                the daemon has started, so long after the last record
//	notice                    what the shell has noticed of itself
//	deadline                  when the clock alone would change something next
//	end [TIME|last]           ends the input
//	state                     the names of the rows
type script struct {
	t      *testing.T
	v      variant
	engine *Engine
	config Config
	sets   map[string]*rules.Set
	clock  event.Time
	seq    uint64
	due    event.Time
	fed    []fed
}

// fed is what was fed in one step.
type fed struct {
	records []event.Record
	until   event.Time // from when on nothing of it is held back
}

func newScript(t *testing.T, v variant) *script {
	s := &script{t: t, v: v, sets: map[string]*rules.Set{}, clock: mustTime(t, "2026-03-01T13:00:00Z")}
	s.config = Config{
		Shards:  v.shards,
		Emitted: true,
		Load: func(hash string) (*rules.Set, error) {
			if set := s.sets[hash]; set != nil {
				return set, nil
			}
			return nil, fmt.Errorf("there is no rule set %s", hash)
		},
	}
	s.engine = New(s.config)
	return s
}

func mustTime(t testing.TB, s string) event.Time {
	t.Helper()
	at, err := event.ParseTime(s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	s.t = t
	switch d.Cmd {
	case "rules":
		return s.rules(d)
	case "feed":
		return s.feed(d)
	case "tick":
		s.advance(d.CmdArgs[0].Key)
		return s.step(event.Record{Kind: event.KindTick})
	case "up":
		up := event.Record{Kind: event.KindSourceUp, Source: d.CmdArgs[0].Key}
		if d.HasArg("lost") {
			up.Flags = event.FlagLost
		}
		return s.step(up)
	case "start":
		if len(d.CmdArgs) > 0 {
			s.advance(d.CmdArgs[0].Key)
		}
		return s.step(event.Record{Kind: event.KindStart})
	case "notice":
		return s.step(event.Record{Kind: event.KindNotice, Payload: []byte(d.Input)})
	case "deadline":
		if s.due == event.MaxTime {
			return "none\n"
		}
		return clockText(s.due) + "\n"
	case "down":
		return s.step(event.Record{Kind: event.KindSourceDown, Source: d.CmdArgs[0].Key})
	case "end":
		rec := event.Record{Kind: event.KindEnd, Arrival: event.MaxTime}
		if len(d.CmdArgs) > 0 && d.CmdArgs[0].Key == "last" {
			rec.Arrival = event.MinTime
		} else if len(d.CmdArgs) > 0 {
			rec.Arrival = mustTime(t, "2026-03-01T"+d.CmdArgs[0].Key+"Z")
		}
		return s.step(rec)
	case "state":
		var b strings.Builder
		for _, r := range s.engine.Rows() {
			if r.Name[0] == rowState {
				rd := event.NewReader(r.Name[2:])
				fmt.Fprintf(&b, "%s %s\n", rd.Text(), event.KeyText(rd.Rest()))
			}
		}
		return sorted(b.String(), "no state\n")
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return ""
}

func sorted(lines, none string) string {
	if lines == "" {
		return none
	}
	all := strings.Split(strings.TrimSuffix(lines, "\n"), "\n")
	slices.Sort(all)
	return strings.Join(all, "\n") + "\n"
}

func (s *script) advance(d string) {
	by, err := event.ParseDuration(d)
	if err != nil {
		s.t.Fatal(err)
	}
	s.clock = s.clock.Add(by)
}

func (s *script) rules(d *datadriven.TestData) string {
	files := map[string]string{}
	name := "rules.yaml"
	for line := range strings.Lines(d.Input + "\n") {
		if rest, ok := strings.CutPrefix(line, "-- "); ok {
			name = strings.TrimSuffix(rest, " --\n")
			continue
		}
		files[name] += line
	}
	set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(files["rules.yaml"])}}, rules.Options{
		ReadTable: func(_, name string) (rules.File, error) {
			return rules.File{Name: name, Data: []byte(files[name])}, nil
		},
	})
	if !report.OK() {
		s.t.Fatalf("%s", report)
	}
	hash := set.Hash
	if d.HasArg("own") {
		var after string
		d.ScanArgs(s.t, "own", &after)
		down, err := event.ParseDuration(after)
		if err != nil {
			s.t.Fatal(err)
		}
		hash += " own " + after
		set.Own = &rules.Own{To: []string{"ops"}, Sources: []string{"in", "other"}, SourceDown: down}
	}
	s.sets[hash] = set
	return s.step(event.Record{Kind: event.KindRuleSet, Payload: []byte(hash)})
}

func (s *script) feed(d *datadriven.TestData) string {
	source, topic := "in", ""
	if d.HasArg("source") {
		d.ScanArgs(s.t, "source", &source)
	}
	if d.HasArg("topic") {
		d.ScanArgs(s.t, "topic", &topic)
	}
	qos := 0
	if d.HasArg("qos") {
		d.ScanArgs(s.t, "qos", &qos)
	}
	var records []event.Record
	for line := range strings.Lines(d.Input) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "+") {
			var by string
			by, line, _ = strings.Cut(line[1:], " ")
			s.advance(by)
		}
		rec := event.Record{Kind: event.KindMessage, Flags: event.Flags(qos), Source: source, Topic: topic, Arrival: s.clock}
		for prefix, flags := range map[string]event.Flags{"retained ": event.FlagRetained, "dup ": event.FlagDup} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				rec.Flags, line = rec.Flags|flags, rest
			}
		}
		if rest, ok := strings.CutPrefix(line, "from="); ok {
			rec.SenderID, line, _ = strings.Cut(rest, " ")
		}
		if rest, ok := strings.CutPrefix(line, "packet="); ok {
			var number string
			number, line, _ = strings.Cut(rest, " ")
			n, err := strconv.ParseUint(number, 10, 16)
			if err != nil {
				s.t.Fatal(err)
			}
			rec.Packet = uint16(n)
		}
		rec.Payload = []byte(line)
		if from, to, ok := strings.Cut(line, " "); ok && strings.Contains(from, "/") {
			rec.Topic, rec.Payload = from, []byte(to)
		}
		records = append(records, rec)
	}
	return s.step(records...)
}

// step feeds records in the way of the variant, and prints all that came out.
func (s *script) step(records ...event.Record) string {
	for i := range records {
		s.seq++
		records[i].Pos = event.Position{Seq: s.seq}
		if records[i].Arrival == 0 {
			records[i].Arrival = s.clock
		}
	}
	size := len(records)
	if s.v.single || s.v.restore {
		size = 1
	}
	var outs []Output
	for part := range slices.Chunk(records, size) {
		out := s.engine.Step(Input{Records: part})
		outs, s.due = append(outs, out), out.Deadline
		if s.v.restore {
			s.restore()
		}
	}
	text := printOutputs(outs)
	s.fed = append(s.fed, fed{records, s.engine.HeldUntil()})
	s.spoil(outs[len(outs)-1].Settled)
	return text
}

// spoil overwrites the payloads that the engine should refer to no more.
func (s *script) spoil(settled event.Time) {
	if s.engine.HeldUntil() == event.MinTime {
		settled = event.MaxTime
	}
	s.fed = slices.DeleteFunc(s.fed, func(f fed) bool {
		if f.until > settled {
			return false
		}
		for i := range f.records {
			for j := range f.records[i].Payload {
				f.records[i].Payload[j] = '?'
			}
		}
		return true
	})
}

// restore writes the state, reads it into another engine with another number
// of shards, and goes on with that.
func (s *script) restore() {
	rows := s.engine.Rows()
	c := s.config
	c.Shards = 1 + int(s.seq%3)
	e, _, err := Restore(c, s.engine.Rules(), inOrder(rows))
	if err != nil {
		s.t.Fatalf("restore: %v", err)
	}
	again := e.Rows()
	if len(rows) != len(again) {
		s.t.Fatalf("restored %d rows, want %d", len(again), len(rows))
	}
	for i := range rows {
		if !bytes.Equal(rows[i].Name, again[i].Name) || !bytes.Equal(rows[i].Value, again[i].Value) {
			s.t.Fatalf("row %q is %x after a restore, was %x", rows[i].Name, again[i].Value, rows[i].Value)
		}
	}
	s.engine = e
}

func printOutputs(outs []Output) string {
	var all Output
	var st Stats
	var b strings.Builder
	for _, o := range outs {
		all.Transitions = append(all.Transitions, o.Transitions...)
		all.Emitted = append(all.Emitted, o.Emitted...)
		all.Rejects = append(all.Rejects, o.Rejects...)
		st.Add(o.Stats)
		if r := o.Reload; r != nil {
			fmt.Fprintf(&b, "rules: added %v kept %v restarted %v removed %v\n", r.Added, r.Kept, r.Restarted, r.Removed)
		}
	}
	slices.SortStableFunc(all.Transitions, func(a, b alerting.Transition) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
	})
	slices.SortStableFunc(all.Emitted, func(a, b alerting.Derived) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), a.Position.Compare(b.Position), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
	})
	for _, e := range all.Emitted {
		fmt.Fprintf(&b, "%s event %s%s %s", clockText(e.Time), e.Rule, keyText(e.Key), event.AppendObject(nil, e.Fields))
		if len(e.To) > 0 {
			fmt.Fprintf(&b, " to %v %.8s", e.To, e.ID())
		}
		b.WriteString("\n")
	}
	for _, t := range all.Transitions {
		fmt.Fprintf(&b, "%s %s %s%s (%s)", clockText(t.Time), t.Change, t.Rule, keyText(t.Key), t.Reason)
		if t.Summary != "" {
			fmt.Fprintf(&b, " %q", t.Summary)
		}
		for _, step := range t.Evidence {
			fmt.Fprintf(&b, " %s=%s", cmp.Or(step.Name, "event"), eventTimes(step.Events))
		}
		if t.AtEnd {
			b.WriteString(" at end")
		}
		if t.Shadow {
			b.WriteString(" in shadow")
		}
		fmt.Fprintf(&b, " %.8s\n", t.ID)
	}
	for _, r := range all.Rejects {
		fmt.Fprintf(&b, "rejected %s %s: %s\n", r.Stream, r.Reason, r.Err)
	}
	for _, c := range []struct {
		name    string
		counter Counter
	}{{"unrouted", st.Unrouted}, {"duplicate", st.Duplicates}, {"no id", st.NoID}, {"id forgotten", st.ForgottenIDs}, {"late", st.Late}, {"key error", st.KeyErrors}, {"eval error", st.EvalErrors}, {"mismatched", st.Mismatched}, {"evicted", st.Evictions}} {
		var lines []string
		for k, n := range c.counter {
			lines = append(lines, fmt.Sprintf("%s %s x%d\n", c.name, strings.TrimSpace(k.Name+" "+k.Detail), n))
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

func keyText(key string) string {
	if key == "" {
		return ""
	}
	return "{" + event.KeyText(key) + "}"
}

func clockText(t event.Time) string {
	if t == event.MaxTime {
		return "end"
	}
	return t.Go().Format("15:04:05.999")
}

func eventTimes(es []*event.Event) string {
	var out []string
	for _, e := range es {
		out = append(out, strconv.Itoa(int(e.Pos.Seq))+"@"+e.Time.Go().Format(time.TimeOnly))
	}
	return strings.Join(out, ",")
}
