package engine

import (
	"math"
	"slices"
	"strings"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/rules"
)

// plan says which events go where: the lanes of a rule set, the key tables in
// them, and for each stream and `by` clause the tables that want its events.
// It is immutable and shared by all shards.
type plan struct {
	set     *rules.Set
	streams map[string]*streamPlan
	order   []*streamPlan // by name
	lanes   []*lanePlan
	places  map[string]place // of rules, by name
	// children holds, by name of a rule, the lanes of the rules that look at
	// its alerts.
	children map[string][]int
	// stepwise says that each record is a batch of its own: what comes out of
	// keys that have a time of their own depends on the order of the log.
	stepwise bool
	joins    bool // some lane waits for several streams
	lists    bool // a rule has AbsentKeys
}

// place says where the state of a rule lives: a lane, a table in it, and the
// rule's number there.
type place struct{ lane, table, rule int }

// streamPlan is one stream of a plan.
type streamPlan struct {
	*rules.Stream
	number    int
	keys      [][]target   // by number of the `by` clause
	time      plainField   // `time`, where it is a timestamp of the event
	keyFields []plainField // the parts of the `by` clauses that have targets
	keyField  []plainField // by number of the `by` clause: its part, where there is one
	only      *target      // nil where it is not the only one, or does not want every event
	onlyKey   int          // the number of its `by` clause
	lanes     []int        // that read it
	screen    *screen      // nil where some rule may want any event
	direct    bool         // all of them judge what is not before its watermark at once
	producer  int          // lane of the rule that emits it, for a derived stream
	guards    *guardIndex
}

// plainField is an expression that is a field of an event as it stands.
type plainField struct {
	slot uint // noSlot for any other expression, which no event has
	kind event.Kind
}

const noSlot = math.MaxUint

func newPlainField(p *expr.Program) plainField {
	slot, kind := p.Field()
	if kind == event.KindMissing {
		return plainField{slot: noSlot}
	}
	return plainField{uint(slot), kind}
}

// of returns the field, and whether the event has it.
func (f plainField) of(e *event.Event) (v event.Value, ok bool) {
	if f.slot >= uint(len(e.Slots)) {
		return v, false
	}
	v = e.Slots[f.slot]
	return v, v.Kind() == f.kind
}

// target is a table that an event goes to.
type target struct {
	lane, table int
	plan        *tablePlan
	always      bool // it wants every event
	screened    bool // it wants every event that the stream's screen does not stop
}

// lanePlan is a set of streams that rules of one level read together, by the
// same time.
type lanePlan struct {
	name      string // of the streams, joined; part of the name of stored rows
	plain     string // the same without what tells apart by what time they are judged
	level     int
	streams   []*streamPlan
	marks     []rules.Marks // of the streams
	keyed     bool          // each key has a time of its own
	followers []follower    // tables in which the time of a key follows from that of a key here
	latest    bool          // some stream has MarksLatest
	parents   []int         // lanes of the rules whose alerts its rules look at
	lists     bool          // a rule has AbsentKeys
	tables    []*tablePlan
}

// is reports whether the lane is the one of a level over streams.
func (l *lanePlan) is(level int, name string) bool { return l.level == level && l.name == name }

// laneOf returns the number of the lane of a level over streams, -1 where there
// is none.
func (p *plan) laneOf(level int, name string) int {
	return slices.IndexFunc(p.lanes, func(l *lanePlan) bool { return l.is(level, name) })
}

// tableOf returns the number of the table of a signature, -1 where there is none.
func (l *lanePlan) tableOf(sig string) int {
	return slices.IndexFunc(l.tables, func(t *tablePlan) bool { return t.sig == sig })
}

// own reports whether a stream of the lane is derived and has a watermark of its
// own, since it comes out of keys that have each a time of their own.
func (l *lanePlan) own(i int) bool { return l.streams[i].Unordered && l.marks[i] == rules.MarksStream }

// follower is a table of another lane.
type follower struct {
	lane, table int
	stream      int32
	same        bool // its keys are those of this lane
}

