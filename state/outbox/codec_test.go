package outbox

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func encodedKey(parts ...event.Value) string {
	k, err := event.AppendKey(nil, parts...)
	if err != nil {
		panic(err)
	}
	return string(k)
}

// fullChange is a change with all that one can have.
func fullChange() alerting.Transition {
	s := event.NewSchema("telemetry", []event.Field{{Name: "temperature", Type: event.TypeDouble}, {Name: "note", Type: event.TypeAny}})
	_, _ = s.Use("temperature")
	_, _ = s.Use("note")
	e := &event.Event{Time: 5, Pos: event.Position{Seq: 9}, Schema: s, Slots: []event.Value{event.Double(90.5)}, More: &event.Details{Topic: "plant/p1"}}
	whole := &event.Event{
		Time: 6, Pos: event.Position{Partition: 1, Seq: 10}, Schema: s,
		Slots: []event.Value{event.Missing, event.List([]event.Value{event.Null, event.Bool(true), event.Map([]event.Entry{{Name: "x", Value: event.Int(-1)}})})},
		More:  &event.Details{Origin: &event.Origin{Rule: "hot", Key: "k", Ordinal: 2}, Raw: []byte(`{"temperature":1}`)},
	}
	return alerting.Transition{
		ID: "0123456789abcdef0123456789abcdef", Change: alerting.Cleared, Reason: "clear_after", Rule: "pump-failure",
		Key: encodedKey(event.String("oslo"), event.Int(7)), KeyNames: []string{"site", "pump"}, Fingerprint: "00ff00ff00ff00ff", Severity: "critical",
		Labels:  []alerting.Label{{Name: "alertname", Value: "pump-failure"}, {Name: "site", Value: "oslo"}},
		Summary: "it stopped", Description: "a\nb", Runbook: "https://example.com",
		StartsAt: 6, EndsAt: 1e18, Time: 1e18, Matches: 3,
		Evidence: []alerting.Step{{Name: "hot", Events: []*event.Event{e, whole}}, {Events: []*event.Event{{Time: 7}}}},
		To:       []string{"ops", "plant"}, Repeat: 4 * time.Hour, Position: event.Position{Seq: 12}, Shadow: true, AtEnd: true,
	}
}

func fullEvent() alerting.Derived {
	return alerting.Derived{
		KnownID: "fedcba9876543210fedcba9876543210", Rule: "readings", Key: encodedKey(event.Double(1.5)), KeyNames: []string{"a"}, Time: -1,
		Position: event.Position{Seq: 7}, To: []string{"warehouse"},
		Fields: []event.Entry{{Name: "kwh", Value: event.Double(1.5)}, {Name: "none", Value: event.Null}},
	}
}

// fullRecord is a record with all that one can have.
func fullRecord() record {
	at := time.Unix(1_700_000_000, 5)
	return record{
		kind: kindMoved, last: true, through: event.Position{Seq: 300}, at: at, id: "x", number: 2,
		about: alert{alerting.Raised, "00ff", time.Hour}, to: []ticket{{deadQueue, 1}}, done: []ticket{{"ops", 300}, {"plant", 1}},
		told:   []told{{"ops", 3, at, 0}, {"plant", 0, time.Time{}, 9}},
		letter: &letter{notify.Failure{Reason: notify.ReasonAuth, Error: "status 403", Tries: 1}, "ops", 2, at},
		body:   []byte("message"),
	}
}

func fullMarks() marks {
	return marks{
		closed: true, at: time.Unix(1_700_000_000, 0), covered: event.Position{Seq: 9}, forget: event.Position{Seq: 8},
		done:  map[string]runs{"ops": {{1, 3}, {5, 5}, {300, 1 << 40}}, "plant": {{7, 7}}},
		notes: map[string][]notify.Note{"file": {{Name: "a.jsonl", Length: 120}, {Name: "b.jsonl", Length: 0}}},
	}
}

