package engine

import (
	"math"
	"math/bits"

	"github.com/cepd/cepd/event"
)

// constants is a table of numbers that are filed under constants of guards, texts
// and whole numbers. What decides mostly lies in the table itself: eight bytes of
// a text, see [event.Value.Word], so that only longer ones are compared elsewhere
// in memory.
type constants struct {
	slots []constant // a power of two, of which a third at least is empty; nil for none
	shift int        // of a hash, to have as many bits as numbers of slots
	used  int
}

// constant is a slot of the table.
type constant struct {
	value event.Value // a text or an int; missing in an empty slot
	word  uint64
	filed int32
}

// at returns the slot of a text or an int: an empty one where it is not in the
// table, which must have some.
func (t *constants) at(v event.Value, word uint64) *constant {
	mask := uint64(len(t.slots) - 1)
	// Multiplied by the golden ratio, words that differ in few bits are apart.
	for i := (word + uint64(v.Len())) * 0x9e3779b97f4a7c15 >> t.shift; ; i++ {
		if c := &t.slots[i&mask]; c.value.IsMissing() || c.word == word && c.is(v) {
			return c
		}
	}
}

// is reports whether the constant is a value of the same word.
func (c *constant) is(v event.Value) bool {
	if !v.Is(event.KindString) {
		return c.value == v
	}
	return c.value.Is(event.KindString) && c.value.Len() == v.Len() && (v.Len() <= 8 || c.value.AsString() == v.AsString())
}

// wordOf returns the word of a text or an int.
func wordOf(v event.Value) uint64 {
	if v.Is(event.KindString) {
		return v.Word()
	}
	return v.AsUint()
}

// file returns where to put what is filed under a text or an int; 0 stands there
// as yet if nothing is.
func (t *constants) file(v event.Value) *int32 {
	if 3*(t.used+1) > 2*len(t.slots) {
		t.grow()
	}
	word := wordOf(v)
	c := t.at(v, word)
	if c.value.IsMissing() {
		*c = constant{value: v, word: word}
		t.used++
	}
	return &c.filed
}

func (t *constants) grow() {
	old := t.slots
	t.slots = make([]constant, max(8, 2*len(old)))
	t.shift = 64 - bits.TrailingZeros(uint(len(t.slots)))
	for _, c := range old {
		if !c.value.IsMissing() {
			*t.at(c.value, c.word) = c
		}
	}
}

// find returns what is filed under the constants that a value equals, 0 for
// nothing, and false for a value of another kind, which says nothing.
func (t *constants) find(v event.Value) (filed int32, ok bool) {
	switch v.Kind() {
	case event.KindString, event.KindInt:
	case event.KindUint:
		u := v.AsUint()
		if u > math.MaxInt64 {
			return 0, true
		}
		v = event.Int(int64(u))
	case event.KindDouble:
		d := v.AsDouble()
		if d != math.Trunc(d) || d < math.MinInt64 || d >= math.MaxInt64 {
			return 0, true
		}
		v = event.Int(int64(d))
	default:
		return 0, false
	}
	if t.slots == nil {
		return 0, true
	}
	return t.at(v, wordOf(v)).filed, true
}
