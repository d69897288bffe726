package expr

import (
	"fmt"
	"testing"

	"github.com/cepd/cepd/event"
)

func TestGuard(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`e.kind == "a"`, "kind [a]"},
		{`"a" == e.kind`, "kind [a]"},
		{`e.kind == "a" && e.x > 3`, "kind [a]"},
		{`e.x > 3 && (e.y < 2 && e.kind == "a")`, "kind [a]"},
		{`e.kind in ["a", "b"]`, "kind [a b]"},
		{`e.kind == "a" || e.kind == "b"`, "kind [a b]"},
		{`e.kind in ["a", "b"] && e.n == 7`, "n [7]"},
		{`e.free == "a"`, "free [a]"},
		{`e.free == 3`, "free [3]"},
		{`e.n == 9007199254740993`, "n [9007199254740993]"},
		{`e.free == 9007199254740991`, "free [9007199254740991]"},
		{`e.free == 9007199254740993`, "none"}, // and so is the double next to it
		{`e.free in [3, -9007199254740993]`, "none"},
		{`e.n == 3 ? true : false`, "none"},
		{`e.kind == "a" || e.n == 7`, "none"},
		{`!(e.kind == "a")`, "none"},
		{`e.kind != "a"`, "none"},
		{`e.x == 1.5`, "none"},
		{`e.kind == e.free`, "none"},
		{`e.kind == "a" || e.x > 3`, "none"},
		{`true`, "none"},
	} {
		schema := event.NewSchema("s", []event.Field{{Name: "kind", Type: event.TypeString}, {Name: "x", Type: event.TypeDouble},
			{Name: "y", Type: event.TypeDouble}, {Name: "n", Type: event.TypeInt}, {Name: "free", Type: event.TypeAny}})
		p, issues := Compile(c.src, &Scope{Event: schema, NoKey: true}, WantBool)
		if p == nil {
			t.Fatal(issues)
		}
		got := "none"
		if g := p.Guard(); g != nil {
			var values []string
			for _, v := range g.Values {
				if v.Kind() == event.KindInt {
					values = append(values, fmt.Sprint(v.AsInt()))
				} else {
					values = append(values, v.AsString())
				}
			}
			got = fmt.Sprint(schema.Fields()[g.Slot].Name, " ", values)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.src, got, c.want)
		}
		checkGuard(t, p, schema)
	}
}

// checkGuard holds a guard to what it says: without an error and false wherever
// it is not met by a text or number.
func checkGuard(t failer, p *Program, schema *event.Schema) {
	g := p.Guard()
	if g == nil {
		return
	}
	for _, v := range []event.Value{event.String("a"), event.String("other"), event.Int(3), event.Int(5), event.Double(3), event.Double(3.5), event.Uint(7)} {
		slots := make([]event.Value, len(schema.Fields()))
		field := schema.Fields()[g.Slot]
		if field.Type != event.TypeAny && v.Kind() != kindOf[field.Type] && !(field.Type == event.TypeString && v.Kind() == event.KindString) {
			continue
		}
		slots[g.Slot] = v
		met := false
		for _, want := range g.Values {
			met = met || equal(v, want)
		}
		holds, err := p.Bool(&Frame{Event: &event.Event{Schema: schema, Slots: slots}})
		if !met && (holds || err != nil) {
			t.Fatalf("%s with %v in slot %d: %v, %v", p.Source(), v, g.Slot, holds, err)
		}
	}
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}