// number returns the number of a stream in the lane.
func (l *lanePlan) number(stream int) int {
	for i, s := range l.streams {
		if s.number == stream {
			return i
		}
	}
	panic("engine: lane " + l.name + " reads no such stream")
}

// tablePlan is what rules of a lane with the same `by` share: one look-up of
// the key serves them all.
type tablePlan struct {
	rules    []*rulePlan
	all      []int32        // their numbers
	usesKey  bool           // a condition reads `key`
	limited  bool           // a rule keeps so many keys at most
	lateness event.Duration // the longest of its rules' windows
	follows  [][]int        // by number of the stream in the lane, see [rules.Input.Follows]
	sig      string
	indexes  []*ruleIndex // by number of the stream; nil where asking each rule is cheaper
	sieves   [][]sieve    // by number of the stream, then of the rule; nil where no rule has one
	gates    [][]gate     // by number of the stream, then of the rule; nil where some rule has none
	asked    []bool       // by number of the stream: that the table wants an event says that its only rule does
	joining  []bool       // by number of the stream: whether [Shard.join] may be for its events
}

// rulePlan is a rule with its inputs by number of the stream.
type rulePlan struct {
	*rules.Rule
	inputs  []*rules.Input  // by number of the stream; nil where it does not read it
	args    [][]argument    // by number of the stream: what the aggregates of its window take
	joining []bool          // by number of the stream: whether [Shard.join] is for its events
	output  *streamPlan     // of what it emits; nil where it emits nothing
	keepRaw bool            // the rule's evidence keeps every field
	listed  map[string]bool // its AbsentKeys
}

// takesLate reports whether the rule takes events behind the watermark.
func (r *rulePlan) takesLate() bool { return r.Window != nil && r.Window.Spec.Lateness > 0 }

// input returns the input that an event which the rule kept came by.
func (r *rulePlan) input(kept *event.Event) *rules.Input {
	for _, in := range r.Inputs { // the schema may be one of the rules before a reload
		if in.Stream.Name == kept.Schema.Stream() {
			return in
		}
	}
	panic("engine: rule " + r.Name + " keeps no events of " + kept.Schema.Stream())
}

func newPlan(set *rules.Set) *plan {
	p := &plan{set: set, streams: map[string]*streamPlan{}, places: map[string]place{}, children: map[string][]int{}}
	for i, s := range set.Streams {
		sp := &streamPlan{Stream: s, number: i, keys: make([][]target, len(s.Keys)), time: plainField{slot: noSlot}}
		if s.Time != nil {
			if f := newPlainField(s.Time); f.kind == event.KindTime {
				sp.time = f
			}
		}
		p.streams[s.Name] = sp
		p.order = append(p.order, sp)
	}
	for _, r := range set.Rules {
		p.place(r)
	}
	for _, l := range p.lanes {
		for _, t := range l.tables {
			for stream := range p.order {
				t.indexes = append(t.indexes, newRuleIndex(t.rules, stream))
				t.gates = append(t.gates, newGates(t, stream))
				t.sieves = append(t.sieves, newSieves(t, stream))
				t.asked = append(t.asked, len(t.rules) == 1 && !l.keyed && t.sieves[stream] == nil)
				t.joining = append(t.joining, !t.limited && slices.ContainsFunc(t.rules, func(r *rulePlan) bool { return r.joining[stream] }))
			}
		}
	}
	for _, s := range p.order {
		s.guards = newGuardIndex(s.Stream, p.sought(s))
		p.aim(s)
	}
	for _, r := range set.Rules {
		if r.Unless != nil {
			p.adopt(p.places[r.Unless.Rule].lane, p.places[r.Name].lane, r.Unless.Rule)
		}
	}
	for i, l := range p.lanes {
		if l.keyed {
			p.couple(i, l)
		}
		p.lists = p.lists || l.lists
		p.joins = p.joins || len(l.streams) > 1 && !l.keyed
	}
	for _, s := range p.order {
		s.direct = !slices.ContainsFunc(s.lanes, func(lane int) bool {
			l := p.lanes[lane]
			return len(l.streams) > 1 || l.latest || len(l.parents) > 0
		})
	}
	return p
}

