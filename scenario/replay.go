package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/state/wal"
)

// Until says how far event time moves after the last event of a replay.
type Until struct {
	kind untilKind
	time event.Time
}

type untilKind uint8

const (
	untilEnd untilKind = iota
	untilLast
	untilTime
)

// ParseUntil reads what `--until` takes: "end" for the end of time, where every
// window closes and every deadline is due; "last" for the last event; or a
// time in RFC 3339.
func ParseUntil(s string) (Until, error) {
	switch s {
	case "", "end":
		return Until{}, nil
	case "last":
		return Until{kind: untilLast}, nil
	}
	t, err := event.ParseTime(s)
	if err != nil {
		return Until{}, fmt.Errorf("%q is neither `end` nor `last` nor a time like 2026-03-01T12:00:00Z", s)
	}
	return Until{kind: untilTime, time: t}, nil
}

// record returns the record that ends the log.
func (u Until) record() event.Record {
	switch u.kind {
	case untilLast:
		return event.Record{Kind: event.KindEnd, Arrival: event.MinTime}
	case untilTime:
		return event.Record{Kind: event.KindEnd, Arrival: u.time}
	}
	return event.Record{Kind: event.KindEnd, Arrival: event.MaxTime}
}

// Options say what to replay, and how.
type Options struct {
	// Rules is the rule set to run.
	Rules *rules.Set
	// Stream is the stream that the source's messages are events of. It may be
	// left out where the rules read one stream only.
	Stream string
	// Source delivers the events. Its records need no time of arrival.
	Source ingest.Source
	// Objects says that messages are JSON objects also where those of the stream
	// are lines of InfluxDB's protocol. Where those are CBOR, which no file holds,
	// they always are.
	Objects bool
	// Log, if not nil, is read in place of Source: what a daemon logged, with
	// its sources, topics and clock. Stream is not used then. The rule sets that
	// the log names give way to Rules.
	Log Log
	// Until says where event time ends.
	Until Until
	// Print receives what is found, in the order of event time.
	Print Printer
	// Matches asks for matches and timed-out partial matches in place of
	// alerts and derived events.
	Matches bool
	// Shards is the number of shards. Default 1.
	Shards int
	// Do runs them, see [engine.Config]. Default: one after the other.
	Do func(n int, f func(i int))
	// BatchRecords splits what the source reads into batches of at most so
	// many records. Default: as they are read. It changes nothing but speed.
	BatchRecords int
	// Progress, if not nil, is told how many records were read so far.
	Progress func(records int64)
	// Rejected, if not nil, is told of messages that are no events, and where
	// they stand.
	Rejected func(where string, r engine.Reject)

	tracer engine.Tracer
}

// Summary is what a replay comes to.
type Summary struct {
	Stats engine.Stats
	// Events is how many events were judged, without those that rules made of
	// them.
	Events int64
	// Reached is the latest time of an event, where Until names a time that
	// events went beyond; zero otherwise. Event time does not run backwards, so
	// that Until had no effect.
	Reached event.Time
}

// ErrStream says that the stream to replay cannot be told or used.
var ErrStream = errors.New("stream")

// FindStream finds the stream that a file stands for: the one of that name or,
// without a name, the only one.
func FindStream(set *rules.Set, name string) (*rules.Stream, error) {
	var names []string
	var found *rules.Stream
	for _, s := range set.Streams {
		if s.Producer != "" || s.LateOf != nil {
			continue
		}
		names = append(names, s.Name)
		if s.Name == name || name == "" {
			found = s
		}
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("%w: the rules declare none", ErrStream)
	case name == "" && len(names) > 1:
		return nil, fmt.Errorf("%w: the rules declare %s; say with --stream which one the events are of", ErrStream, strings.Join(names, ", "))
	case found == nil:
		return nil, fmt.Errorf("%w: the rules declare no stream %q; there is %s", ErrStream, name, strings.Join(names, ", "))
	case found.Time == nil:
		return nil, fmt.Errorf("%w: %s has no `time`, and recorded events have no time of arrival; add to it a line such as `time: e.ts`", ErrStream, found.Name)
	}
	return found, nil
}

// replaySource is the name of the source that recorded events come from.
const replaySource = "replay"

// Replay runs the rules over all that the source delivers. The error is about
// the options, the source or the printer; messages that are no events are
// counted and passed over.
func Replay(ctx context.Context, o Options) (Summary, error) {
	r, err := newReplayer(o)
	if err != nil {
		return Summary{}, err
	}
	if o.Log != nil {
		err = r.readLog(ctx)
	} else {
		err = r.readSource(ctx)
	}
	if err != nil {
		return r.summary, err
	}
	return r.summary, r.release(event.MaxTime)
}

