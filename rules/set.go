package rules

import (
	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/nfa"
	"github.com/cepd/cepd/window"
	"slices"
)

// Set is a checked and compiled set of rules: what the engine runs. It is
// immutable and may be shared by any number of goroutines.
type Set struct {
	Hash    string    // of the files' contents and names
	Streams []*Stream // sorted by name; derived streams among them
	Rules   []*Rule   // sorted by level, then name
	Tables  []*Table  // sorted by name; the engine does not read them
	Levels  int       // number of levels; rules of level 0 read sources only
	Tests   []*Test   // by file, in the order of the files; the engine does not read them
	Own     *Own      // what cepd alerts of itself; nil: nothing
}

// Table is a table that expressions look things up in. Their programs hold its
// rows.
type Table struct {
	Name    string
	File    string        // as [Options.ReadTable] names it
	Key     string        // the column of the keys; empty where it has none
	Columns []event.Field // in the order of the file
	Rows    int
}

// Stream is a kind of events: where they come from and what they hold.
type Stream struct {
	Name      string
	Source    string        // a source of cepd.yaml; empty for a replayed or derived stream
	Topic     *decode.Topic // nil: any topic of the source
	Format    string        // "json", "value" or "csv"
	Schema    *event.Schema
	Producer  string        // the rule whose `emit` it is; empty for a stream from a source
	Unordered bool          // derived from keys that each have a time of their own: see [Stream.Watermark]
	Level     int           // 0 for a stream from a source, else one more than the producer's
	Time      *expr.Program // event time; nil: the arrival time
	ID        ID            // how an event is known that comes again
	Watermark Watermark
	Late      Late     // what becomes of events that come too late, beside being counted
	LateOf    *Stream  // for a stream that receives late events: the one that they were too late for
	Retained  Retained // what a message is that the broker had kept

	// Conditions are the distinct conditions that rules ask of a single event
	// of the stream. Each is evaluated at most once per event and key.
	Conditions []*expr.Program
	// Keys are the distinct `by` clauses over the stream. An event is routed
	// once for each.
	Keys []*Key
}

// ID says how an event is known that comes again, and for how long.
type ID struct {
	Value  *expr.Program  // what makes it the same event; nil: what the sender calls it, if anything
	Within event.Duration // how far behind the stream's highest event time an id may be and still be known
	Keep   int            // how many ids are known at most, the last ones
}

// Retained says what becomes of a message that a broker had kept for new
// subscribers: it may be hours old, and comes again with every connection.
type Retained uint8

// What may become of it.
const (
	RetainedState  Retained = iota // it is judged, but raises no alert
	RetainedEvent                  // it is an event like any other
	RetainedIgnore                 // it is counted and left out
)

// Watermark says how far event time may be trusted.
type Watermark struct {
	Lag       event.Duration // how much later than the latest event others may come
	Idle      event.Duration // silence after which event time runs on with the clock; 0: never
	MaxFuture event.Duration // how far ahead of its arrival an event may be; 0: any
	// PerKey says that each key of each `by` has a watermark of its own, which
	// its own events move. Idle is then about the stream's time, the highest of
	// its keys', by which silence is judged.
	PerKey bool
	// KeyIdle is the silence of a key after which its own time runs on with the
	// clock; 0: never.
	KeyIdle event.Duration
}

// Late says who receives events that come too late.
type Late struct {
	Stream *Stream  // nil: no stream
	To     []string // sinks
}

// Marks says by what time a rule judges the events of an input.
type Marks uint8

// Whose watermark it may be.
const (
	MarksStream   Marks = iota // the stream's
	MarksKey                   // the key's own, which its events move
	MarksProducer              // that of the key of the rule that emits the events, see [Input.Follows]
	MarksLatest                // the stream's time, the highest of its keys': for silence
)

// Key is one `by` clause over one stream.
type Key struct {
	Names []string        // of the parts; nil where `by` is one expression or missing
	Parts []*expr.Program // empty: all events are one key
}

