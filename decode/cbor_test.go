package decode

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/cepd/cepd/event"
)

// bin returns the bytes that a text of hexadecimal digits and blanks stands for.
func bin(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(text, err)
	}
	return b
}

// decodeCBOR returns what becomes of the first slot: a kind and text, "missing",
// "mismatch", or a reason and a place.
func decodeCBOR(t testing.TB, d Decoder, payload []byte) string {
	t.Helper()
	var e event.Event
	missed, err := d.Decode(payload, &e)
	var reject *Error
	switch {
	case errors.As(err, &reject):
		return fmt.Sprintf("%s at %d", reject.Reason, reject.Offset)
	case e.Slot(0).IsMissing():
		return []string{"missing", "mismatch"}[missed]
	}
	return e.Slot(0).Kind().String() + " " + e.Slot(0).Text()
}

// The examples of RFC 8949, appendix A, as the value of a field, and what the
// standard says that they are.
func TestCBORExamples(t *testing.T) {
	for _, c := range []struct{ item, want string }{
		{"00", "int 0"}, {"01", "int 1"}, {"0a", "int 10"}, {"17", "int 23"}, {"1818", "int 24"}, {"1819", "int 25"}, {"1864", "int 100"},
		{"1903e8", "int 1000"}, {"1a000f4240", "int 1000000"}, {"1b000000e8d4a51000", "int 1000000000000"},
		{"1bffffffffffffffff", "uint 18446744073709551615"}, {"c249010000000000000000", "number_range at 3"},
		{"3bffffffffffffffff", "number_range at 3"}, {"c349010000000000000000", "number_range at 3"},
		{"20", "int -1"}, {"29", "int -10"}, {"3863", "int -100"}, {"3903e7", "int -1000"},
		{"f90000", "double 0"}, {"f98000", "double -0"}, {"f93c00", "double 1"}, {"fb3ff199999999999a", "double 1.1"}, {"f93e00", "double 1.5"},
		{"f97bff", "double 65504"}, {"fa47c35000", "double 100000"}, {"fa7f7fffff", "double 3.4028234663852886e+38"},
		{"fb7e37e43c8800759c", "double 1e+300"}, {"f90001", "double 5.960464477539063e-8"}, {"f90400", "double 0.00006103515625"},
		{"f9c400", "double -4"}, {"fbc010666666666666", "double -4.1"},
		{"f97c00", "nan at 3"}, {"f97e00", "nan at 3"}, {"f9fc00", "nan at 3"}, {"fa7f800000", "nan at 3"}, {"fa7fc00000", "nan at 3"}, {"faff800000", "nan at 3"},
		{"fb7ff0000000000000", "nan at 3"}, {"fb7ff8000000000000", "nan at 3"}, {"fbfff0000000000000", "nan at 3"},
		{"f4", "bool false"}, {"f5", "bool true"}, {"f6", "null null"}, {"f7", "null null"}, {"f0", "null null"}, {"f8ff", "null null"},
		{"c074323031332d30332d32315432303a30343a30305a", "timestamp 2013-03-21T20:04:00Z"},
		{"c11a514b67b0", "timestamp 2013-03-21T20:04:00Z"}, {"c1fb41d452d9ec200000", "timestamp 2013-03-21T20:04:00.5Z"},
		{"d74401020304", `bytes "AQIDBA=="`}, {"d818456449455446", `bytes "ZElFVEY="`},
		{"d82076687474703a2f2f7777772e6578616d706c652e636f6d", "string http://www.example.com"},
		{"40", `bytes ""`}, {"4401020304", `bytes "AQIDBA=="`},
		{"60", "string "}, {"6161", "string a"}, {"6449455446", "string IETF"}, {"62225c", `string "\`}, {"62c3bc", "string ü"}, {"63e6b0b4", "string 水"}, {"64f0908591", "string 𐅑"},
		{"80", "list []"}, {"83010203", "list [1,2,3]"}, {"8301820203820405", "list [1,[2,3],[4,5]]"},
		{"98190102030405060708090a0b0c0d0e0f101112131415161718181819", "list [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]"},
		{"a0", "map {}"}, {"a201020304", `map {"1":2,"3":4}`}, {"a26161016162820203", `map {"a":1,"b":[2,3]}`}, {"826161a161626163", `list ["a",{"b":"c"}]`},
		{"a56161614161626142616361436164614461656145", `map {"a":"A","b":"B","c":"C","d":"D","e":"E"}`},
		{"5f42010243030405ff", `bytes "AQIDBAU="`}, {"7f657374726561646d696e67ff", "string streaming"},
		{"9fff", "list []"}, {"9f018202039f0405ffff", "list [1,[2,3],[4,5]]"}, {"9f01820203820405ff", "list [1,[2,3],[4,5]]"}, {"83018202039f0405ff", "list [1,[2,3],[4,5]]"}, {"83019f0203ff820405", "list [1,[2,3],[4,5]]"},
		{"9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", "list [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]"},
		{"bf61610161629f0203ffff", `map {"a":1,"b":[2,3]}`}, {"826161bf61626163ff", `list ["a",{"b":"c"}]`}, {"bf6346756ef563416d7421ff", `map {"Fun":true,"Amt":-2}`},
	} {
		d, _ := New("cbor", schemaOf(nil, "f"))
		for _, payload := range []string{"a1 6166" + c.item, "bf 6166" + c.item + "ff"} {
			if got := decodeCBOR(t, d, bin(t, payload)); got != c.want {
				t.Errorf("%s: got %s, want %s", c.item, got, c.want)
			}
		}
		if got := decodeCBOR(t, d, bin(t, "a2 6178"+c.item+" 616601")); got != "int 1" {
			t.Errorf("%s in a field that nobody uses: got %s", c.item, got)
		}
	}
}

// TestCBORReasons has, for each reason, what is rejected for it and at which byte.
func TestCBORReasons(t *testing.T) {
	deep := func(open string, n int) string { return "a1 6178" + strings.Repeat(open, n) }
	for _, c := range []struct{ payload, want string }{
		{"", "empty at 0"},
		{"a1 6178 5a 00050000" + strings.Repeat("00", MaxPayload), "too_large at 262144"},
		{deep("81", 32), "too_deep at 34"}, {deep("9f", 40), "too_deep at 34"}, {deep("c1", 40), "too_deep at 34"}, {deep("a16178", 40), "too_deep at 96"},
		{"a1 626964" + strings.Repeat("81", 40), "too_deep at 35"}, {"a1 626964" + strings.Repeat("c1", 40), "too_deep at 35"},

		{hex.EncodeToString([]byte(`{"id":1}`)), "syntax at 0"},
		{"a1", "syntax at 1"}, {"a1 62", "syntax at 2"}, {"a1 6269", "syntax at 3"}, {"a1 626964", "syntax at 4"}, {"a2 626964 01", "syntax at 5"},
		{"a1 626964 18", "syntax at 5"}, {"a1 626964 1901", "syntax at 6"}, {"a1 626964 fb00", "syntax at 6"}, {"a1 626964 6261", "syntax at 6"},
		{"a1 6178 6261", "syntax at 5"}, {"a1 626964 4261", "syntax at 6"}, {"a1 626964 82 01", "syntax at 6"}, {"a1 626964 c1", "syntax at 5"},
		{"a1 626964 7bffffffffffffffff", "syntax at 13"}, {"a1 626964 9bffffffffffffffff", "syntax at 13"}, {"a1 626964 bbffffffffffffffff", "syntax at 13"}, {"bbffffffffffffffff", "syntax at 9"},
		{"bf 626964 01", "syntax at 5"}, {"bf 626964 ff", "syntax at 4"}, {"a1 626964 ff", "syntax at 4"}, {"ff", "syntax at 0"}, {"a1 626964 82 01 ff", "syntax at 6"}, {"a1 6178 bf 01 ff", "syntax at 5"},
		{"a1 626964 1c", "syntax at 4"}, {"a1 626964 1f", "syntax at 4"}, {"a1 626964 3f", "syntax at 4"}, {"a1 626964 df", "syntax at 4"}, {"a1 626964 7e", "syntax at 4"}, {"a1 6178 fd", "syntax at 3"}, {"a1 7c", "syntax at 1"},
		{"a1 626964 f818", "syntax at 4"}, {"a1 6178 f81f", "syntax at 3"},
		{"a1 626964 7f 6161 4162 ff", "syntax at 7"}, {"a1 626964 7f 7f 6161 ff ff", "syntax at 5"}, {"a1 626964 5f 4161", "syntax at 7"}, {"a1 6178 7f 01 ff", "syntax at 4"},

		{"81 a1 626964 01", "not_object at 0"}, {"01", "not_object at 0"}, {"62 6964", "not_object at 0"}, {"f6", "not_object at 0"}, {"c1 a0", "not_object at 0"}, {"d9d9f7 80", "not_object at 3"}, {"d83d a1 626964 01", "not_object at 0"},

		{"a1 626964 01 a0", "trailing_data at 5"}, {"a0 00", "trailing_data at 1"}, {"bf ff ff", "trailing_data at 2"}, {"d9d9f7 a0 d9d9f7", "trailing_data at 4"},

		{"a2 626964 01 626964 02", "duplicate_name at 5"}, {"a2 626964 01 7802 6964 02", "duplicate_name at 5"}, {"a2 626964 01 7f 6169 6164 ff 02", "duplicate_name at 5"},
		{"a2 6178 01 6178 01", "duplicate_name at 4"}, {"a1 6178 81 a2 6179 01 6179 02", "duplicate_name at 8"}, {"a2 01 02 01 02", "duplicate_name at 3"}, {"a2 01 02 1801 02", "duplicate_name at 3"},
		{"a2 01 02 6131 02", "duplicate_name at 3"}, {"a2 622d31 02 20 02", "duplicate_name at 5"}, {"a1 626964 a2 60 01 60 01", "duplicate_name at 7"},

		{"a1 624944 01", "case_folded_name at 1"}, {"a2 626964 01 624964 01", "case_folded_name at 5"}, {"a1 65c389 54c389 01", "case_folded_name at 1"},

		{"a1 41 61 01", "name_type at 1"}, {"a1 f4 01", "name_type at 1"}, {"a1 f93c00 01", "name_type at 1"}, {"a1 80 01", "name_type at 1"}, {"a1 c1 01 01", "name_type at 1"}, {"a1 6178 a1 f6 01", "name_type at 4"},

		{"a1 626964 61 ff", "invalid_utf8 at 5"}, {"a1 6178 63 6161c3", "invalid_utf8 at 6"}, {"a1 63 eda080 01", "invalid_utf8 at 2"}, {"a1 626964 7f 61c3 61a9 ff", "invalid_utf8 at 6"},

		{"a1 626964 3b8000000000000000", "number_range at 4"}, {"a1 626964 c2 59 0080" + strings.Repeat("ff", 128), "number_range at 4"}, {"a1 626964 c2 59 0081" + strings.Repeat("ff", 129), "number_range at 4"}, {"a1 626964 81 3b8000000000000000", "number_range at 5"},
		{"a1 626964 81 f97e00", "nan at 5"}, {"a1 626964 c1 f97e00", "nan at 5"},
	} {
		d, _ := New("cbor", schemaOf(nil, "id", "temp", "été"))
		for _, how := range []string{"fresh", "again"} {
			if got := decodeCBOR(t, d, bin(t, c.payload)); got != c.want {
				t.Errorf("%.60s (%s): got %s, want %s", c.payload, how, got, c.want)
			}
			// A decoder knows the names of good messages.
			if got := decodeCBOR(t, d, bin(t, "a4 626964 01 6474656d70 02 6178 81a26179 01 617a 02 6179 01")); got != "int 1" {
				t.Fatal(got)
			}
		}
	}
}

// TestCBORTypes has what becomes of an item in a field of each type, as TestTypes
// has it of JSON.
func TestCBORTypes(t *testing.T) {
	const big = "18446744073709551616"
	for _, c := range []struct {
		item string
		want map[string]string // by type; what is not named is a mismatch
	}{
		{"f5", map[string]string{"any": "bool true", "bool": "bool true"}},
		{"f7", map[string]string{"any": "null null", "bool": "missing", "int": "missing", "uint": "missing", "double": "missing", "string": "missing", "timestamp": "missing", "duration": "missing", "list": "missing", "map": "missing"}},
		{"15", map[string]string{"any": "int 21", "int": "int 21", "uint": "uint 21", "double": "double 21", "string": "string 21"}},
		{"34", map[string]string{"any": "int -21", "int": "int -21", "double": "double -21", "string": "string -21"}},
		{"f94d60", map[string]string{"any": "double 21.5", "double": "double 21.5", "string": "string 21.5"}},
		{"fa41a00000", map[string]string{"any": "double 20", "int": "int 20", "uint": "uint 20", "double": "double 20", "string": "string 20"}},
		{"fb4340000000000000", map[string]string{"any": "double 9007199254740992", "double": "double 9007199254740992", "string": "string 9007199254740992"}},
		{"1b8000000000000000", map[string]string{"any": "uint 9223372036854775808", "uint": "uint 9223372036854775808", "double": "double 9223372036854776000", "string": "string 9223372036854775808"}},
		{"3b7fffffffffffffff", map[string]string{"any": "int -9223372036854775808", "int": "int -9223372036854775808", "double": "double -9223372036854776000", "string": "string -9223372036854775808"}},
		{"c2 42 0100", map[string]string{"any": "int 256", "int": "int 256", "uint": "uint 256", "double": "double 256", "string": "string 256"}},
		{"c3 43 000000", map[string]string{"any": "int -1", "int": "int -1", "double": "double -1", "string": "string -1"}},
		{"c2 49 010000000000000000", map[string]string{"": "number_range at 3", "double": "double 18446744073709552000", "string": "string " + big}},
		{"3b ffffffffffffffff", map[string]string{"": "number_range at 3", "double": "double -18446744073709552000", "string": "string -" + big}},
		{"c2 01", map[string]string{"any": "int 1", "int": "int 1", "uint": "uint 1", "double": "double 1", "string": "string 1"}},
		{"62 6f6e", map[string]string{"any": "string on", "string": "string on"}},
		{"74 323031332d30332d32315432303a30343a30305a", map[string]string{"any": "string 2013-03-21T20:04:00Z", "string": "string 2013-03-21T20:04:00Z", "timestamp": "timestamp 2013-03-21T20:04:00Z"}},
		{"c0 74 323031332d30332d32315432303a30343a30305a", map[string]string{"any": "timestamp 2013-03-21T20:04:00Z", "string": "string 2013-03-21T20:04:00Z", "timestamp": "timestamp 2013-03-21T20:04:00Z"}},
		{"c1 1a514b67b0", map[string]string{"any": "timestamp 2013-03-21T20:04:00Z", "timestamp": "timestamp 2013-03-21T20:04:00Z", "int": "int 1363896240", "uint": "uint 1363896240", "double": "double 1363896240", "string": "string 1363896240"}},
		{"c1 20", map[string]string{"any": "timestamp 1969-12-31T23:59:59Z", "timestamp": "timestamp 1969-12-31T23:59:59Z", "int": "int -1", "double": "double -1", "string": "string -1"}},
		{"c1 f9be00", map[string]string{"any": "timestamp 1969-12-31T23:59:58.5Z", "timestamp": "timestamp 1969-12-31T23:59:58.5Z", "double": "double -1.5", "string": "string -1.5"}},
		{"c1 1b00ffffffffffffff", map[string]string{"any": "int 72057594037927935", "int": "int 72057594037927935", "uint": "uint 72057594037927935", "double": "double 72057594037927940", "string": "string 72057594037927935"}},
		{"c1 1b0000000225e77380", map[string]string{"any": "int 9225859968", "int": "int 9225859968", "uint": "uint 9225859968", "double": "double 9225859968", "string": "string 9225859968"}},
		{"c0 62 6f6e", map[string]string{"any": "string on", "string": "string on"}},
		{"65 3168 33306d", map[string]string{"any": "string 1h30m", "string": "string 1h30m", "duration": "duration 1h30m"}},
		{"7f 62 3168 63 33306d ff", map[string]string{"any": "string 1h30m", "string": "string 1h30m", "duration": "duration 1h30m"}},
		{"42 6f6e", map[string]string{"any": `bytes "b24="`}},
		{"83 01 6161 80", map[string]string{"any": `list [1,"a",[]]`, "list": `list [1,"a",[]]`}},
		{"a2 6178 a1 6179 f93e00 20 f6", map[string]string{"any": `map {"x":{"y":1.5},"-1":null}`, "map": `map {"x":{"y":1.5},"-1":null}`}},
	} {
		for typ := event.TypeAny; typ <= event.TypeMap; typ++ {
			d, _ := New("cbor", schemaOf([]event.Field{{Name: "f", Type: typ}}, "f"))
			want, ok := c.want[typ.String()]
			if !ok {
				want = "mismatch"
				if rejected := c.want[""]; rejected != "" {
					want = rejected
				}
			}
			if got := decodeCBOR(t, d, bin(t, "a1 6166"+c.item)); got != want {
				t.Errorf("%s as %s: got %s, want %s", c.item, typ, got, want)
			}
		}
	}
}

// Integers as keys are names by their decimal text, however they are written.
func TestCBORIntegerKeys(t *testing.T) {
	for key, name := range map[string]string{
		"01": "1", "1801": "1", "6131": "1", "1a000f4240": "1000000", "1bffffffffffffffff": "18446744073709551615",
		"20": "-1", "3863": "-100", "3bffffffffffffffff": "-18446744073709551616",
	} {
		d, _ := New("cbor", schemaOf([]event.Field{{Name: name, Type: event.TypeDouble}}, name))
		for range 2 {
			if got := decodeCBOR(t, d, bin(t, "a1"+key+"fb4051d00000000000")); got != "double 71.25" {
				t.Errorf("%s is not %s: got %s", key, name, got)
			}
		}
	}
}

// What is not used may hold what no event can.
func TestCBORTolerance(t *testing.T) {
	d, _ := New("cbor", schemaOf(nil, "temp"))
	for _, payload := range []string{
		"a2 6178 f97e00 6474656d70 01", "a2 6178 3bffffffffffffffff 6474656d70 01", "a2 6178 c0 01 6474656d70 01", "a2 6178 a1 6454454d50 01 6474656d70 01",
		"d9d9f7 d9d9f7 a1 6474656d70 c6 c7 01", "bf 7f 6274656 26d70 ff 1b0000000000000001 ff",
	} {
		if got := decodeCBOR(t, d, bin(t, payload)); got != "int 1" {
			t.Errorf("%s: got %s", payload, got)
		}
	}
}

// What the topic tells, the payload does not.
func TestCBORCaptured(t *testing.T) {
	d, err := New("cbor", schemaOf(nil, "device", "temp"), "device")
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{Slots: []event.Value{event.String("p1"), event.Int(9)}}
	for _, payload := range []string{"a2 66646576696365 627032 6474656d70 02", "a1 6474656d70 02"} {
		if _, err := d.Decode(bin(t, payload), &e); err != nil || e.Slots[0].Text() != "p1" || e.Slots[1].Text() != "2" {
			t.Errorf("got %v, %v", e.Slots, err)
		}
	}
	if _, err := d.Decode(bin(t, "a0"), &e); err != nil || e.Slots[0].Text() != "p1" || !e.Slots[1].IsMissing() {
		t.Errorf("got %v, %v", e.Slots, err)
	}
}

// TestJSONOfPayloads shows payloads to those who read JSON.
func TestJSONOfPayloads(t *testing.T) {
	for _, c := range []struct{ payload, want string }{
		{"a3 66646576696365 627031 01 4401020304 6474696d65 c11a514b67b0", `{"device":"p1","1":"AQIDBA==","time":"2013-03-21T20:04:00Z"}`},
		{"d9d9f7 bf 6178 f97e00 6179 f9fc00 617a c249010000000000000000 617b 3bffffffffffffffff ff", `{"x":"NaN","y":"-Infinity","z":"18446744073709551616","{":"-18446744073709551616"}`},
	} {
		if got := string(JSON(bin(t, c.payload))); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	for _, other := range []string{`{"a":1}`, `{"x y=1":2}`, `"x y=1"`, "x y", "x y=z", "", "20.5", "é", "\xa1", "\xa1\x61x\x01\x00", "\xd9\xd9\xf7\x01"} {
		if got := string(JSON([]byte(other))); got != other {
			t.Errorf("%q became %q", other, got)
		}
	}
	const line, object = `weather,location=oslo temperature=-3.5,sky="grey" 5`, `{"measurement":"weather","location":"oslo","temperature":-3.5,"sky":"grey","timestamp":5}`
	if got := string(JSON([]byte(line))); got != object {
		t.Errorf("got %s, want %s", got, object)
	}
	if got, err := Object([]byte(line)); err != nil || string(event.AppendObject(nil, got)) != object {
		t.Errorf("got %s, %v, want %s", event.AppendObject(nil, got), err, object)
	}
	for payload, want := range map[string]Reason{"d9d9f7 01": ReasonNotObject, "a0 00": ReasonTrailingData, "a1": ReasonSyntax} {
		var reject *Error
		if _, err := Object(bin(t, payload)); !errors.As(err, &reject) || reject.Reason != want {
			t.Errorf("%s: got %v, want %s", payload, err, want)
		}
	}
}

func TestCutCBOR(t *testing.T) {
	sequence := bin(t, "a1 6178 01 d9d9f7a0 9f01ff 61")
	for _, want := range []string{"a1617801", "d9d9f7a0", "9f01ff"} {
		item, rest, err := CutCBOR(sequence)
		if err != nil || hex.EncodeToString(item) != want || !bytes.Equal(sequence, append(bytes.Clone(item), rest...)) {
			t.Fatalf("got %x and %x, %v; want %s", item, rest, err, want)
		}
		sequence = rest
	}
	if _, _, err := CutCBOR(sequence); err == nil {
		t.Error("half an item is one")
	}
}

// readingCBOR is the reading of the benchmarks in CBOR: 174 bytes.
func readingCBOR(t testing.TB) []byte { return toCBOR(t, []byte(reading)) }

// Messages that look alike cost no allocation, whatever order or mixture they
// come in.
func TestCBORNoAllocations(t *testing.T) {
	payloads := [][]byte{
		readingCBOR(t),
		bin(t, "a2 66737461747573 626f6e 66646576696365 627031"),
		bin(t, "a3 66646576696365 627031 0a 01 666e6573746564 a2 6161 83 01 02 a1 6162 6163 6164 f6"),
		bin(t, "bf 6b74656d7065726174757265 c1 fa41ac0000 39ffff 01 ff"),
	}
	for i := range 40 { // more shapes than the trie has room for at one place
		payloads = append(payloads, toCBOR(t, fmt.Appendf(nil, `{"device":"p1","x%d":{"y%d":1},"temperature":2}`, i, i)))
	}
	d, _ := New("cbor", schemaOf(nil, "device", "temperature", "status"))
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

func BenchmarkDecodeCBOR(b *testing.B) {
	payload := readingCBOR(b)
	for _, bench := range []struct {
		name     string
		declared []event.Field
		used     []string
	}{
		{"three", readingFields, []string{"device", "temperature", "status"}},
		{"three_dynamic", nil, []string{"device", "temperature", "status"}},
		{"three_with_time", readingFields, []string{"ts", "device", "temperature"}},
		{"none", readingFields, nil},
		{"all", readingFields, []string{"ts", "msg_id", "site", "device", "temperature", "vibration", "status", "fw"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			d, err := New("cbor", schemaOf(bench.declared, bench.used...))
			if err != nil {
				b.Fatal(err)
			}
			var e event.Event
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(payload, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("fxamacker_struct", func(b *testing.B) {
		b.SetBytes(int64(len(payload)))
		b.ReportAllocs()
		for b.Loop() {
			var r struct {
				Device      string  `json:"device"`
				Temperature float64 `json:"temperature"`
				Status      string  `json:"status"`
			}
			if err := cbor.Unmarshal(payload, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