// aim finds out which lanes read a stream, and which of its targets want every
// event.
func (p *plan) aim(s *streamPlan) {
	for k, targets := range s.keys {
		if len(targets) > 0 {
			for _, part := range s.Keys[k].Parts {
				s.keyFields = append(s.keyFields, newPlainField(part))
			}
		}
		s.keyField = append(s.keyField, plainField{slot: noSlot})
		if parts := s.Keys[k].Parts; len(parts) == 1 {
			s.keyField[k] = newPlainField(parts[0])
		}
		for i := range targets {
			t := &targets[i]
			if !slices.Contains(s.lanes, t.lane) {
				s.lanes = append(s.lanes, t.lane)
			}
			x, gates := t.plan.indexes[s.number], t.plan.gates[s.number]
			t.always = p.lanes[t.lane].keyed || x == nil && gates == nil || x != nil && x.wakes
		}
	}
	targets := 0
	for k := range s.keys {
		targets += len(s.keys[k])
		if len(s.keys[k]) == 1 && s.keys[k][0].always {
			s.only, s.onlyKey = &s.keys[k][0], k
		}
	}
	if targets > 1 {
		s.only = nil
	}
	if s.screen = newScreen(s); s.screen != nil {
		s.screenOnly()
	}
}

// couple finds the lanes whose keys follow those of a lane, and whether the
// order of the log matters to what comes out of it.
func (p *plan) couple(lane int, l *lanePlan) {
	for i, s := range l.streams {
		p.stepwise = p.stepwise || l.marks[i] == rules.MarksStream || s.Watermark.KeyIdle > 0 || s.Late.Stream != nil
	}
	p.stepwise = p.stepwise || len(l.parents) > 0
	for _, t := range l.tables {
		for _, r := range t.rules {
			p.stepwise = p.stepwise || r.policy().Listens() || r.Idle > 0 || r.Keys > 0 || len(p.children[r.Name]) > 0
			if r.Output != nil && len(p.streams[r.Output.Name].keys) > 0 {
				p.stepwise = true
				p.followers(l, p.streams[r.Output.Name])
			}
		}
	}
}

// followers notes the tables in which the time of a key follows from that of a
// key of a lane that emits a stream.
func (p *plan) followers(l *lanePlan, s *streamPlan) {
	for _, targets := range s.keys {
		for _, to := range targets {
			other := p.lanes[to.lane]
			n := other.number(s.number)
			if other.marks[n] != rules.MarksProducer {
				continue
			}
			parts := other.tables[to.table].follows[n]
			in := other.tables[to.table].rules[0].inputs[s.number]
			same := slices.IsSorted(parts) && len(parts) == len(s.Keys[in.Key].Parts)
			l.followers = append(l.followers, follower{lane: to.lane, table: to.table, stream: int32(s.number), same: same})
		}
	}
}

// place finds the lane and the table of a rule, making them if need be.
func (p *plan) place(r *rules.Rule) {
	rp := &rulePlan{Rule: r, inputs: make([]*rules.Input, len(p.order)), args: make([][]argument, len(p.order)), joining: make([]bool, len(p.order))}
	if len(r.AbsentKeys) > 0 {
		rp.listed = make(map[string]bool, len(r.AbsentKeys))
		for _, key := range r.AbsentKeys {
			rp.listed[key] = true
		}
	}
	rp.keepRaw = r.Alert != nil && r.Alert.EvidenceAll
	for _, in := range r.Inputs {
		n := p.streams[in.Stream.Name].number
		rp.inputs[n], rp.args[n] = in, newArguments(in.Args)
		rp.joining[n] = rp.joins(n)
	}
	li, l := p.lane(r)
	if r.Output != nil {
		rp.output = p.streams[r.Output.Name]
		rp.output.producer = li
	}
	sig := tableSignature(r)
	ti := l.tableOf(sig)
	if ti < 0 {
		ti = len(l.tables)
		t := &tablePlan{sig: sig, follows: make([][]int, len(l.streams))}
		l.tables = append(l.tables, t)
		for _, in := range r.Inputs {
			s := p.streams[in.Stream.Name]
			t.follows[l.number(s.number)] = in.Follows
			s.keys[in.Key] = append(s.keys[in.Key], target{lane: li, table: ti, plan: t})
		}
	}
	l.lists = l.lists || rp.listed != nil
	t := l.tables[ti]
	p.places[r.Name] = place{li, ti, len(t.rules)}
	t.all = append(t.all, int32(len(t.rules)))
	t.rules = append(t.rules, rp)
	t.usesKey = t.usesKey || usesKey(r)
	t.limited = t.limited || r.Keys > 0
	if r.Window != nil {
		t.lateness = max(t.lateness, r.Window.Spec.Lateness)
	}
}

