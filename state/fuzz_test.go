package state

import (
	"bytes"
	"testing"
)

// FuzzRow reads any bytes as a stored row: as what was written, or not at all.
func FuzzRow(f *testing.F) {
	name := []byte("row \x00 of\x00\x00 a rule")
	parts, err := split([]byte("a value"))
	if err != nil {
		f.Fatal(err)
	}
	for i, content := range append(parts, []byte{partGone}) {
		key := versionKey(partPrefix(rowPrefix(name), i), uint64(7+i))
		f.Add(key, seal(key, content))
	}
	f.Add([]byte("r"), []byte{})
	f.Add([]byte("r\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), []byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		v := readStored(key, value)
		if v.name != nil {
			if again := versionKey(partPrefix(rowPrefix(v.name), v.rowKey.part), v.epoch); !bytes.Equal(again, key) {
				t.Errorf("key %x is read as that of row %q, whose key is %x", key, v.name, again)
			}
		}
		if v.intact && !bytes.Equal(seal(key, v.content), value) {
			t.Errorf("value %x is taken for intact", value)
		}
	})
}

// FuzzHead reads any text as a head.
func FuzzHead(f *testing.F) {
	h := head{Format: Format, Opened: true, Epochs: []Marker{{Epoch: 3, Base: 1, Log: "log", RuleSet: "rules", Encoding: 1, Semantics: 1, Rows: 5, Sum: Sum{1, 2}}}}
	f.Add(h.encode())
	f.Add([]byte("{}\ncrc32c 00000000\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o := plenty()
		got, err := decodeHead(text, &o)
		if err != nil {
			return
		}
		if again, err := decodeHead(got.encode(), &o); err != nil || len(again.Epochs) != len(got.Epochs) {
			t.Errorf("what was read does not read back: %v", err)
		}
	})
}

// FuzzMarker reads any bytes as a marker.
func FuzzMarker(f *testing.F) {
	m := Marker{Epoch: 3, Base: 1, Log: "log", RuleSet: "rules", Rows: 5, Sum: Sum{1 << 63, 2}}
	f.Add(markerKey(3), encodeMarker(&m))
	f.Add(markerKey(4), encodeMarker(&m))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		got, err := decodeMarker(key, value)
		if err != nil {
			return
		}
		if again, err := decodeMarker(markerKey(got.Epoch), encodeMarker(got)); err != nil || *again != *got {
			t.Errorf("what was read does not read back: %+v, %v", got, err)
		}
	})
}
