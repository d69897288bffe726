package bench

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// Workload is a rule file with the events that it is run over.
type Workload struct {
	set    *rules.Set
	stream *rules.Stream
	events int
	fields int           // of an event
	values []event.Value // of all events, by slot
}

// Load compiles rules that read one stream, and decodes its events, each a JSON
// object.
func Load(ruleFile string, payloads [][]byte) (*Workload, error) {
	set, report := rules.Load([]rules.File{{Name: "rules.yaml", Data: []byte(ruleFile)}}, rules.Options{})
	if !report.OK() {
		return nil, fmt.Errorf("the rules: %v", report)
	}
	// The others are what rules emit.
	from := slices.IndexFunc(set.Streams, func(s *rules.Stream) bool { return s.Producer == "" })
	w := &Workload{set: set, stream: set.Streams[from], events: len(payloads)}
	w.fields = len(w.stream.Schema.Fields())
	d, err := decode.New("json", w.stream.Schema)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{} // equal ones share memory, as they do in a program's own structures
	for i, p := range payloads {
		var e event.Event
		if _, err := d.Decode(p, &e); err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		for k := range w.fields {
			v := e.Slot(k)
			if v.Kind() == event.KindString {
				s, ok := texts[v.AsString()]
				if !ok {
					s = strings.Clone(v.AsString())
					texts[s] = s
				}
				v = event.String(s)
			}
			w.values = append(w.values, v)
		}
	}
	return w, nil
}

// Len returns the number of events.
func (w *Workload) Len() int { return w.events }

// source is where the events come from, as far as the engine knows.
const source = "memory"

// Options say how a Runner runs.
type Options struct {
	Shards int
	Do     func(n int, f func(i int)) // how shards run, see [engine.Config]
	Batch  int                        // records in a batch; default 1000
	// Output, if not nil, is shown what each batch led to, with the events that
	// rules emit.
	Output func(*engine.Output)
}

// Runner runs a workload in an engine whose decoder gives it events that are in
// memory. All else is the way of every event.
type Runner struct {
	engine  *engine.Engine
	load    *Workload
	records []event.Record // of a batch, which are used again as those of a file are
	parts   int            // of a batch, which come by themselves
	do      func(n int, f func(i int))
	output  func(*engine.Output)
	Matches int64 // of all rules, so far
	Alerts  int   // raised and cleared
	Evicted int64 // partial matches
}

// Start returns a runner that has seen no event.
func (w *Workload) Start(o Options) *Runner {
	r := &Runner{load: w, output: o.Output, parts: 1, do: o.Do, records: make([]event.Record, cmp.Or(o.Batch, 1000))}
	if o.Do != nil {
		r.parts = max(o.Shards, 1)
	}
	for i := range r.records {
		r.records[i] = event.Record{Kind: event.KindMessage, Source: source, Payload: make([]byte, 4)}
	}
	own := func(*event.Schema) decode.Decoder { return w }
	r.engine = engine.New(engine.Config{
		Shards: max(o.Shards, 1), Do: o.Do, Emitted: o.Output != nil,
		Load:     func(string) (*rules.Set, error) { return w.set, nil },
		StandIns: map[string]engine.StandIn{source: {Stream: w.stream.Name, Decoder: own}},
	})
	r.engine.Step(engine.Input{Records: []event.Record{{Pos: event.Position{Seq: 1}, Kind: event.KindRuleSet, Payload: []byte(w.set.Hash)}}})
	return r
}

// Decode implements [decode.Decoder]: a payload is the number of an event.
func (w *Workload) Decode(payload []byte, e *event.Event) (int, error) {
	at := w.fields * int(binary.LittleEndian.Uint32(payload))
	e.Slots = w.values[at : at+w.fields : at+w.fields]
	return 0, nil
}

// Run runs over the events from one to another, in batches.
func (r *Runner) Run(from, to int) {
	for from < to {
		records := r.records[:min(len(r.records), to-from)]
		r.fill(records, from)
		out := r.engine.Step(engine.Input{Records: records})
		r.Matches += sum(out.Stats.Matches)
		r.Evicted += sum(out.Stats.Evictions)
		r.Alerts += len(out.Transitions)
		if r.output != nil {
			r.output(&out)
		}
		from += len(records)
	}
}

// fill makes the messages of a batch from an event on. Where there are several
// goroutines for shards each makes a part, as so many sources do: made by one they
// would lie in the cache of its processor, and to get them from there is no matter
// of the engine.
func (r *Runner) fill(records []event.Record, from int) {
	size := (len(records) + r.parts - 1) / r.parts
	fill := func(part int) {
		for i := part * size; i < min((part+1)*size, len(records)); i++ {
			records[i].Pos.Seq = uint64(from + i + 2)
			binary.LittleEndian.PutUint32(records[i].Payload, uint32(from+i))
		}
	}
	if r.parts == 1 {
		fill(0)
		return
	}
	r.do(r.parts, fill)
}

func sum(c engine.Counter) int64 {
	total := int64(0)
	for _, n := range c {
		total += n
	}
	return total
}
