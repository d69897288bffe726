package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/rules"
)

// Log is what a daemon logged.
type Log interface {
	// Read calls f for each record after a position, in order. The record's
	// memory, but not what it points to, may be used again.
	Read(after event.Position, f func(*event.Record) error) error
	// First is the position of the first record.
	First() event.Position
}

// logBatch is how many records of a log are judged in one step.
const logBatch = 4096

// readLog judges the records of the log at the positions that they have.
func (r *replayer) readLog(ctx context.Context) error {
	l := logReader{replayer: r, size: logBatch}
	if r.BatchRecords > 0 {
		l.size = r.BatchRecords
	}
	if first := r.Log.First(); first.Seq > 1 { // its rules came into force before
		l.add(event.Record{Kind: event.KindRuleSet, Pos: event.Position{Seq: first.Seq - 1}})
	}
	err := r.Log.Read(event.Position{}, func(rec *event.Record) error {
		if len(l.batch) >= l.size {
			if err := errors.Join(ctx.Err(), l.flush()); err != nil {
				return err
			}
		}
		l.add(*rec)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	if err := l.flush(); err != nil {
		return err
	}
	r.reach()
	end := r.Until.record()
	end.Pos = event.Position{Seq: l.last.Seq + 1}
	return r.step([]event.Record{end}, nil)
}

// logReader collects the records of a log for steps.
type logReader struct {
	*replayer
	size    int
	batch   []event.Record
	inForce bool // the rules of the replay are
	last    event.Position
}

// add puts a record into the next batch. The first rule set of a log gives way to
// the rules of the replay, and what came into force later is left out.
func (l *logReader) add(rec event.Record) {
	switch rec.Kind {
	case event.KindRuleSet:
		if l.inForce {
			return
		}
		l.inForce = true
		rec.Payload = []byte(l.Rules.Hash)
	case event.KindTables:
		return
	}
	l.batch = append(l.batch, rec)
	l.last = rec.Pos
}

func (l *logReader) flush() error {
	if len(l.batch) == 0 {
		return nil
	}
	records := l.batch
	l.records += int64(len(records))
	first := records[0].Pos.Seq
	err := l.step(records, func(p event.Position) string { return place(records, p, first) })
	clear(records) // their payloads are the engine's
	l.batch = records[:0]
	if l.Progress != nil {
		l.Progress(l.records)
	}
	return err
}

// place says where a record of the log came from.
func place(records []event.Record, p event.Position, first uint64) string {
	for i := min(int(p.Seq-first), len(records)-1); i >= 0; i-- { // some may be left out before it
		if r := &records[i]; r.Pos == p {
			return strings.TrimRight(fmt.Sprint(p, " ", r.Source, " ", r.Topic), " ")
		}
	}
	return p.String()
}

// errFound ends a reading of the log.
var errFound = errors.New("found")

// topicless returns the stand-ins for sources whose messages have no topic: the
// only stream that reads such a source takes all of them, whatever its own topic.
// It reads the log until it has seen a message of each source in question.
func topicless(log Log, set *rules.Set) (map[string]engine.StandIn, error) {
	readers := map[string][]*rules.Stream{}
	for _, s := range set.Streams {
		if s.Producer != "" {
			continue
		}
		if s.Source == "" {
			return nil, fmt.Errorf("%w: %s names no `source`, and the messages of a log are of the source that they came from", ErrStream, s.Name)
		}
		readers[s.Source] = append(readers[s.Source], s)
	}
	unknown := map[string]bool{}
	for source, all := range readers {
		if len(all) == 1 && all[0].Topic != nil {
			unknown[source] = true
		}
	}
	out := map[string]engine.StandIn{}
	if len(unknown) == 0 {
		return out, nil
	}
	err := log.Read(event.Position{}, func(rec *event.Record) error {
		if rec.Kind != event.KindMessage || !unknown[rec.Source] {
			return nil
		}
		if delete(unknown, rec.Source); rec.Topic == "" {
			out[rec.Source] = engine.StandIn{Stream: readers[rec.Source][0].Name}
		}
		if len(unknown) == 0 {
			return errFound
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFound) {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	return out, nil
}