// Rule is one rule, ready to run.
type Rule struct {
	Name   string
	File   string // where it stands, for messages
	Line   int
	Level  int
	Shape  string // hash of what must stay the same for the rule's state to be kept
	Inputs []*Input

	// At most one of When, Pattern, Window, Detect and Absent says what to look for; a
	// rule with none of them emits every event.
	When    bool     // the Input has a When condition
	Pattern *Pattern // nil where there is none
	Window  *Window  // nil where there is none
	Detect  *Detect  // nil where there is none
	Absent  bool     // silence is what it looks for, see NoData and Silence
	PerKey  bool     // each key is judged by a time of its own: some input has MarksKey or MarksProducer

	For        event.Duration // how long `when` must hold before an alert is raised
	ClearFor   event.Duration // how long the clear condition must hold
	ClearAfter event.Duration // an alert clears when nothing raised it anew for that long; 0: never
	Flap       Flap           // when an alert that comes and goes is told as one
	NoData     event.Duration // a key that sends nothing for that long is silent; 0: never
	Silence    Silence        // what silence does to the alert
	Forget     event.Duration // a key that sends nothing for that long is forgotten; 0: never
	Unless     *Unless        // holds alerts back while another rule's fires; nil: never
	Active     Hours          // outside of them alerts are held back; nil: never
	off        bool           // checked, and then left out
	Shadow     bool           // judged, counted and shown, but told to no sink
	AbsentKeys []string       // encoded, of keys that are absent also if they never sent anything; sorted
	Keys       int            // keys of which the rule keeps anything, about; the oldest go; 0: any number
	Idle       event.Duration // what is kept of a key that sends nothing for that long goes; 0: never

	KeyNames  []string // of the parts of the key, nil where `by` is one expression or missing
	KeyLabels []string // names of the labels that the parts of the key become
	Emit      *Emit    // nil where nothing is emitted
	EmitTo    []string // sinks that what is emitted goes to, beside the derived stream
	Alert     *Alert   // nil where nothing is alerted
	Output    *Stream  // the derived stream of Emit; nil without
}

// Flap says when an alert flaps: that many raises and clears within that time.
// The zero Flap never does.
type Flap struct {
	Changes int
	Within  event.Duration
}

// Silence says what becomes of the alert of a key that sends nothing.
type Silence uint8

// What silence may do.
const (
	SilenceKeep Silence = iota
	SilenceClear
	SilenceRaise
)

// Unless names the rule whose alert holds this rule's alerts back.
type Unless struct {
	Rule  string
	Parts []int // of this rule's key: those that make up the other rule's key, in its order
}

// Hours are the times in which a rule alerts.
type Hours interface {
	// Open reports whether t is within the hours, and the next time at which
	// that changes, [event.MaxTime] if it never does.
	Open(t event.Time) (open bool, until event.Time)
}

// PredicateSet holds predicates whose conditions lie in one word of bits, a bit
// for each condition of the stream, and as far from their own places in a set
// of predicates. Mostly all of a pattern are one such set. A predicate that
// takes its events from another stream is in none.
type PredicateSet struct {
	Predicates uint64 // a bit for each, by its number in [nfa.Prog.Plain]
	Word       int    // the number of the word of conditions
	Shift      int    // bits to rotate left by, from predicates to conditions
}

// predicateSets sorts predicates by the words of their conditions.
func predicateSets(preds, conditions []int) (sets []PredicateSet) {
	for i, pred := range preds {
		c := conditions[pred]
		if c < 0 {
			continue
		}
		word, shift := c/64, (c-i)&63
		at := slices.IndexFunc(sets, func(s PredicateSet) bool { return s.Word == word && s.Shift == shift })
		if at < 0 {
			at = len(sets)
			sets = append(sets, PredicateSet{Word: word, Shift: shift})
		}
		sets[at].Predicates |= 1 << i
	}
	return sets
}