// readSource judges all that the source delivers.
func (r *replayer) readSource(ctx context.Context) error {
	if err := r.append([]event.Record{{Kind: event.KindRuleSet, Payload: []byte(r.Rules.Hash)}}, nil); err != nil {
		return err
	}
	for {
		b, err := r.Source.Read(ctx)
		if errors.Is(err, io.EOF) {
			r.reach()
			return r.append([]event.Record{r.Until.record()}, nil)
		}
		if err != nil {
			return fmt.Errorf("reading events: %w", err)
		}
		err = r.batch(b)
		b.Ack(err)
		if err != nil {
			return err
		}
		r.reuse(b)
	}
}

// reuse gives the memory of batches back to the source that nothing refers to any
// more: neither what the engine holds back, nor what waits to be printed.
func (r *replayer) reuse(b ingest.Batch) {
	until := r.engine.HeldUntil()
	if b.Free != nil && r.tracer == nil {
		r.used = append(r.used, usedBatch{b.Free, until})
	}
	n := 0
	if len(r.held) == 0 {
		for n < len(r.used) && (until == event.MinTime || r.used[n].until <= r.settled) {
			r.used[n].free()
			n++
		}
	}
	r.used = slices.Delete(r.used, 0, max(n, len(r.used)-maxUsed))
}

// replayer runs one replay.
type replayer struct {
	Options
	engine  *engine.Engine
	log     wal.Memory
	held    held
	settled event.Time
	records int64
	summary Summary
	used    []usedBatch
}

// usedBatch is a batch that has been judged, or is held back at most until a
// time.
type usedBatch struct {
	free  func()
	until event.Time
}

// maxUsed is how many batches wait for their memory to be used again. Beyond
// that, it is left to the collector of garbage.
const maxUsed = 64

func newReplayer(o Options) (*replayer, error) {
	r := &replayer{Options: o}
	standIns, err := r.standIns()
	if err != nil {
		return nil, err
	}
	r.engine = engine.New(engine.Config{
		Shards:   o.Shards,
		Do:       o.Do,
		Load:     func(string) (*rules.Set, error) { return o.Rules, nil },
		StandIns: standIns,
		Matches:  o.Matches,
		Emitted:  !o.Matches,
		Tracer:   o.tracer,
	})
	return r, nil
}

// standIns says which sources are read as a stream that does not name them.
func (r *replayer) standIns() (map[string]engine.StandIn, error) {
	if r.Log != nil {
		return topicless(r.Log, r.Rules)
	}
	s, err := FindStream(r.Rules, r.Stream)
	if err != nil {
		return nil, err
	}
	in := engine.StandIn{Stream: s.Name}
	if s.Format == "cbor" || s.Format == "influx" && r.Objects {
		in.Format = "json"
	}
	return map[string]engine.StandIn{replaySource: in}, nil
}

// reach notes that events went beyond the time at which event time should end.
func (r *replayer) reach() {
	if r.Until.kind != untilTime {
		return
	}
	marks := r.engine.Watermarks()
	for _, s := range r.Rules.Streams {
		mark, ok := marks[s.Name]
		if latest := mark.Add(s.Watermark.Lag); ok && s.Producer == "" && latest > max(r.Until.time, r.summary.Reached) {
			r.summary.Reached = latest
		}
	}
}

func (r *replayer) batch(b ingest.Batch) error {
	for i := range b.Records {
		b.Records[i].Source = replaySource
	}
	size := r.BatchRecords
	if size <= 0 {
		size = max(len(b.Records), 1)
	}
	done := 0
	for part := range slices.Chunk(b.Records, size) {
		if err := r.append(part, func(i int) string { return b.Locate(done + i) }); err != nil {
			return err
		}
		done += len(part)
	}
	r.records += int64(len(b.Records))
	if r.Progress != nil {
		r.Progress(r.records)
	}
	return nil
}

// append gives records their places and lets the engine judge them. where says
// where a record came from.
func (r *replayer) append(records []event.Record, where func(i int) string) error {
	first, err := r.log.Append(records)
	if err != nil {
		return fmt.Errorf("logging events: %w", err)
	}
	return r.step(records, func(p event.Position) string { return where(int(p.Seq - first.Seq)) })
}

// step lets the engine judge records. where says where the record of a position
// came from.
func (r *replayer) step(records []event.Record, where func(event.Position) string) error {
	out := r.engine.Step(engine.Input{Records: records})
	if out.Reload != nil && out.Reload.Err != nil {
		return out.Reload.Err
	}
	r.summary.Stats.Add(out.Stats)
	for _, s := range r.Rules.Streams {
		if s.Producer == "" && s.LateOf == nil {
			r.summary.Events += out.Stats.Events.Total(s.Name)
		}
	}
	if r.Rejected != nil {
		for _, x := range out.Rejects {
			r.Rejected(where(x.Position), x)
		}
	}
	if r.Matches {
		out.Transitions, out.Emitted = nil, nil
	}
	r.held.add(&out)
	r.settled = out.Settled
	return r.release(out.Settled)
}

func (r *replayer) release(settled event.Time) error {
	return r.held.release(settled, r.Print)
}
