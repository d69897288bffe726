package decode

import (
	"bytes"
	"cmp"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cepd/cepd/event"
)

// The oracle of CBOR decodes the slow and obvious way: by the library of
// fxamacker, one level after the other.

var strictCBOR = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 65535, MaxArrayElements: 2147483647, MaxMapPairs: 2147483647,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// toCBOR returns a JSON object in CBOR, with its names in the same order.
func toCBOR(t testing.TB, payload []byte) []byte {
	t.Helper()
	entries, err := Object(payload)
	if err != nil {
		t.Fatal(err)
	}
	return appendCBOR(t, nil, event.Map(entries))
}

func appendCBOR(t testing.TB, dst []byte, v event.Value) []byte {
	t.Helper()
	var plain any
	switch v.Kind() {
	case event.KindMap:
		dst = append(dst, cborMap<<5|cborOpen)
		for _, e := range v.AsMap() {
			dst = appendCBOR(t, appendCBOR(t, dst, event.String(e.Name)), e.Value)
		}
		return append(dst, cborBreak)
	case event.KindList:
		dst = append(dst, cborList<<5|cborOpen)
		for _, e := range v.AsList() {
			dst = appendCBOR(t, dst, e)
		}
		return append(dst, cborBreak)
	case event.KindBool:
		plain = v.AsBool()
	case event.KindInt:
		plain = v.AsInt()
	case event.KindUint:
		plain = v.AsUint()
	case event.KindDouble:
		plain = v.AsDouble()
	case event.KindString:
		plain = v.AsString()
	}
	b, err := cbor.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	return append(dst, b...)
}

// oracleCBOR returns what a payload decodes to.
func oracleCBOR(payload []byte, schema *event.Schema) (slots []event.Value, mismatched int, err error) {
	if err := strictCBOR.Wellformed(payload); err != nil || len(payload) > MaxPayload {
		return nil, 0, cmp.Or(err, errOracle)
	}
	raw := cbor.RawMessage(payload)
	for bytes.HasPrefix(raw, []byte{0xd9, 0xd9, 0xf7}) {
		raw = raw[3:]
	}
	if raw[0]>>5 != cborMap || !goodCBOR(raw, 0) {
		return nil, 0, errOracle
	}
	slots = make([]event.Value, len(schema.Fields()))
	for name, item := range cborMembers(raw) {
		for i, f := range schema.Fields() {
			if f.Name != name && strings.EqualFold(f.Name, name) && !slices.ContainsFunc(schema.Fields(), func(f event.Field) bool { return f.Name == name }) {
				return nil, 0, errOracle
			}
			if f.Name != name {
				continue
			}
			v, good := oracleItem(item, f.Type)
			if !good {
				return nil, 0, errOracle
			}
			ok := v.Kind() == event.KindTime
			if !ok {
				v, ok, good = oracleField(oracleEntry{value: v, good: true, raw: literalOf(v)}, f.Type)
			}
			if !good {
				return nil, 0, errOracle
			}
			slots[i] = v
			if !ok {
				mismatched++
			}
		}
	}
	return slots, mismatched, nil
}

// literalOf returns a number as the oracle of JSON wants it.
func literalOf(v event.Value) []byte {
	if _, ok := v.Number(); ok {
		return v.AppendJSON(nil)
	}
	return []byte("null")
}

// goodCBOR checks what is well-formed and still no message.
func goodCBOR(raw cbor.RawMessage, depth int) bool {
	switch kind := raw[0] >> 5; kind {
	case cborText:
		var s string
		return strictCBOR.Unmarshal(raw, &s) == nil
	case cborList:
		return depth < MaxDepth && !slices.ContainsFunc(itemsIn(raw), func(i cbor.RawMessage) bool { return !goodCBOR(i, depth+1) })
	case cborTag:
		return depth < MaxDepth && goodCBOR(itemsIn(raw)[0], depth+1)
	case cborMap:
		members := cborMembers(raw)
		if depth >= MaxDepth || members == nil {
			return false
		}
		for _, item := range members {
			if !goodCBOR(item, depth+1) {
				return false
			}
		}
	}
	return true
}

// cborMembers returns the items of a map by their names, nil if it has none that
// can be.
func cborMembers(raw cbor.RawMessage) map[string]cbor.RawMessage {
	out := map[string]cbor.RawMessage{}
	for pair := range slices.Chunk(itemsIn(raw), 2) {
		var key any
		if pair[0][0]>>5 > cborText || strictCBOR.Unmarshal(pair[0], &key) != nil {
			return nil
		}
		name := ""
		switch key := key.(type) {
		case string:
			name = key
		case uint64:
			name = strconv.FormatUint(key, 10)
		case int64:
			name = strconv.FormatInt(key, 10)
		case big.Int:
			name = key.String()
		default:
			return nil
		}
		if out[name] != nil {
			return nil
		}
		out[name] = pair[1]
	}
	return out
}

