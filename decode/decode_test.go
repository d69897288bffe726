package decode

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
)

// TestReasons has, for each reason, what is rejected for it and at which byte.
func TestReasons(t *testing.T) {
	schema := schemaOf(nil, "id", "temp", "Mode", "été")
	for _, test := range []struct {
		payload string
		reason  Reason
		offset  int
	}{
		{"", ReasonEmpty, 0},
		{" \r\n\t", ReasonEmpty, 4},
		{`{"id":"` + strings.Repeat("x", MaxPayload) + `"}`, ReasonTooLarge, MaxPayload},
		{strings.Repeat(`{"x":`, 33), ReasonTooDeep, 32 * 5},
		{`{"id":` + strings.Repeat("[", 40), ReasonTooDeep, 6 + 31},
		{`{"x":` + strings.Repeat("[", 40), ReasonTooDeep, 5 + 31},

		{"{", ReasonSyntax, 1},
		{"{id:1}", ReasonSyntax, 1},
		{"{'id':1}", ReasonSyntax, 1},
		{`{"id"=1}`, ReasonSyntax, 5},
		{`{"id":1,}`, ReasonSyntax, 8},
		{`{"id":1 "x":2}`, ReasonSyntax, 8},
		{`{"id":tru}`, ReasonSyntax, 6},
		{`{"id":True}`, ReasonSyntax, 6},
		{`{"id":01}`, ReasonSyntax, 6},
		{`{"x":01}`, ReasonSyntax, 5},
		{`{"x":1.}`, ReasonSyntax, 7},
		{`{"x":1e+}`, ReasonSyntax, 8},
		{`{"x":[1,2}`, ReasonSyntax, 9},
		{"{\"id\":\"a\nb\"}", ReasonSyntax, 8},
		{`{"id":"abc`, ReasonSyntax, 10},
		{"\xef\xbb\xbf{}", ReasonSyntax, 0},
		{"nonsense", ReasonSyntax, 0},
		{"// comment\n{}", ReasonSyntax, 0},

		{`[{"id":1}]`, ReasonNotObject, 0},
		{`"id"`, ReasonNotObject, 0},
		{` 12`, ReasonNotObject, 0},
		{`null`, ReasonNotObject, 0},

		{`{"id":1} {"id":2}`, ReasonTrailingData, 9},
		{`{"id":1}` + "\x00", ReasonTrailingData, 8},

		{`{"id":1,"id":1}`, ReasonDuplicateName, 9},
		{`{"id":1,"\u0069d":1}`, ReasonDuplicateName, 9},
		{`{"x":1,"y":2,"x":1}`, ReasonDuplicateName, 14},
		{`{"x":{"y":[{"z":1,"z":2}]}}`, ReasonDuplicateName, 19},
		{`{"":1,"":2}`, ReasonDuplicateName, 7},

		{`{"ID":1}`, ReasonCaseFoldedName, 2},
		{`{"id":1,"Id":1}`, ReasonCaseFoldedName, 9},
		{`{"mode":1}`, ReasonCaseFoldedName, 2},
		{`{"\u0049d":1}`, ReasonCaseFoldedName, 2},
		{`{"ÉTÉ":1}`, ReasonCaseFoldedName, 2},

		{"{\"id\":\"\xff\"}", ReasonInvalidUTF8, 7},
		{"{\"x\":\"a\xc3\"}", ReasonInvalidUTF8, 7},
		{"{\"\xed\xa0\x80\":1}", ReasonInvalidUTF8, 2},

		{`{"id":"\a"}`, ReasonInvalidEscape, 7},
		{`{"id":"\u12x4"}`, ReasonInvalidEscape, 7},
		{`{"x":"\ud800"}`, ReasonInvalidEscape, 6},
		{`{"x":"\udc00\ud800"}`, ReasonInvalidEscape, 6},

		{`{"temp":NaN}`, ReasonNaN, 8},
		{`{"temp":-Infinity}`, ReasonNaN, 8},
		{`{"temp":nan}`, ReasonNaN, 8},
		{`{"x":-inf}`, ReasonNaN, 5},

		{`{"temp":18446744073709551616}`, ReasonNumberRange, 8},
		{`{"temp":-9223372036854775809}`, ReasonNumberRange, 8},
		{`{"temp":1e999}`, ReasonNumberRange, 8},
		{`{"temp":{"x":[1e999]}}`, ReasonNumberRange, 14},
	} {
		d, _ := New("json", schema)
		for _, how := range []string{"fresh", "again"} {
			_, err := d.Decode([]byte(test.payload), &event.Event{})
			var reject *Error
			if !errors.As(err, &reject) {
				t.Errorf("%.60q is accepted", test.payload)
				continue
			}
			if reject.Reason != test.reason || reject.Offset != test.offset || reject.Message == "" {
				t.Errorf("%.60q (%s): got %s at %d, want %s at %d (%v)", test.payload, how, reject.Reason, reject.Offset, test.reason, test.offset, err)
			}
			// A decoder knows the names of good messages.
			d.Decode([]byte(`{"id":1,"temp":2,"Mode":3,"x":{"y":[{"z":1}]},"y":1}`), &event.Event{})
		}
	}
	seen := map[Reason]bool{}
	for _, r := range Reasons() {
		seen[r] = true
	}
	if len(seen) != 13 {
		t.Errorf("%d reasons", len(seen))
	}
}

