package decode

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/cepd/cepd/event"
)

// The oracle decodes the slow and obvious way, on the tokens of the strict
// parser that encoding/json/v2 has.

var errOracle = errors.New("rejected")

// oracle returns what a payload decodes to.
func oracle(payload []byte, schema *event.Schema) (slots []event.Value, mismatched int, err error) {
	if len(payload) > MaxPayload {
		return nil, 0, errOracle
	}
	d := jsontext.NewDecoder(bytes.NewReader(payload))
	raw, err := d.ReadValue()
	if err != nil {
		return nil, 0, err
	}
	raw = raw.Clone()
	if _, err := d.ReadToken(); err != io.EOF || raw.Kind() != '{' || depthOf(raw) > MaxDepth {
		return nil, 0, errOracle
	}
	entries, inRange := oracleMap(raw)
	slots = make([]event.Value, len(schema.Fields()))
	for _, e := range entries {
		slot := -1
		for i, f := range schema.Fields() {
			if f.Name == e.name {
				slot = i
			}
		}
		for _, f := range schema.Fields() {
			if slot < 0 && strings.EqualFold(f.Name, e.name) {
				return nil, 0, errOracle
			}
		}
		if slot < 0 {
			continue
		}
		v, ok, good := oracleField(e, schema.Fields()[slot].Type)
		if !good {
			return nil, 0, errOracle
		}
		slots[slot] = v
		if !ok {
			mismatched++
		}
	}
	_ = inRange // of fields that nobody uses as well
	return slots, mismatched, nil
}

func depthOf(raw jsontext.Value) (deepest int) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	for {
		if _, err := d.ReadToken(); err != nil {
			return deepest
		}
		deepest = max(deepest, d.StackDepth())
	}
}

type oracleEntry struct {
	name  string
	raw   jsontext.Value
	value event.Value
	good  bool // all numbers are in range
}

func oracleMap(raw jsontext.Value) (entries []oracleEntry, good bool) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	d.ReadToken()
	good = true
	for d.PeekKind() != '}' {
		name, _ := d.ReadToken()
		e := oracleEntry{name: name.String()}
		value, _ := d.ReadValue()
		e.raw = value.Clone()
		e.value, e.good = oracleValue(e.raw)
		good = good && e.good
		entries = append(entries, e)
	}
	return entries, good
}

func oracleValue(raw jsontext.Value) (v event.Value, good bool) {
	switch raw.Kind() {
	case 'n':
		return event.Null, true
	case 't', 'f':
		return event.Bool(raw.Kind() == 't'), true
	case '"':
		text, _ := jsontext.AppendUnquote(nil, raw)
		return event.String(string(text)), true
	case '0':
		return oracleNumber(string(raw))
	case '{':
		var es []event.Entry
		entries, good := oracleMap(raw)
		for _, e := range entries {
			es = append(es, event.Entry{Name: e.name, Value: e.value})
		}
		return event.Map(es), good
	}
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	d.ReadToken()
	good = true
	var vs []event.Value
	for d.PeekKind() != ']' {
		element, _ := d.ReadValue()
		v, ok := oracleValue(element.Clone())
		vs, good = append(vs, v), good && ok
	}
	return event.List(vs), good
}

func oracleNumber(text string) (event.Value, bool) {
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		return event.Double(f), err == nil
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return event.Int(i), true
	}
	u, err := strconv.ParseUint(text, 10, 64)
	return event.Uint(u), err == nil
}

