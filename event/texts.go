package event

// Texts gives equal short texts one copy, as far as it remembers them: the
// texts that rules keep of events are often the same few, such as "running". The
// zero Texts is ready for use, by one goroutine.
type Texts struct {
	known [256]knownText
}

// knownText is a text, and what tells it from most others: a short one from all of
// its length.
type knownText struct {
	text Value
	word uint64
}

// maxShared is the length of texts that are remembered. Together they take at
// most 8 kB.
const maxShared = 32

// clone returns a copy of a text, which may be shared.
func (t *Texts) clone(v Value) Value {
	n := v.Len()
	if n == 0 || n > maxShared {
		return v.Clone()
	}
	// Texts that differ in their ends or their length mostly have places of their
	// own. Those that do not take turns. Multiplied by the golden ratio, words that
	// differ in few bits are apart.
	word := v.Word()
	known := &t.known[(word+uint64(n))*0x9e3779b97f4a7c15>>(64-8)]
	if known.word != word || known.text.Len() != n || n > 8 && known.text.AsString() != v.AsString() {
		*known = knownText{v.Clone(), word}
	}
	return known.text
}

// keep returns v, sharing no memory with a payload.
func (t *Texts) keep(v Value) Value {
	switch v.Kind() {
	case KindString:
		return t.clone(v)
	case KindBytes, KindList, KindMap:
		return v.Clone()
	}
	return v
}