// itemsIn returns the items in a list, a map or a tag that is well-formed. The
// library's own types would look at what some tags are for.
func itemsIn(raw cbor.RawMessage) (items []cbor.RawMessage) {
	head := 1
	if info := raw[0] & 31; info >= 24 && info < 28 {
		head += 1 << (info - 24)
	}
	for rest := raw[head:]; len(rest) > 0 && rest[0] != 0xff; {
		d := strictCBOR.NewDecoder(bytes.NewReader(rest))
		if err := d.Skip(); err != nil {
			panic(err)
		}
		n := d.NumBytesRead()
		items, rest = append(items, rest[:n]), rest[n:]
	}
	return items
}

// oracleItem returns an item as a value, and false where it is a number that no
// event holds in a field of that type.
func oracleItem(raw cbor.RawMessage, t event.Type) (event.Value, bool) {
	switch raw[0] >> 5 {
	case cborUint, cborNegative:
		var n big.Int
		if strictCBOR.Unmarshal(raw, &n) != nil {
			return event.Missing, false
		}
		return oracleBig(&n, t)
	case cborBytes:
		var b []byte
		err := strictCBOR.Unmarshal(raw, &b)
		return event.Bytes(b), err == nil
	case cborText:
		var s string
		err := strictCBOR.Unmarshal(raw, &s)
		return event.String(s), err == nil
	case cborList:
		var vs []event.Value
		good := true
		for _, item := range itemsIn(raw) {
			v, ok := oracleItem(item, event.TypeAny)
			vs, good = append(vs, v), good && ok
		}
		return event.List(vs), good
	case cborMap:
		var es []event.Entry
		good := true
		for name, item := range cborMembers(raw) {
			v, ok := oracleItem(item, event.TypeAny)
			es, good = append(es, event.Entry{Name: name, Value: v}), good && ok
		}
		return event.Map(es), good
	case cborTag:
		return oracleTag(raw, t)
	}
	if raw[0] == 0xf4 || raw[0] == 0xf5 {
		return event.Bool(raw[0] == 0xf5), true
	}
	if raw[0] < 0xf9 || raw[0] > 0xfb {
		return event.Null, true
	}
	var f float64
	err := strictCBOR.Unmarshal(raw, &f)
	return event.Double(f), err == nil && f-f == 0
}

func oracleTag(raw cbor.RawMessage, t event.Type) (event.Value, bool) {
	content := itemsIn(raw)[0]
	v, good := oracleItem(content, t)
	if !good {
		return v, false
	}
	tag := new(big.Int).SetBytes(raw[1 : len(raw)-len(content)]).Uint64() // where it is not small
	if raw[0]&31 < 24 {
		tag = uint64(raw[0] & 31)
	}
	switch k := v.Kind(); {
	case tag == 0 && k == event.KindString && t == event.TypeAny:
		if at, err := event.ParseTime(v.AsString()); err == nil {
			return event.Timestamp(at), true
		}
	case tag == 1 && (t == event.TypeAny || t == event.TypeTimestamp):
		f, ok := v.Number()
		if !ok || f < -1e11 || f > 1e11 {
			return v, true
		}
		// To the nanosecond nearest to the number, in exact arithmetic.
		ns := new(big.Float).SetPrec(200).Mul(big.NewFloat(f), big.NewFloat(1e9))
		half := big.NewFloat(0.5)
		if f < 0 {
			half.Neg(half)
		}
		whole, _ := ns.Add(ns, half).Int(nil)
		s, n := new(big.Int).DivMod(whole, big.NewInt(1e9), new(big.Int))
		if at, err := event.FromTime(time.Unix(s.Int64(), n.Int64())); err == nil {
			return event.Timestamp(at), true
		}
	case (tag == 2 || tag == 3) && k == event.KindBytes:
		n := new(big.Int).SetBytes(v.AsBytes())
		if tag == 3 {
			n.Sub(big.NewInt(-1), n)
		}
		if len(n.Bytes()) > maxBig { // neither a double, nor sensibly a text
			return event.Missing, false
		}
		return oracleBig(n, t)
	}
	return v, true
}