// What is on disks stays readable: these bytes are those of version 1.
func TestFormat(t *testing.T) {
	c, d := fullChange(), fullEvent()
	rec, m := fullRecord(), fullMarks()
	var all bytes.Buffer
	for _, part := range []struct {
		name string
		data []byte
	}{
		{"change", appendMessage(nil, notify.Changed(c))},
		{"event", appendMessage(nil, notify.Emitted(d))},
		{"record", rec.append(nil)},
		{"marks", m.append(nil)},
		{"ids", appendIDs(nil, []knownID{{idKey{1}, event.Position{Seq: 3}}, {idKey{2}, event.Position{Seq: 300}}})},
	} {
		all.WriteString("# " + part.name + "\n" + hex.Dump(part.data))
	}
	file := filepath.Join("testdata", "format-1.txt")
	if *rewrite {
		if err := os.WriteFile(file, all.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), all.String()); diff != "" {
		t.Errorf("the format has changed; then it needs another version (-want +got):\n%s", diff)
	}
}

// What a message says survives: a sink sends the same bytes.
func TestMessageSurvives(t *testing.T) {
	for _, m := range []notify.Message{notify.Changed(fullChange()), notify.Emitted(fullEvent()),
		notify.Changed(alerting.Transition{Change: alerting.Raised}), notify.Emitted(alerting.Derived{}), notify.Emitted(alerting.Derived{Late: true})} {
		got, err := readMessage(event.NewReader(appendMessage(nil, m)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(notify.AppendMessage(nil, m)), string(notify.AppendMessage(nil, got))); diff != "" {
			t.Errorf("what is sent (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(string(appendMessage(nil, m)), string(appendMessage(nil, got))); diff != "" {
			t.Errorf("encoded again (-before +after):\n%s", diff)
		}
	}
}

func TestRecordSurvives(t *testing.T) {
	rec, m := fullRecord(), fullMarks()
	got, err := readRecord(rec.append(nil))
	if err != nil {
		t.Fatal(err)
	}
	all := cmp.AllowUnexported(record{}, alert{}, ticket{}, told{}, letter{}, marks{}, run{})
	if diff := cmp.Diff(&rec, got, all); diff != "" {
		t.Errorf("record (-before +after):\n%s", diff)
	}
	gotMarks, err := readMarks(m.append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&m, gotMarks, all); diff != "" {
		t.Errorf("marks (-before +after):\n%s", diff)
	}
}

// Whatever bytes there are, reading them ends, and what is read is written as
// it was.
func FuzzRecord(f *testing.F) {
	rec, m := fullRecord(), fullMarks()
	rec.body = appendMessage(nil, notify.Changed(fullChange()))
	f.Add(rec.append(nil))
	f.Add(m.append(nil))
	f.Add(appendIDs(nil, []knownID{{idKey{1}, event.Position{Seq: 3}}, {idKey{2}, event.Position{Seq: 300}}}))
	rec = record{kind: kindNew, id: "x", to: []ticket{{"a", 1}}, body: appendMessage(nil, notify.Emitted(fullEvent()))}
	f.Add(rec.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := readMarks(data); err == nil {
			again, err := readMarks(m.append(nil))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m.append(nil), again.append(nil)) {
				t.Fatal("marks are not what they were")
			}
			o := blank(&memory{}, Options{})
			o.applyMarks(m)
		}
		if ids, err := readIDs(data); err == nil {
			if again, err := readIDs(appendIDs(nil, ids)); err != nil || len(again) != len(ids) {
				t.Fatal("ids are not what they were")
			}
		}
		rec, err := readRecord(data)
		if err != nil {
			return
		}
		once := rec.append(nil)
		again, err := readRecord(once)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(once, again.append(nil)) {
			t.Fatal("a record is not what it was")
		}
		if msg, err := rec.message(); err == nil {
			if _, err := readMessage(event.NewReader(appendMessage(nil, msg))); err != nil {
				t.Fatal(err)
			}
			_ = notify.AppendMessage(nil, msg)
		}
	})
}