// What JSON allows and rules do not use is no reason to reject.
func TestTolerance(t *testing.T) {
	d, _ := New("json", schemaOf(nil, "temp"))
	for _, payload := range []string{
		`{"temp":1,"x":1e999,"y":123456789012345678901234567890,"TEMPO":2,"te":3}`,
		`{"x":{"temp":1,"Temp":2},"temp":1}`, // names of nested objects are not those of fields
		"\t{\r\n\"temp\" : 1 , \"\" : [ ] , \" \" : { } } \n",
		`{"temp":1,"x":"\u0000\ud83d\ude00\/"}`,
		`{"temp":1,"a":"` + "\x7f\u2028" + `"}`,
	} {
		var e event.Event
		missed, err := d.Decode([]byte(payload), &e)
		if err != nil || missed != 0 || !e.Slot(0).Equal(event.Int(1)) {
			t.Errorf("%q: got %s, %d mismatched, %v", payload, e.Slot(0).Text(), missed, err)
		}
	}
}

// TestTypes has what becomes of a value in a field of each type: a kind and
// text, "missing" for one that is left out, "mismatch" for one that is counted.
func TestTypes(t *testing.T) {
	for _, test := range []struct {
		literal string
		want    map[string]string // by type; what is not named is a mismatch
	}{
		{`true`, map[string]string{"any": "bool true", "bool": "bool true"}},
		{`null`, map[string]string{"any": "null null", "bool": "missing", "int": "missing", "uint": "missing", "double": "missing", "string": "missing", "timestamp": "missing", "duration": "missing", "list": "missing", "map": "missing"}},
		{`21`, map[string]string{"any": "int 21", "int": "int 21", "uint": "uint 21", "double": "double 21", "string": "string 21"}},
		{`-21`, map[string]string{"any": "int -21", "int": "int -21", "double": "double -21", "string": "string -21"}},
		{`21.50`, map[string]string{"any": "double 21.5", "double": "double 21.5", "string": "string 21.50"}},
		{`2.0e1`, map[string]string{"any": "double 20", "int": "int 20", "uint": "uint 20", "double": "double 20", "string": "string 2.0e1"}},
		{`9007199254740993.0`, map[string]string{"any": "double 9007199254740992", "double": "double 9007199254740992", "string": "string 9007199254740993.0"}},
		{`9223372036854775808`, map[string]string{"any": "uint 9223372036854775808", "uint": "uint 9223372036854775808", "double": "double 9223372036854776000", "string": "string 9223372036854775808"}},
		{`-9223372036854775808`, map[string]string{"any": "int -9223372036854775808", "int": "int -9223372036854775808", "double": "double -9223372036854776000", "string": "string -9223372036854775808"}},
		{`"on"`, map[string]string{"any": "string on", "string": "string on"}},
		{`"21"`, map[string]string{"any": "string 21", "string": "string 21"}},
		{`"2026-03-01T13:00:00+01:00"`, map[string]string{"any": "string 2026-03-01T13:00:00+01:00", "string": "string 2026-03-01T13:00:00+01:00", "timestamp": "timestamp 2026-03-01T12:00:00Z"}},
		{`"1h30m"`, map[string]string{"any": "string 1h30m", "string": "string 1h30m", "duration": "duration 1h30m"}},
		{`"caf\u00e9"`, map[string]string{"any": "string café", "string": "string café"}},
		{`[1,"a",[]]`, map[string]string{"any": `list [1,"a",[]]`, "list": `list [1,"a",[]]`}},
		{`{"x":{"y":1.5},"z":null}`, map[string]string{"any": `map {"x":{"y":1.5},"z":null}`, "map": `map {"x":{"y":1.5},"z":null}`}},
	} {
		for typ := event.TypeAny; typ <= event.TypeMap; typ++ {
			d, _ := New("json", schemaOf([]event.Field{{Name: "f", Type: typ}}, "f"))
			var e event.Event
			missed, err := d.Decode([]byte(`{"f":`+test.literal+`}`), &e)
			if err != nil {
				t.Errorf("%s as %s: %v", test.literal, typ, err)
				continue
			}
			v := e.Slot(0)
			got := v.Kind().String() + " " + v.Text()
			if v.IsMissing() {
				got = []string{"missing", "mismatch"}[missed]
			}
			want, ok := test.want[typ.String()]
			if !ok {
				want = "mismatch"
			}
			if got != want {
				t.Errorf("%s as %s: got %s, want %s", test.literal, typ, got, want)
			}
		}
	}
}