func oracleBig(n *big.Int, t event.Type) (event.Value, bool) {
	text := n.String()
	if v, ok := oracleNumber(text); ok {
		return v, true
	}
	switch t {
	case event.TypeDouble:
		f, err := strconv.ParseFloat(text, 64)
		return event.Double(f), err == nil
	case event.TypeString:
		return event.String(text), true
	}
	return event.Missing, false
}

// sorted returns v with the entries of maps in the order of their names, which
// the oracle does not keep.
func sorted(v event.Value) event.Value {
	switch v.Kind() {
	case event.KindList:
		var vs []event.Value
		for _, e := range v.AsList() {
			vs = append(vs, sorted(e))
		}
		return event.List(vs)
	case event.KindMap:
		var es []event.Entry
		for _, e := range v.AsMap() {
			es = append(es, event.Entry{Name: e.Name, Value: sorted(e.Value)})
		}
		slices.SortFunc(es, func(a, b event.Entry) int { return cmp.Compare(a.Name, b.Name) })
		return event.Map(es)
	}
	return v
}

// checkCBOR decodes payload with d and compares.
func checkCBOR(t *testing.T, d Decoder, schema *event.Schema, payload []byte) {
	t.Helper()
	want, wantMissed, wantErr := oracleCBOR(payload, schema)
	e := event.Event{Slots: make([]event.Value, 20)}
	for i := range e.Slots { // of the last event
		e.Slots[i] = event.String("stale")
	}
	missed, err := d.Decode(payload, &e)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("%x: got error %v, the oracle has %v", payload, err, wantErr)
	}
	if err != nil {
		var reject *Error
		if !errors.As(err, &reject) || reject.Offset < 0 || reject.Offset > len(payload) || reject.Message == "" {
			t.Fatalf("%x: bad error %v", payload, err)
		}
		return
	}
	if missed != wantMissed {
		t.Errorf("%x: %d mismatched, the oracle has %d", payload, missed, wantMissed)
	}
	for i := range want {
		if !same(sorted(e.Slots[i]), sorted(want[i])) {
			t.Errorf("%x: field %s: got %s %s, the oracle has %s %s", payload, schema.Fields()[i].Name,
				e.Slots[i].Kind(), e.Slots[i].Text(), want[i].Kind(), want[i].Text())
		}
	}
	if entries, err := Object(payload); err != nil && IsCBOR(payload) {
		t.Errorf("%x: as a whole: %v %v", payload, entries, err)
	}
}

// cborSeeds are items; each stands alone, and as the value of a field of each
// type.
var cborSeeds = []string{
	"00", "1818", "1bffffffffffffffff", "3b7fffffffffffffff", "3b8000000000000000", "3bffffffffffffffff", "f93e00", "f90001", "fa3dcccccd", "fb3fb999999999999a", "fb4340000000000000", "f97e00", "fa7f800000",
	"f4", "f5", "f6", "f7", "e0", "f8ff", "f810", "fc", "1c", "ff", "61", "61ff", "6161", "62c3a9", "7f6161", "7f6161ff", "7f61614161ff", "7f61c361a9ff", "5f4161ff", "4161", "40",
	"c074323031332d30332d32315432303a30343a30305a", "c11a514b67b0", "c1fb41d452d9ec200000", "c1f97e00", "c16161", "c2420100", "c249010000000000000000", "c349010000000000000000", "c201", "d9d9f701", "c6c701", "d8", "653168 33306d",
	"80", "820102", "9f0102ff", "9f01", "8201", "a0", "a1616101", "a26161016161 02", "a201026131 03", "a1414101", "a1f401", "bf6161 01 6162 02ff", "bf6161ff", "a1 6161 a1 6162 a1 6163 01", "a120 a139ffff 3bffffffffffffffff",
	"bbffffffffffffffff", "9bffffffffffffffff", "7bffffffffffffffff",
}

