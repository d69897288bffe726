package event

import "strings"

// Texts gives equal short texts one copy, as far as it remembers them: the
// texts that rules keep of events are often the same few, such as "running". The
// zero Texts is ready for use, by one goroutine.
type Texts struct {
	known [256]string
}

// maxShared is the length of texts that are remembered. Together they take at
// most 8 kB.
const maxShared = 32

// clone returns a copy of s, which may be shared.
func (t *Texts) clone(s string) string {
	if len(s) == 0 || len(s) > maxShared {
		return strings.Clone(s)
	}
	// Texts that differ in their ends or their length mostly have places of their
	// own. Those that do not take turns.
	known := &t.known[(len(s)+31*int(s[0])+7*int(s[len(s)/2])+int(s[len(s)-1]))%len(t.known)]
	if *known != s {
		*known = strings.Clone(s)
	}
	return *known
}

// keep returns v, sharing no memory with a payload.
func (t *Texts) keep(v Value) Value {
	if v.Kind() == KindString {
		return String(t.clone(v.AsString()))
	}
	return v.Clone()
}