// oracleField converts an entry to a declared type. ok is false for another
// type, good for a number out of range.
func oracleField(e oracleEntry, t event.Type) (v event.Value, ok, good bool) {
	v = e.value
	switch {
	case v.Kind() == event.KindNull && t != event.TypeAny:
		return event.Missing, true, true
	case t == event.TypeString && e.raw.Kind() == '0':
		return event.String(string(e.raw)), true, true
	case t == event.TypeDouble && e.raw.Kind() == '0':
		f, err := strconv.ParseFloat(string(e.raw), 64)
		return event.Double(f), true, err == nil
	case !e.good:
		return event.Missing, false, false
	}
	fits := false
	switch t {
	case event.TypeAny:
		fits = true
	case event.TypeBool:
		fits = v.Kind() == event.KindBool
	case event.TypeString:
		fits = v.Kind() == event.KindString
	case event.TypeList:
		fits = v.Kind() == event.KindList
	case event.TypeMap:
		fits = v.Kind() == event.KindMap
	case event.TypeInt, event.TypeUint:
		if v.Kind() == event.KindDouble {
			f := v.AsDouble()
			if math.Abs(f) > 1<<53-1 || f != math.Trunc(f) {
				return event.Missing, false, true
			}
			v = event.Int(int64(f))
		}
		if t == event.TypeUint && v.Kind() == event.KindInt && v.AsInt() >= 0 {
			v = event.Uint(uint64(v.AsInt()))
		}
		fits = v.Kind() == event.KindInt && t == event.TypeInt || v.Kind() == event.KindUint && t == event.TypeUint
	case event.TypeTimestamp:
		if v.Kind() == event.KindString {
			at, err := event.ParseTime(v.AsString())
			v, fits = event.Timestamp(at), err == nil
		}
	case event.TypeDuration:
		if v.Kind() == event.KindString {
			d, err := event.ParseDuration(v.AsString())
			v, fits = event.DurationOf(d), err == nil
		}
	}
	if !fits {
		return event.Missing, false, true
	}
	return v, true, true
}

// same reports whether two values are the same in every bit.
func same(v, w event.Value) bool {
	return bytes.Equal(v.AppendBinary(nil), w.AppendBinary(nil))
}

var oracleFields = []event.Field{
	{Name: "b", Type: event.TypeBool}, {Name: "i", Type: event.TypeInt}, {Name: "u", Type: event.TypeUint},
	{Name: "d", Type: event.TypeDouble}, {Name: "s", Type: event.TypeString}, {Name: "t", Type: event.TypeTimestamp},
	{Name: "p", Type: event.TypeDuration}, {Name: "l", Type: event.TypeList}, {Name: "m", Type: event.TypeMap},
	{Name: "a", Type: event.TypeAny}, {Name: "K", Type: event.TypeAny}, {Name: "été", Type: event.TypeAny},
}

// checkAgainstOracle decodes payload with d and compares.
func checkAgainstOracle(t *testing.T, d Decoder, schema *event.Schema, payload []byte) {
	t.Helper()
	want, wantMissed, wantErr := oracle(payload, schema)
	e := event.Event{Slots: make([]event.Value, 20)}
	for i := range e.Slots { // of the last event
		e.Slots[i] = event.String("stale")
	}
	missed, err := d.Decode(payload, &e)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("%q: got error %v, the oracle has %v", payload, err, wantErr)
	}
	if err != nil {
		checkReason(t, payload, err, wantErr)
		return
	}
	if missed != wantMissed {
		t.Errorf("%q: %d mismatched, the oracle has %d", payload, missed, wantMissed)
	}
	for i := range want {
		if !same(e.Slots[i], want[i]) {
			t.Errorf("%q: field %s: got %s %s, the oracle has %s %s", payload, schema.Fields()[i].Name,
				e.Slots[i].Kind(), e.Slots[i].Text(), want[i].Kind(), want[i].Text())
		}
	}
}

func checkReason(t *testing.T, payload []byte, err, wantErr error) {
	t.Helper()
	var reject *Error
	if !errors.As(err, &reject) || reject.Offset < 0 || reject.Offset > len(payload) {
		t.Fatalf("%q: bad error %v", payload, err)
	}
	// Mistakes that the parser of the oracle does not know may come first.
	switch reject.Reason {
	case ReasonCaseFoldedName, ReasonNumberRange, ReasonTooDeep, ReasonTooLarge, ReasonEmpty:
		return
	}
	if got, want := reject.Reason == ReasonDuplicateName, errors.Is(wantErr, jsontext.ErrDuplicateName); got != want {
		t.Errorf("%q: got %v, the oracle has %v", payload, err, wantErr)
	}
}

