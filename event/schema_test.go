package event

import (
	"slices"
	"testing"
)

func TestSchema(t *testing.T) {
	s := NewSchema("telemetry", []Field{{"temp", TypeDouble}, {"id", TypeString}, {"unused", TypeAny}})
	if s.Dynamic() || s.Stream() != "telemetry" || len(s.Declared()) != 3 || len(s.Fields()) != 0 {
		t.Errorf("%+v", s)
	}
	for _, test := range []struct {
		name string
		slot int
		ok   bool
	}{{"id", 0, true}, {"temp", 1, true}, {"id", 0, true}, {"other", 0, false}} {
		if slot, ok := s.Use(test.name); slot != test.slot || ok != test.ok {
			t.Errorf("%s: slot %d %v", test.name, slot, ok)
		}
	}
	if !slices.Equal(s.Fields(), []Field{{"id", TypeString}, {"temp", TypeDouble}}) {
		t.Error(s.Fields())
	}
	if typ, ok := s.Lookup("temp"); typ != TypeDouble || !ok {
		t.Error(typ, ok)
	}
	dynamic := NewSchema("any", nil)
	if typ, ok := dynamic.Lookup("whatever"); typ != TypeAny || !ok || !dynamic.Dynamic() {
		t.Error(typ, ok)
	}
	none := NewSchema("none", []Field{})
	if _, ok := none.Use("x"); ok || none.Dynamic() {
		t.Error("a stream that declares no field has none")
	}
}

func TestTypes(t *testing.T) {
	for typ := TypeAny; typ <= TypeMap; typ++ {
		if got, err := ParseType(typ.String()); got != typ || err != nil {
			t.Error(typ, got, err)
		}
	}
	if _, err := ParseType("float"); err == nil || err.Error() != `unknown type "float"; types are any, bool, int, uint, double, string, timestamp, duration, list, map` {
		t.Error(err)
	}
}

// What a rule keeps of an event has its own numbers and its own memory.
func TestKeep(t *testing.T) {
	s := NewSchema("s", nil)
	s.Use("a")
	p := s.Project()
	for _, name := range []string{"b", "a"} {
		p.Use(name)
	}
	if i, ok := p.Use("b"); i != 0 || !ok || len(s.Fields()) != 2 {
		t.Error(i, ok, s.Fields())
	}
	p.UseTopic()
	payload := []byte(`{"a":"x","b":"y"}`)
	live := &Event{Time: 3, Pos: Position{Seq: 4}, Schema: s, More: &Details{Topic: "t", Raw: payload},
		Slots: []Value{StringOf(payload[6:7]), StringOf(payload[14:15])}}
	kept, whole := p.Keep(live, false, &Texts{}), p.Keep(live, true, &Texts{})
	for i := range payload {
		payload[i] = '#'
	}
	for _, e := range []*Event{kept, whole} {
		if e.Get("a").Text() != "x" || e.Get("b").Text() != "y" || e.Slot(0).Text() != "y" || Compare(e, live) != 0 || e.Topic() != "t" || e.Schema != p {
			t.Errorf("%+v", e)
		}
	}
	if kept.Raw() != nil || string(whole.Raw()) != `{"a":"x","b":"y"}` {
		t.Errorf("%q %q", kept.Raw(), whole.Raw())
	}
	if !kept.Get("none").IsMissing() || !kept.Slot(7).IsMissing() {
		t.Error("a field that nobody uses is missing")
	}
	if e := s.Project().Keep(live, false, &Texts{}); e.Slots != nil || e.More != nil {
		t.Error("a rule that uses nothing keeps nothing")
	}
}

// An event that is kept takes one piece of memory where its fields are few and it
// has neither topic nor payload; one that is read back takes another for its slots.
func TestKeepAllocates(t *testing.T) {
	s := NewSchema("s", nil)
	s.Use("a")
	p := s.Project()
	p.Use("a")
	live := &Event{Time: 3, Schema: s, More: &Details{Topic: "t", Raw: []byte("x")}, Slots: []Value{Double(1)}}
	texts, kept := &Texts{}, (*Event)(nil)
	if n := testing.AllocsPerRun(100, func() { kept = p.Keep(live, false, texts) }); n != 1 {
		t.Errorf("%v pieces", n)
	}
	stored := kept.AppendBinary(nil)
	if n := testing.AllocsPerRun(100, func() { NewReader(stored).Event(p) }); n > 2 {
		t.Errorf("%v pieces for one that is read back", n)
	}
}

func TestOrder(t *testing.T) {
	at := func(time Time, seq uint64, partition uint32, o *Origin) *Event {
		return &Event{Time: time, Pos: Position{Partition: partition, Seq: seq}, More: &Details{Origin: o}}
	}
	sorted := []*Event{
		at(1, 9, 9, nil), at(2, 1, 0, nil), at(2, 1, 0, &Origin{Rule: "a"}), at(2, 1, 0, &Origin{Rule: "a", Ordinal: 1}),
		at(2, 1, 0, &Origin{Rule: "a", Key: "k"}), at(2, 1, 0, &Origin{Rule: "b"}), at(2, 1, 1, nil), at(2, 2, 0, nil), at(3, 1, 0, nil),
	}
	for i, a := range sorted {
		for j, b := range sorted {
			if got, want := Compare(a, b), sign(i-j); got != want {
				t.Errorf("%d and %d compare as %d, want %d", i, j, got, want)
			}
		}
	}
	if p := (Position{Partition: 2, Seq: 17}); p.String() != "2:17" || p.IsZero() || !(Position{}).IsZero() {
		t.Error(p)
	}
}

func sign(n int) int { return min(1, max(-1, n)) }

func TestRecords(t *testing.T) {
	if KindMessage.String() != "message" || KindEnd.String() != "end" || RecordKind(99).String() != "record kind 99" || RecordKind(0).String() != "record kind 0" {
		t.Error("names of kinds")
	}
	for _, f := range []Flags{0, 1, 2, 1 | FlagDup, 1 | FlagRetained, 2 | FlagDup | FlagRetained, FlagSession, FlagLost} {
		if f.QoS() != int(f)&3 || f.Dup() != (f&4 != 0) || f.Retained() != (f&8 != 0) || f.Session() != (f&16 != 0) || f.Lost() != (f&32 != 0) {
			t.Errorf("flags %b", f)
		}
	}
}