// usesKey reports whether a condition of the rule reads `key`. Texts and
// emitted fields are given it in any case.
func usesKey(r *rules.Rule) bool {
	for _, in := range r.Inputs {
		for _, c := range [...]int{in.Where, in.When, in.Clear} {
			if c >= 0 && in.Stream.Conditions[c].UsesKey() {
				return true
			}
		}
		if in.Detect != nil && detectUsesKey(in.Detect) {
			return true
		}
		for _, a := range in.Args {
			if a.Value != nil && a.Value.UsesKey() || a.Filter != nil && a.Filter.UsesKey() {
				return true
			}
		}
		for i, c := range in.Plain {
			if c >= 0 && in.Stream.Conditions[c].UsesKey() {
				return true
			}
			if p := in.Linked[i]; p != nil && p.UsesKey() {
				return true
			}
		}
	}
	return r.Pattern != nil && r.Pattern.Aggregates != nil && r.Pattern.Aggregates.Len() > 0
}

// adopt makes a lane wait for the lane of a rule whose alerts it looks at.
func (p *plan) adopt(parent, child int, rule string) {
	if l := p.lanes[child]; !slices.Contains(l.parents, parent) {
		l.parents = append(l.parents, parent)
	}
	if !slices.Contains(p.children[rule], child) {
		p.children[rule] = append(p.children[rule], child)
	}
}

// lane returns the lane of a rule, making it if need be.
func (p *plan) lane(r *rules.Rule) (int, *lanePlan) {
	inputs := slices.Clone(r.Inputs)
	slices.SortFunc(inputs, func(a, b *rules.Input) int { return strings.Compare(a.Stream.Name, b.Stream.Name) })
	names, plain := make([]string, len(inputs)), make([]string, len(inputs))
	for i, in := range inputs {
		names[i], plain[i] = in.Stream.Name+marksName[in.Marks], in.Stream.Name
	}
	name := strings.Join(names, "+")
	for i, l := range p.lanes {
		if l.name == name && l.level == r.Level {
			return i, l
		}
	}
	l := &lanePlan{name: name, plain: strings.Join(plain, "+"), level: r.Level, keyed: r.PerKey}
	for _, in := range inputs {
		l.streams = append(l.streams, p.streams[in.Stream.Name])
		l.marks = append(l.marks, in.Marks)
		l.latest = l.latest || in.Marks == rules.MarksLatest
	}
	p.lanes = append(p.lanes, l)
	return len(p.lanes) - 1, l
}

// plainName is the name of a lane without the time by which it judges.
func plainName(lane string) string {
	for _, suffix := range marksName[1:] {
		lane = strings.ReplaceAll(lane, suffix, "") // no name of a stream holds a slash
	}
	return lane
}

// marksName tells lanes apart that read the same streams by another time.
var marksName = [...]string{rules.MarksStream: "", rules.MarksKey: "/key", rules.MarksProducer: "/producer", rules.MarksLatest: "/latest"}

// tableSignature tells apart the `by` clauses of rules that read the same
// streams.
func tableSignature(r *rules.Rule) string {
	var b strings.Builder
	for _, in := range r.Inputs {
		b.WriteString(in.Stream.Name)
		b.WriteByte(0)
		for _, part := range in.Stream.Keys[in.Key].Parts {
			b.WriteString(part.Canonical())
			b.WriteByte(0)
		}
		b.WriteByte(1)
	}
	return b.String() + strings.Join(r.KeyNames, "\x00")
}