var oracleSeeds = []string{
	reading,
	`{}`, `{"a":1}`, ` { "a" : [ 1 , 2.5 , "x" , null , true , { "y" : { } } ] } `, `{"a":{"x":1,"y":{"x":1}}}`,
	`{"a":1,"a":1}`, `{"a":1,"A":1}`, `{"k":1}`, "{\"\u212a\":1}", `{"\u0061":1,"a":2}`, `{"x":{"y":1,"\u0079":2}}`, `{"x":[{"y":1},{"y":1}]}`,
	`{"b":true,"i":-12,"u":12,"d":1,"s":1e3,"t":"2026-03-01T12:00:00Z","p":"1h30m","l":[],"m":{}}`,
	`{"b":"true","i":1.5,"u":-1,"d":"1","s":true,"t":1,"p":1,"l":{},"m":[]}`,
	`{"b":null,"i":null,"a":null}`, `{"i":1.0,"u":1e2}`, `{"i":9223372036854775808,"u":18446744073709551615}`,
	`{"a":18446744073709551616}`, `{"d":18446744073709551616}`, `{"x":18446744073709551616}`, `{"a":1e999}`, `{"x":1e999}`, `{"s":1e999}`, `{"d":-1e999}`, `{"a":[1e999]}`,
	`{"a":-9223372036854775808}`, `{"a":-9223372036854775809}`, `{"a":-0}`, `{"d":-0}`, `{"a":-0.0}`, `{"a":5e-324}`, `{"a":1e-400}`,
	`{"a":0.1,"d":123456789012345678901234567890.123456789e-20}`, `{"a":00}`, `{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":+1}`, `{"a":NaN}`, `{"a":-Infinity}`,
	`{"a":"\ud83d\ude00\u00e9\n\"\\\/\b\f\r\t"}`, `{"a":"\ud83d"}`, `{"a":"\ude00\ud83d"}`, `{"a":"\ud83dx"}`, `{"a":"\ud83d\u0041"}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, "{\"a\":\"\xff\"}", "{\"x\":\"\xed\xa0\x80\"}", "{\"\xff\":1}", "{\"a\":\"\x01\"}", "{\"a\":\"\x7f\"}",
	`{"a":1} x`, `{"a":1}{}`, `[1]`, `1`, `"x"`, ``, ` `, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{"a":tru}`, `{"a":nul}`, `nan`,
	strings.Repeat(`{"a":`, 32) + `1` + strings.Repeat(`}`, 32), strings.Repeat(`{"a":`, 33) + `1` + strings.Repeat(`}`, 33), `{"x":` + strings.Repeat(`[`, 31) + strings.Repeat(`]`, 31) + `}`, `{"x":` + strings.Repeat(`[`, 32) + strings.Repeat(`]`, 32) + `}`,
	`{"été":1}`, `{"ÉTÉ":1}`, `{"c0":0,"c1":0,"c2":0,"c3":0,"c4":0,"c5":0,"c6":0,"c7":0,"c8":0,"c9":0,"c10":0,"c11":0,"c12":0,"c13":0,"c14":0,"c15":0,"c16":0,"c17":0,"c18":0,"c19":0,"c20":0,"c21":0,"c22":0,"c23":0,"c24":0,"c25":0,"c26":0,"c3":0}`,
}

func TestOracle(t *testing.T) {
	schema := schemaOf(oracleFields, "b", "i", "u", "d", "s", "t", "p", "l", "m", "a", "K", "été")
	taught, _ := New("json", schema)
	for range 3 {
		for _, payload := range oracleSeeds {
			checkAgainstOracle(t, taught, schema, []byte(payload))
			fresh, _ := New("json", schema)
			checkAgainstOracle(t, fresh, schema, []byte(payload))
		}
	}
}

