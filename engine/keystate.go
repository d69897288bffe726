package engine

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/window"
)

// keyState is the state of one key in one table. It is a [unit].
//
// There may be millions of keys. So the state of the first rule that has any
// lies in it, since mostly no other has, and what few keys need lies elsewhere:
// it has 96 bytes.
type keyState struct {
	tag
	table *table
	key   string    // shares the batch's memory until the state is kept
	extra *keyExtra // nil for most
	first ruleState // of a rule, or of none
}

// keyExtra is what few keys need.
type keyExtra struct {
	clock *keyClock      // nil where keys have no time of their own
	parts *[]event.Value // of the key, decoded, where conditions read them
	rest  []*ruleState   // of further rules, sorted by rule
}

// ruleState is the state of one rule for one key.
type ruleState struct {
	kept     any         // an [nfa.Machine], a [*window.State] or a [*detectState], as the rule is; nil where it keeps none
	alert    *alertState // nil while inactive
	extra    *ruleExtra  // nil for most
	deadline deadline    // of one kind, see also extra
	changed  uint32      // generation of the journal in which it last changed
	bits     ruleBits
}

// ruleExtra is what few rules need of a key.
type ruleExtra struct {
	timeout   *alertState // of `timeout: {alert: …}`; nil while inactive
	place     *keyPlace   // nil where the rule keeps nothing of the key, or any number of keys
	deadlines *[timerKinds]deadline
}

// ruleBits is the number of a rule in its table, and below it the kind of the
// state's deadline and what the other bits say.
type ruleBits uint32

const (
	bitStored  ruleBits = 1 << iota // a snapshot may have stored a row of the state
	bitFiled                        // of the first state: the key is in the table
	bitLingers                      // see [lingering]
	kindShift           = 4
	ruleShift           = 8
	kindMask   ruleBits = 7 << kindShift
	// noRule stands in a state that is of no rule. A table has fewer.
	noRule = 1<<(32-ruleShift) - 1
)

func (st *ruleState) rule() int { return int(st.bits >> ruleShift) }

func (st *ruleState) setRule(rule int) {
	st.bits = st.bits&(1<<ruleShift-1) | ruleBits(rule)<<ruleShift
}

func (st *ruleState) is(bit ruleBits) bool { return st.bits&bit != 0 }

func (st *ruleState) set(bit ruleBits, on bool) {
	if st.bits &^= bit; on {
		st.bits |= bit
	}
}

func (st *ruleState) machine() nfa.Machine {
	m, _ := st.kept.(nfa.Machine)
	return m
}

func (st *ruleState) window() *window.State {
	ws, _ := st.kept.(*window.State)
	return ws
}

func (st *ruleState) detect() *detectState {
	ds, _ := st.kept.(*detectState)
	return ds
}

// at returns the alert of a slot, nil where there is nothing to remember of it.
func (st *ruleState) at(slot alertSlot) *alertState {
	switch {
	case slot == alertMain:
		return st.alert
	case st.extra == nil:
		return nil
	}
	return st.extra.timeout
}

func (st *ruleState) put(slot alertSlot, a *alertState) {
	if slot == alertMain {
		st.alert = a
	} else if a != nil || st.extra != nil {
		st.more().timeout = a
	}
}

// alerts yields the alerts of which there is anything to remember.
func (st *ruleState) alerts() iter.Seq2[alertSlot, *alertState] {
	return func(yield func(alertSlot, *alertState) bool) {
		for slot := range alertSlots {
			if a := st.at(slot); a != nil && !yield(slot, a) {
				return
			}
		}
	}
}

// more returns what few rules need, made if need be.
func (st *ruleState) more() *ruleExtra {
	if st.extra == nil {
		st.extra = &ruleExtra{}
	}
	return st.extra
}

func (st *ruleState) place() *keyPlace {
	if st.extra == nil {
		return nil
	}
	return st.extra.place
}

// newKeyState returns a state without a key.
func newKeyState(t *table) *keyState {
	ks := &keyState{table: t, first: *newRuleState()}
	ks.first.setRule(noRule)
	return ks
}

func newRuleState() *ruleState { return &ruleState{deadline: noDeadline} }

// noState is the state of a rule that has none. It must not be changed.
var noState = newRuleState()

// spareKey returns a state for a key of which nothing is kept. It is kept only
// if the event leaves something in it: a key costs nothing until then.
func (t *table) spareKey(key string) *keyState {
	ks := t.spare
	if ks == nil {
		ks = newKeyState(t)
	}
	t.spare = nil
	ks.key = key
	if ks.extra != nil {
		ks.extra.parts = nil
	}
	ks.setClock(t.lane.current)
	return ks
}

// find returns the state of a key, nil where there is none. It may be near, which
// was of the table a moment ago.
func (t *table) find(hash keyHash, key string, near *keyState) *keyState {
	if near != nil && near.filed() && near.key == key {
		return near
	}
	if ks := t.whole; key == "" && ks != nil && ks.key == "" && ks.filed() && ks.table == t {
		return ks
	}
	return t.keys.get(hash, key)
}

// keyStateFor returns the state of a key, or a spare one.
func (t *table) keyStateFor(hash keyHash, key string, near *keyState) *keyState {
	if ks := t.find(hash, key, near); ks != nil {
		return ks
	}
	return t.spareKey(key)
}

// file puts the state of a key into the table.
func (t *table) file(ks *keyState) {
	if kc := ks.clock(); kc != nil && kc.key == ks.key {
		ks.key = kc.key
	} else {
		ks.key = strings.Clone(ks.key)
	}
	ks.first.set(bitFiled, true)
	t.keys.put(hashKey(ks.key), ks)
	if ks.key == "" {
		t.whole = ks
	}
}