func TestCaptured(t *testing.T) {
	schema := schemaOf(nil, "device", "temp", "site")
	for _, format := range []string{"json", "csv"} {
		d, err := New(format, schema, "device", "site", "unused")
		if err != nil {
			t.Fatal(err)
		}
		e := event.Event{Slots: []event.Value{event.String("p1"), event.Int(9), event.Missing}}
		for range 2 {
			missed, err := d.Decode([]byte(`{"Device":1,"device":"p2","site":1,"temp":2}`), &e)
			if err != nil || missed != 0 {
				t.Fatal(missed, err)
			}
			if e.Slots[0].Text() != "p1" || e.Slots[1].Text() != "2" || !e.Slots[2].IsMissing() {
				t.Errorf("got %v", e.Slots)
			}
		}
		if _, err := d.Decode([]byte(`{}`), &e); err != nil || e.Slots[0].Text() != "p1" || !e.Slots[1].IsMissing() {
			t.Errorf("got %v, %v", e.Slots, err)
		}
		if _, err := d.Decode([]byte(`{"device":1,"device":2}`), &e); err == nil {
			t.Error("a captured name twice is a duplicate all the same")
		}
	}
}

// A name clashes with a field's if it differs from it in case only, by all that
// Unicode knows of case.
func TestFolded(t *testing.T) {
	names := []string{"", "i", "id", "ID", "kelvin", "KELVIN", "\u212aelvin", "speed", "Speed", "\u017fpeed", "masks", "MAS\u212a\u017f", "_a", "\x7fa", "été", "ÉTÉ"}
	for _, field := range names {
		f := newFields(schemaOf(nil, field), nil)
		for _, name := range names {
			slot, ok := f.slot(name)
			wantSlot, wantOK := -1, !strings.EqualFold(name, field)
			if name == field {
				wantSlot, wantOK = 0, true
			}
			if slot != wantSlot || ok != wantOK {
				t.Errorf("%q beside the field %q: got %d %v, want %d %v", name, field, slot, ok, wantSlot, wantOK)
			}
		}
	}
}