// Input is one stream that a rule reads.
type Input struct {
	Stream *Stream
	Keep   *event.Schema // what the rule keeps of the stream's events
	Key    int           // index into Stream.Keys
	Where  int           // index into Stream.Conditions; -1: every event
	When   int           // index into Stream.Conditions; -1: there is none
	Clear  int           // index into Stream.Conditions; -1: when `when` is false
	Marks  Marks         // by what time the events are judged
	// Follows are, with [MarksProducer], the parts of this rule's key that make
	// up the key of the rule that emits the events, in its order.
	Follows []int
	// Plain is for each predicate of the pattern the index into
	// Stream.Conditions; -1 where the predicate is linked or takes its events
	// from another stream.
	Plain []int
	// Sets are the predicates that the pattern's program asks about many at a
	// time, see [nfa.Env.HoldAll].
	Sets []PredicateSet
	// Linked is for each predicate of the pattern the program that looks at
	// the run; nil where Plain applies or the predicate takes its events from
	// another stream.
	Linked []*expr.Program
	// Args are what the aggregates of the rule's window take of an event of
	// this input, by number of the aggregate. Their programs read the live
	// event and the key.
	Args []Argument
	// Detect is what the rule's detector asks of an event of this input; nil
	// where the rule has none.
	Detect *DetectInput
	// Emit and Alert are those of the rule, compiled for the events of this
	// input: Emit reads the live event, the texts of Alert the kept one. In a
	// pattern, whose texts read steps, and with a window, whose texts read its
	// result, they are the rule's own.
	Emit  *Emit
	Alert *Alert
}

// Argument is what an aggregate takes of an event. An event for which Filter is
// not true is left out, and so is one for which Value fails.
type Argument struct {
	Value  *expr.Program // nil: the event itself, which count() counts
	Filter *expr.Program // nil: every event
}

// Window is a rule's window, its aggregates, and what is computed from them.
//
// A result of the window is a list of values, the variables, which all
// expressions about it read as Frame.Vars. Variable i is the field with slot i
// of Vars, so that a result can be kept and shown as an event. A `let` is called
// by its name, an aggregate without one by its text, such as
// count(e.code >= 500), and the bounds window.start and window.end. A value that
// does not exist is missing.
type Window struct {
	Spec       *window.Spec
	Vars       *event.Schema
	Texts      []string      // what each variable stands for; empty for the bounds
	Start, End int           // variables: the bounds of the window
	Aggregates []int         // for each aggregate of Spec, the variable that it is read as
	Compute    []Computation // in order, each from the variables before
	When       *expr.Program // nil: every result
	Clear      *expr.Program // nil: when `when` is false
}

// Computation is a variable that is computed from those before it.
type Computation struct {
	Var   int
	Value *expr.Program
	// Baseline, where it is not nil, learns Value, and the variable is what is
	// usual. Else the variable is Value itself, of a `let`.
	Baseline *window.BaselineSpec
}

// Pattern is a compiled pattern with what its conditions keep.
type Pattern struct {
	Text       string
	Prog       *nfa.Prog
	Aggregates *expr.Aggregates
	// Predicates names the predicates of Prog by number, as `define` does.
	// The plain part of a linked condition follows as a predicate of the same
	// name.
	Predicates []string
	Timeout    *Timeout // nil: partial matches end in silence
}

// Timeout is what becomes of a partial match that time ended.
type Timeout struct {
	Emit  *Emit
	Alert *Alert
}

// Emit makes a derived event: a value for each field.
type Emit struct {
	Fields []EmitField
}

// EmitField is one field of a derived event.
type EmitField struct {
	Name  string
	Value *expr.Program
}

// Alert says what an alert says and to whom.
type Alert struct {
	Severity    string
	Labels      []LabelText
	Summary     *expr.Text // nil: none
	Description *expr.Text
	Runbook     *expr.Text
	To          []string       // sinks; empty: every sink
	Repeat      event.Duration // how often, at most, sinks are told again while it fires; 0: never
	EvidenceAll bool           // keep every field of the events, not only the used ones
}

// LabelText is a label whose value is rendered when the alert is raised.
type LabelText struct {
	Name  string
	Value *expr.Text
}
