package expr

import (
	"testing"

	"github.com/cepd/cepd/event"
)

func ratings() (*Scope, *Frame) {
	live := event.NewSchema("telemetry", []event.Field{{Name: "device", Type: event.TypeString}, {Name: "id", Type: event.TypeInt}, {Name: "temperature", Type: event.TypeDouble}})
	for _, name := range []string{"device", "id", "temperature"} {
		live.Use(name)
	}
	table := &Table{
		Name: "ratings", Columns: []event.Field{{Name: "max", Type: event.TypeDouble}},
		Rows: map[string][]event.Value{"p1": {event.Double(80)}, "7": {event.Double(70)}},
	}
	e := &event.Event{Schema: live, Slots: []event.Value{event.String("p1"), event.Int(7), event.Double(90)}}
	return &Scope{Event: live, Self: -1, Tables: []*Table{table}}, &Frame{Event: e}
}

// TestTableAllocates holds look-ups to no allocation, whatever the key is.
func TestTableAllocates(t *testing.T) {
	scope, frame := ratings()
	for _, src := range []string{
		`e.temperature > ratings[e.device].max`,
		`e.temperature > ratings[e.id].max`,
		`e.temperature > ratings["p9"].max || true`,
		`e.temperature > ratings[?e.device].?max.orValue(80)`,
		`e.temperature > lookup(ratings, "p9", {"max": 80}).max`,
		`e.device in ratings && has(ratings[e.device].max)`,
	} {
		p, issues := Compile(src, scope, WantBool)
		if len(issues) > 0 {
			t.Fatal(src, issues)
		}
		if n := testing.AllocsPerRun(100, func() {
			if ok, err := p.Bool(frame); !ok {
				t.Error(src, err)
			}
		}); n > 0 {
			t.Errorf("%s allocates %v times", src, n)
		}
	}
}

func BenchmarkTable(b *testing.B) {
	scope, frame := ratings()
	p, issues := Compile(`e.temperature > ratings[e.device].max`, scope, WantBool)
	if len(issues) > 0 {
		b.Fatal(issues)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.Bool(frame)
	}
}