// The slots of an event are reused, whatever they held.
func TestSlots(t *testing.T) {
	d, _ := New("json", schemaOf(nil, "a", "b"))
	for _, slots := range [][]event.Value{nil, make([]event.Value, 0, 5), {event.Int(7), event.Int(8), event.Int(9)}, make([]event.Value, 1)} {
		e := event.Event{Slots: slots}
		if _, err := d.Decode([]byte(`{"b":1}`), &e); err != nil {
			t.Fatal(err)
		}
		if len(e.Slots) != 2 || !e.Slots[0].IsMissing() || !e.Slots[1].Equal(event.Int(1)) {
			t.Errorf("%v: got %v", slots, e.Slots)
		}
		if cap(slots) >= 2 && &slots[:1][0] != &e.Slots[0] {
			t.Error("the memory was not reused")
		}
	}
}

func TestValue(t *testing.T) {
	for _, test := range []struct {
		payload string
		typ     event.Type
		want    string
	}{
		{"21.5", event.TypeAny, "double 21.5"},
		{" 21\n", event.TypeAny, "int 21"},
		{"-0", event.TypeAny, "int 0"},
		{"true", event.TypeAny, "bool true"},
		{"null", event.TypeAny, "null null"},
		{"null", event.TypeInt, "missing"},
		{`"open"`, event.TypeAny, "string open"},
		{`"a\nb"`, event.TypeAny, "string a\nb"},
		{"open", event.TypeAny, "string open"},
		{"open\n", event.TypeAny, "string open\n"},
		{`"open`, event.TypeAny, `string "open`},
		{"21.5 C", event.TypeAny, "string 21.5 C"},
		{"021", event.TypeAny, "string 021"},
		{"NaN", event.TypeAny, "string NaN"},
		{`{"a":1}`, event.TypeAny, `string {"a":1}`},
		{"[1", event.TypeAny, "string [1"},
		{"True", event.TypeBool, "mismatch"},
		{"NaN", event.TypeDouble, "mismatch"},
		{"21", event.TypeDouble, "double 21"},
		{"21", event.TypeString, "string 21"},
		{"5m\n", event.TypeDuration, "duration 5m"},
		{"2026-03-01T12:00:00Z", event.TypeTimestamp, "timestamp 2026-03-01T12:00:00Z"},
		{"", event.TypeAny, "empty at 0"},
		{" \n", event.TypeAny, "empty at 2"},
		{"1e999", event.TypeAny, "number_range at 0"},
		{"\xff", event.TypeAny, "invalid_utf8 at 0"},
		{strings.Repeat("x", MaxPayload+1), event.TypeAny, fmt.Sprintf("too_large at %d", MaxPayload)},
	} {
		d, err := New("value", schemaOf([]event.Field{{Name: "other"}, {Name: "value", Type: test.typ}}, "other", "value"))
		if err != nil {
			t.Fatal(err)
		}
		var e event.Event
		missed, err := d.Decode([]byte(test.payload), &e)
		got := ""
		var reject *Error
		switch {
		case errors.As(err, &reject):
			got = fmt.Sprintf("%s at %d", reject.Reason, reject.Offset)
		case e.Slot(1).IsMissing():
			got = []string{"missing", "mismatch"}[missed]
		default:
			got = e.Slot(1).Kind().String() + " " + e.Slot(1).Text()
		}
		if got != test.want {
			t.Errorf("%.40q as %s: got %q, want %q", test.payload, test.typ, got, test.want)
		}
		if err == nil && !e.Slot(0).IsMissing() {
			t.Errorf("%q has another field", test.payload)
		}
	}
	d, _ := New("value", schemaOf(nil, "value"), "value")
	e := event.Event{Slots: []event.Value{event.String("captured")}}
	if _, err := d.Decode([]byte("1"), &e); err != nil || e.Slots[0].Text() != "captured" {
		t.Error(e.Slots, err)
	}
	if got := FixedFields("value"); !slices.Equal(got, []string{"value"}) || FixedFields("json") != nil {
		t.Error(got)
	}
}