func TestCBOROracle(t *testing.T) {
	schema := schemaOf(oracleFields, "b", "i", "u", "d", "s", "t", "p", "l", "m", "a", "K", "été")
	taught, _ := New("cbor", schema)
	for range 2 {
		for _, seed := range cborSeeds {
			item := bin(t, seed)
			checkCBOR(t, taught, schema, item)
			for _, f := range append(oracleFields, event.Field{Name: "x"}, event.Field{Name: "k"}) {
				key := appendCBOR(t, nil, event.String(f.Name))
				for _, payload := range [][]byte{
					slices.Concat([]byte{0xa1}, key, item),
					slices.Concat([]byte{0xbf}, key, item, []byte{0xff}),
					slices.Concat([]byte{0xd9, 0xd9, 0xf7, 0xa2, 0x01, 0x02}, key, item),
					slices.Concat([]byte{0xa1}, key, []byte{0x81, 0xa1, 0x61, 'y'}, item),
				} {
					checkCBOR(t, taught, schema, payload)
					fresh, _ := New("cbor", schema)
					checkCBOR(t, fresh, schema, payload)
					for end := range payload {
						checkCBOR(t, taught, schema, payload[:end])
					}
				}
			}
		}
	}
	for _, n := range []int{30, 31, 32} {
		for _, open := range []string{"81", "c1", "9f", "a16178"} {
			checkCBOR(t, taught, schema, bin(t, "a16161"+strings.Repeat(open, n)+"01"+strings.Repeat("ff", n*strings.Count(open, "9f"))))
		}
	}
}

// A message says the same in JSON and in CBOR, in every bit.
func TestCBORAsJSON(t *testing.T) {
	schema := schemaOf(oracleFields, "b", "i", "u", "d", "s", "t", "p", "l", "m", "a", "K", "été")
	inJSON, _ := New("json", schema)
	inCBOR, _ := New("cbor", schema)
	compared := 0
	for _, payload := range append(oracleSeeds, `{"a":[1,{"x":[],"y":{}},null,"z",-1.5e300],"m":{"l":[1]},"l":[[]],"s":"é😀"}`) {
		if strings.Contains(payload, `"s":1e3`) || strings.Contains(payload, `"d":-0`) { // numbers have no text of their own in CBOR
			continue
		}
		var e, f event.Event
		missed, err := inJSON.Decode([]byte(payload), &e)
		if entries, bad := Object([]byte(payload)); err != nil || bad != nil || len(entries) == 0 {
			continue
		}
		again, err := inCBOR.Decode(toCBOR(t, []byte(payload)), &f)
		if err != nil || missed != again {
			t.Errorf("%s: %d mismatched, in CBOR %d %v", payload, missed, again, err)
		}
		for i := range e.Slots {
			if !same(e.Slots[i], f.Slots[i]) {
				t.Errorf("%s: field %d is %s, in CBOR %s", payload, i, e.Slots[i].Text(), f.Slots[i].Text())
			}
		}
		compared++
	}
	if compared < 20 {
		t.Errorf("%d messages compared", compared)
	}
}

// Maps of many names are checked without the trie.
func TestCBORManyNames(t *testing.T) {
	schema := schemaOf(nil, "a", "n7")
	object := func(n int, last string) []byte {
		b := []byte{0xbf}
		for i := range n {
			b = appendCBOR(t, appendCBOR(t, b, event.String("n"+strconv.Itoa(i))), event.Int(int64(i)))
		}
		return append(appendCBOR(t, appendCBOR(t, b, event.String(last)), event.Int(0)), 0xff)
	}
	for _, n := range []int{10, manyNames, maxPath - 1, maxPath, maxPath + 1, 1200} {
		d, _ := New("cbor", schema)
		for _, last := range []string{"z", "n0", "n9", "n" + strconv.Itoa(n-1), "N7", strings.Repeat("long", 30)} {
			for range 2 {
				checkCBOR(t, d, schema, object(n, last))
				checkCBOR(t, d, schema, slices.Concat([]byte{0xa2, 0x61, 'x'}, object(n, "z"), []byte{0x61, 'a', 0x82}, object(n, "y"), object(n, last)))
			}
		}
	}
}

// FuzzCBOR decodes payloads one after the other with one decoder, which learns
// from each.
func FuzzCBOR(f *testing.F) {
	for i, seed := range cborSeeds {
		name := oracleFields[i%len(oracleFields)].Name
		item := append(appendCBOR(f, []byte{0xa1}, event.String(name)), bin(f, seed)...)
		f.Add(item, bin(f, cborSeeds[(i+7)%len(cborSeeds)]))
	}
	f.Add(readingCBOR(f), []byte{0xa0})
	schema := schemaOf(oracleFields, "b", "i", "u", "d", "s", "t", "p", "l", "m", "a", "K", "été")
	f.Fuzz(func(t *testing.T, a, b []byte) {
		d, _ := New("cbor", schema)
		for _, payload := range [][]byte{a, b, a, b} {
			checkCBOR(t, d, schema, payload)
		}
		if item, rest, err := CutCBOR(a); err == nil && !bytes.Equal(slices.Concat(item, rest), a) {
			t.Errorf("%x was cut to %x and %x", a, item, rest)
		}
	})
}
