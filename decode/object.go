package decode

import (
	"math/bits"
	"unicode/utf8"

	"github.com/cepd/cepd/event"
)

// fields are the fields that the object at the top is searched for.
type fields struct {
	slots  map[string]int      // by name
	folded map[string]struct{} // their names, by foldName
	types  []event.Type        // by slot
	own    []bool              // by slot: not captured, so ours to fill
	others bool                // some slot is captured
	ours   uint64              // the slots that are ours, as a set, where there are 64 at most
	shapes uint64              // of their names, as a set
	buf    []byte
}

func newFields(schema *event.Schema, captured []string) *fields {
	all := schema.Fields()
	f := &fields{
		slots:  make(map[string]int, len(all)),
		folded: make(map[string]struct{}, len(all)),
		types:  make([]event.Type, len(all)),
		own:    make([]bool, len(all)),
	}
	for i, field := range all {
		f.types[i], f.own[i] = field.Type, true
		f.slots[field.Name] = i
	}
	for _, name := range captured {
		if i, ok := f.slots[name]; ok {
			f.own[i], f.others = false, true
			delete(f.slots, name)
		}
	}
	for name := range f.slots {
		folded := string(foldName(nil, name))
		f.folded[folded] = struct{}{}
		f.shapes |= 1 << shape(folded)
	}
	for i, own := range f.own {
		if own && !f.many() {
			f.ours |= bit(i)
		}
	}
	return f
}

// many reports whether there are more slots than a set of them holds.
func (f *fields) many() bool { return len(f.types) > 64 }

// slot returns the slot of a name, -1 where it has none. The name is not well
// chosen if it differs from a field's name in case only.
func (f *fields) slot(name string) (slot int, ok bool) {
	if f.shapes>>shape(name)&1 == 0 && isASCII(name) {
		return -1, true
	}
	if i, found := f.slots[name]; found {
		return i, true
	}
	f.buf = foldName(f.buf[:0], name)
	_, clash := f.folded[string(f.buf)]
	return -1, !clash
}

// shape returns a number below 64, which is the same for names in ASCII that
// differ in case only.
func shape(name string) uint {
	n := len(name)
	if n == 0 {
		return 0
	}
	return (uint(n) + 3*uint(name[0]&^0x20) + 5*uint(name[n-1]&^0x20)) & 63
}