func TestUnknownFormat(t *testing.T) {
	_, err := New("xml", schemaOf(nil))
	if err == nil || err.Error() != `unknown format "xml"; formats are json, csv, value, influx, cbor` {
		t.Error(err)
	}
}

// Messages that look alike cost no allocation, whatever order or mixture they
// come in.
func TestNoAllocations(t *testing.T) {
	payloads := [][]byte{
		[]byte(reading),
		[]byte(`{"status":"on","device":"p1","temperature":1.5,"nested":{"a":[1,2,{"b":"c"}],"d":null}}`),
		[]byte(` { "temperature" : 12345678901234567890 , "status" : true } `),
	}
	for i := range 40 { // more shapes than the trie has room for at one place
		payloads = append(payloads, fmt.Appendf(nil, `{"device":"p1","x%d":{"y%d":1},"temperature":2}`, i, i))
	}
	d, _ := New("json", schemaOf(nil, "device", "temperature", "status"))
	var e event.Event
	n := 0
	allocs := testing.AllocsPerRun(2000, func() {
		if _, err := d.Decode(payloads[n%len(payloads)], &e); err != nil {
			t.Fatal(err)
		}
		n++
	})
	if allocs != 0 {
		t.Errorf("%v allocations for a message", allocs)
	}
}

// The trie forgets what it has learnt when it does not help, and nothing but
// the speed depends on it.
func TestForgetting(t *testing.T) {
	schema := schemaOf(nil, "device", "id")
	d, _ := New("json", schema)
	for i := range 3 * maxMisses {
		payload := fmt.Appendf(nil, `{"a%d":1,"device":"p","b%d":{"id":1},"id":%d}`, i%1000, i/7, i)
		var e event.Event
		if _, err := d.Decode(payload, &e); err != nil || e.Slot(0).Text() != "p" || !e.Slot(1).Equal(event.Int(int64(i))) {
			t.Fatalf("%s: %v %v", payload, e.Slots, err)
		}
		if i%100 == 0 {
			twice := fmt.Appendf(nil, `{"a%d":1,"device":"p","a%d":1}`, i%1000, i%1000)
			if _, err := d.Decode(twice, &e); err == nil {
				t.Fatalf("%s is accepted", twice)
			}
		}
	}
	if n := d.(*jsonDecoder).trie.count; n > maxNodes {
		t.Errorf("%d nodes", n)
	}
}

// A mistake leaves nothing behind that the next payload could see.
func TestAfterMistakes(t *testing.T) {
	schema := schemaOf(nil, "a")
	many := `{"a":{`
	for i := range 100 {
		many += fmt.Sprintf(`"n%d":[%d,{"x":1}],`, i, i)
	}
	d, _ := New("json", schema)
	for cut := range len(many) {
		if _, err := d.Decode([]byte(many[:cut]), &event.Event{}); err == nil {
			t.Fatalf("%q is accepted", many[:cut])
		}
		checkAgainstOracle(t, d, schema, []byte(`{"a":[1,{"x":2},[3]]}`))
	}
	checkAgainstOracle(t, d, schema, []byte(many+`"z":1}}`))
	checkAgainstOracle(t, d, schema, []byte(many+`"n50":1}}`))
}

// Doubles are the nearest, on the fast path and off it.
func TestDoubles(t *testing.T) {
	d, _ := New("json", schemaOf([]event.Field{{Name: "f", Type: event.TypeDouble}}, "f"))
	schema := schemaOf([]event.Field{{Name: "f", Type: event.TypeDouble}}, "f")
	for _, f := range []float64{0, 1, 0.1, 0.3, 1e22, 1e23, 1e-22, 1e-23, 9007199254740991, 9007199254740992, 9007199254740993, math.MaxFloat64, math.SmallestNonzeroFloat64, 123456.789e-5, 71.25, 2.2250738585072011e-308} {
		for _, format := range []string{"%v", "%.17g", "%.25e", "%.3f", "-%.30f", "%.1fe2", "%.0f"} {
			checkAgainstOracle(t, d, schema, fmt.Appendf(nil, `{"f":`+format+`}`, f))
		}
	}
}