func (ks *keyState) filed() bool { return ks.first.is(bitFiled) }

// lasting returns the key in memory that does not change.
func (ks *keyState) lasting() string {
	if ks.filed() {
		return ks.key
	}
	return strings.Clone(ks.key)
}

// more returns what few keys need, made if need be.
func (ks *keyState) more() *keyExtra {
	if ks.extra == nil {
		ks.extra = &keyExtra{}
	}
	return ks.extra
}

// clock returns the key's time, nil where keys have none of their own.
func (ks *keyState) clock() *keyClock {
	if ks.extra == nil {
		return nil
	}
	return ks.extra.clock
}

func (ks *keyState) setClock(kc *keyClock) {
	if ks.clock() != kc {
		ks.more().clock = kc
	}
}

// states yields those of the rules that have any, sorted by rule. The key must
// get none meanwhile.
func (ks *keyState) states() iter.Seq[*ruleState] {
	return func(yield func(*ruleState) bool) {
		first := ks.first.rule()
		for _, st := range ks.rest() {
			if first < st.rule() {
				if !yield(&ks.first) {
					return
				}
				first = noRule
			}
			if !yield(st) {
				return
			}
		}
		if first != noRule {
			yield(&ks.first)
		}
	}
}

func (ks *keyState) rest() []*ruleState {
	if ks.extra == nil {
		return nil
	}
	return ks.extra.rest
}

// look returns the state of a rule to read, [noState] if it has none.
func (ks *keyState) look(rule int) *ruleState {
	if ks.first.rule() == rule {
		return &ks.first
	}
	return ks.lookFurther(rule)
}

func (ks *keyState) lookFurther(rule int) *ruleState {
	if ks.extra != nil {
		if i, ok := ks.find(rule); ok {
			return ks.extra.rest[i]
		}
	}
	return noState
}

// find returns where among the rest the state of a rule is or would be.
func (ks *keyState) find(rule int) (int, bool) {
	return slices.BinarySearchFunc(ks.rest(), rule, func(st *ruleState, rule int) int { return cmp.Compare(st.rule(), rule) })
}

// at returns the state of a rule, made if need be.
func (ks *keyState) at(rule int) *ruleState {
	if st := ks.look(rule); st != noState {
		return st
	}
	st := ks.insert(rule)
	if ks.filed() {
		ks.table.touch(ks, rule)
	}
	return st
}

// insert adds the state of a rule that has none.
func (ks *keyState) insert(rule int) *ruleState {
	if ks.first.rule() == noRule {
		ks.first.setRule(rule)
		return &ks.first
	}
	st := ks.table.spareState
	ks.table.spareState = nil
	if st == nil {
		st = newRuleState()
	}
	st.setRule(rule)
	i, _ := ks.find(rule)
	x := ks.more()
	x.rest = slices.Insert(x.rest, i, st)
	return st
}

// touch notes that the state that a rule has for a key is about to change.
func (t *table) touch(ks *keyState, rule int) {
	if !ks.filed() {
		return
	}
	if st, j := ks.look(rule), t.lane.journal; st != noState && st.changed != j.gen {
		j.touch(ks)
		st.changed = j.gen
	}
}

// settle keeps or drops the state of a key after something was done to it. An
// empty one that the queue of timers still knows is kept until its entry comes
// up, so that the next event of the key uses the entry again; one that is
// stored until a snapshot has said that it is gone; and one that lingers for a
// while. So a table may hold keys without any state, and how many depends on snapshots: they must not be
// counted.
func (t *table) settle(ks *keyState) {
	t.leave(ks)
	ks.prune()
	switch keep := ks.first.rule() != noRule || len(ks.rest()) > 0; {
	case keep && !ks.filed():
		t.file(ks)
		for st := range ks.states() {
			t.touch(ks, st.rule())
		}
	case !keep && ks.filed():
		t.keys.remove(hashKey(ks.key), ks)
		t.lane.journal.drop(ks)
		ks.first.set(bitFiled, false)
	case !keep:
		t.spare = ks
	}
}

// prune drops the states that nobody needs.
func (ks *keyState) prune() {
	if st := &ks.first; st.rule() != noRule && st.idle() {
		st.setRule(noRule)
		st.changed, st.extra = 0, nil
	}
	for i := len(ks.rest()) - 1; i >= 0; i-- {
		if st := ks.extra.rest[i]; st.idle() {
			ks.extra.rest = slices.Delete(ks.extra.rest, i, i+1)
			st.changed, st.extra = 0, nil
			ks.table.spareState = st
		}
	}
}

func (ks *keyState) empty() bool {
	for st := range ks.states() {
		if !st.empty() {
			return false
		}
	}
	return true
}

func (st *ruleState) empty() bool {
	if st.kept != nil {
		if ws := st.window(); ws == nil || !ws.Empty() {
			return false
		}
	}
	return st.alert == nil && st.at(alertTimeout) == nil
}

// idle reports whether the state is empty, neither the queue of timers nor a store
// knows it, and it does not linger.
func (st *ruleState) idle() bool {
	return st.empty() && st.bits&(bitStored|bitLingers) == 0 && !st.queued()
}

// values returns the parts of the key.
func (ks *keyState) values() []event.Value {
	if ks.extra != nil && ks.extra.parts != nil {
		return *ks.extra.parts
	}
	if ks.key == "" {
		return nil
	}
	parts, _ := event.DecodeKey(ks.lasting())
	if ks.table.usesKey {
		ks.more().parts = &parts
	}
	return parts
}