func isASCII(name string) bool {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// clear makes the slots of e that the decoder fills missing.
func (f *fields) clear(e *event.Event) {
	f.room(e)
	if !f.others {
		clear(e.Slots)
		return
	}
	for i, own := range f.own {
		if own {
			e.Slots[i] = event.Missing
		}
	}
}

// room sees to it that e has a slot for each field.
func (f *fields) room(e *event.Event) {
	n := len(f.types)
	if cap(e.Slots) < n {
		e.Slots = append(make([]event.Value, 0, n), e.Slots...)
	}
	if len(e.Slots) < n {
		old := len(e.Slots)
		e.Slots = e.Slots[:n]
		clear(e.Slots[old:])
	}
	e.Slots = e.Slots[:n]
}

// clearRest makes the slots missing that are ours and not in filled.
func (f *fields) clearRest(slots []event.Value, filled uint64) {
	for rest := f.ours &^ filled; rest != 0; rest &= rest - 1 {
		slots[bits.TrailingZeros64(rest)] = event.Missing
	}
}

// object is an object that is being read.
type object struct {
	at    *node // the last name in the trie; nil if the trie lacks one
	slot  int   // of the last name, at the top; else -1
	top   bool
	begun bool   // a name has been read
	plain bool   // the last name has no escapes
	start int    // of the last name
	end   int    // of the last name
	base  int    // of its names in names.list, if at is nil
	count int    // how many those are
	id    uint32 // of its names in names.table, once they are many
}

// open begins the object that is the value of the name at.
func (s *scanner) open(at *node) object {
	return object{at: s.trie.inner(at), slot: -1, base: len(s.seen.list)}
}

// close ends an object.
func (s *scanner) close(o *object) {
	if o.at == nil {
		s.seen.list = s.seen.list[:o.base]
	}
}

// member reads what leads from a value of o to the next one; to the first from
// before the opening bracket. It returns where that begins, or the offset behind
// the closing bracket and no more.
func (s *scanner) member(p int, o *object) (next int, more bool) {
	n, value := o.at.predict(s.b, p)
	if value == 0 {
		return s.anyMember(p, o)
	}
	o.at, o.slot = n, int(n.slot)
	o.begun, o.plain, o.start = true, true, p+int(n.lead.name)
	o.end = o.start + len(n.name)
	return s.space(value), true
}

// anyMember is member for whatever the trie does not predict.
func (s *scanner) anyMember(p int, o *object) (next int, more bool) {
	begin := p
	if o.begun {
		if p, more = s.comma(p, '}'); !more {
			return p, false
		}
	} else if p = s.space(s.space(p) + 1); p < len(s.b) && s.b[p] == '}' {
		return p + 1, false
	}
	o.begun = true
	if p = s.name(p, o); p < 0 {
		return -1, false
	}
	if o.at != nil {
		o.at.lead.learn(s.b[begin:p], o.start-begin)
	}
	return p, true
}

// name reads a name of o and the colon behind it.
func (s *scanner) name(p int, o *object) int {
	if p >= len(s.b) || s.b[p] != '"' {
		return s.unexpected(p, "a name in quotes")
	}
	p++
	o.start, o.plain = p, true
	if o.at, o.end = o.at.follow(s.b, p); o.end == 0 {
		if o.end = s.newName(p, o); o.end < 0 {
			return -1
		}
	} else {
		o.slot = int(o.at.slot)
	}
	p = o.end + 1
	if p < len(s.b) && s.b[p] <= ' ' {
		p = s.space(p)
	}
	if p >= len(s.b) || s.b[p] != ':' {
		return s.unexpected(p, "a colon")
	}
	p++
	if p < len(s.b) && s.b[p] <= ' ' {
		p = s.space(p)
	}
	return p
}

// newName reads a name that the trie does not know at its place, up to its
// closing quote.
func (s *scanner) newName(p int, o *object) int {
	end, plain := s.text(p)
	if end < 0 {
		return -1
	}
	o.plain = plain
	if !s.enter(p, s.value(p, end, plain), plain, o) { // an escaped name must not be compared with raw bytes
		return -1
	}
	return end
}

// enter takes in a name at p that the trie does not know at its place, and
// learns it if it may. It reports whether o can have the name.
func (s *scanner) enter(p int, name string, learn bool, o *object) bool {
	o.slot = -1
	if o.top {
		slot, ok := s.fields.slot(name)
		if !ok {
			s.fail(ReasonCaseFoldedName, p, "a name differs in case only from a field that the rules use")
			return false
		}
		o.slot = slot
	}
	if o.at != nil {
		length, double := o.at.path(name)
		if double {
			return s.duplicate(p)
		}
		if learn {
			if next := s.trie.learn(o.at, length, name, o.slot, s.typeOf(o.slot)); next != nil {
				o.at = next
				return true
			}
		}
		s.leave(o)
	}
	return s.seen.add(o, name) || s.duplicate(p)
}

func (s *scanner) typeOf(slot int) event.Type {
	if slot < 0 {
		return event.TypeAny
	}
	return s.fields.types[slot]
}

// leave moves the names of o that the trie knows to where the trie is not
// needed.
func (s *scanner) leave(o *object) {
	o.base = len(s.seen.list)
	for n := o.at; n.parent != nil; n = n.parent {
		s.seen.add(o, n.name)
	}
	o.at = nil
}

func (s *scanner) duplicate(p int) bool {
	s.fail(ReasonDuplicateName, p, "an object has two fields of the same name")
	return false
}