// FuzzJSON decodes payloads one after the other with one decoder, which
// learns from each.
func FuzzJSON(f *testing.F) {
	for i, payload := range oracleSeeds {
		f.Add([]byte(payload), []byte(oracleSeeds[(i+7)%len(oracleSeeds)]))
	}
	schema := schemaOf(oracleFields, "b", "i", "u", "d", "s", "t", "p", "l", "m", "a", "K", "été")
	f.Fuzz(func(t *testing.T, a, b []byte) {
		d, _ := New("json", schema)
		for _, payload := range [][]byte{a, b, a, b} {
			checkAgainstOracle(t, d, schema, payload)
		}
	})
}

// TestEverywhere puts every kind of byte at every place of a text, a name and
// a number, since the scanner looks at eight bytes at once.
func TestEverywhere(t *testing.T) {
	schema := schemaOf(oracleFields, "a", "d", "s")
	d, _ := New("json", schema)
	odd := []string{"\x00", "\x1f", " ", "\"", "\\", `\n`, `\"`, `\u00e9`, `\ud83d\ude00`, `\ude00\ude00`, `\ud83d`, "\x7f", "\u00e9", "\x80", "\xff", "\U0001f600", "\xc3", "1", ".", "e", "-"}
	for n := range 20 {
		for at := range n + 1 {
			for _, o := range odd {
				text := strings.Repeat("x", at) + o + strings.Repeat("y", n-at)
				checkAgainstOracle(t, d, schema, []byte(`{"a":"`+text+`","x":"`+text+`"}`))
				checkAgainstOracle(t, d, schema, []byte(`{"x":1,"`+text+`":{"`+text+`":2},"a":{"`+text+`":3}}`))
				digits := strings.Repeat("1", at) + o + strings.Repeat("9", n-at)
				checkAgainstOracle(t, d, schema, []byte(`{"a":`+digits+`,"x":`+digits+`}`))
			}
		}
	}
}

// A name that was written with an escape is not the same bytes without.
func TestEscapedNames(t *testing.T) {
	schema := schemaOf(nil, "a")
	d, _ := New("json", schema)
	for _, payload := range []string{`{"x\"y":1,"a":1}`, `{"x"y":1,"a":1}`, `{"b\\":1}`, `{"b\":1}`, `{"c\u0000":1}`, "{\"c\x00\":1}", `{"\u0061":2}`, `{"a":2}`, `{"a":1,"\u0061":2}`, `{"\u0061":2,"a":1}`} {
		for range 2 {
			checkAgainstOracle(t, d, schema, []byte(payload))
		}
	}
}

// Objects of many names are checked without the trie.
func TestManyNames(t *testing.T) {
	schema := schemaOf(nil, "a", "n7")
	object := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`"n` + strconv.Itoa(i) + `":` + strconv.Itoa(i) + `,`)
		}
		return `{` + b.String() + `"` + last + `":0}`
	}
	for _, n := range []int{10, manyNames - 1, manyNames, manyNames + 1, maxPath - 1, maxPath, maxPath + 1, 300, 1200} {
		d, _ := New("json", schema)
		for _, last := range []string{"z", "n0", "n9", "n" + strconv.Itoa(n-1), "N3", "\\u006e5"} {
			for range 2 {
				checkAgainstOracle(t, d, schema, []byte(object(n, last)))
				checkAgainstOracle(t, d, schema, []byte(`{"x":`+object(n, "z")+`,"a":[`+object(n, "y")+`,{"z":`+object(n, last)+`}]}`))
			}
		}
	}
}

// TestRandomNumbers compares numbers of all sizes.
func TestRandomNumbers(t *testing.T) {
	schema := schemaOf(oracleFields, "a", "d", "i", "u")
	d, _ := New("json", schema)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		text := strconv.FormatUint(random.Uint64()>>random.UintN(64), 10)
		if random.UintN(2) == 0 {
			at := random.IntN(len(text))
			text = text[:at] + "0."[min(at, 1):] + text[at:]
		}
		switch random.UintN(4) {
		case 0:
			text += "e" + strconv.Itoa(random.IntN(60)-30)
		case 1:
			text = "-" + text
		}
		checkAgainstOracle(t, d, schema, []byte(`{"a":`+text+`,"d":`+text+`,"i":`+text+`,"u":`+text+`}`))
	}
}
