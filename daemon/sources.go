package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/ingest/file"
	"github.com/cepd/cepd/ingest/mqtt"
	"github.com/cepd/cepd/rules"
)

// openSource starts the source that a part of cepd.yaml describes.
func (d *Daemon) openSource(s config.Source, subs []mqtt.Subscription, was earlier) (ingest.Source, error) {
	if src := d.opts.Sources[s.Name]; src != nil {
		return src, nil
	}
	switch s.Type {
	case "mqtt":
		return d.openMQTT(s, subs, was)
	case "http":
		return d.openIntake(s)
	case "file":
		cfg := file.Config{Path: s.File.Path, Format: fileFormat(d.Rules(), s), Source: s.Name, Topic: s.File.Topic, Announce: true, Arrival: d.clock.now}
		if cfg.Path == "-" {
			cfg.Reader = d.opts.Stdin
		}
		return file.Open(cfg)
	}
	return nil, fmt.Errorf("source %s has the unknown type %q", s.Name, s.Type)
}

// subscriptions returns the topic filters of the streams that a source feeds,
// sorted, each once. A stream without a topic takes all topics.
func subscriptions(set *rules.Set, source string, qos byte) []mqtt.Subscription {
	var subs []mqtt.Subscription
	for _, s := range set.Streams {
		if s.Source != source {
			continue
		}
		filter := "#"
		if s.Topic != nil {
			filter = s.Topic.Filter()
		}
		subs = append(subs, mqtt.Subscription{Filter: filter, QoS: qos})
	}
	slices.SortFunc(subs, func(a, b mqtt.Subscription) int { return cmp.Compare(a.Filter, b.Filter) })
	return slices.Compact(subs)
}

// standIn lets all messages of a source without topics be events of the stream
// that reads it, whatever topic the stream has: its captures are fields of the
// messages. Streams that share such a source get none by topic. It is called by
// the loop, before the rules come into force.
func (d *Daemon) standIn(r *ruleSet) { standIns(d.standIns, r) }

func standIns(all map[string]engine.StandIn, r *ruleSet) {
	clear(all)
	for _, source := range r.topicless {
		if readers := readersOf(r.set, source); len(readers) == 1 && readers[0].Topic != nil {
			all[source] = engine.StandIn{Stream: readers[0].Name}
		}
	}
}

// readersOf returns the streams that read a source.
func readersOf(set *rules.Set, source string) []*rules.Stream {
	return slices.DeleteFunc(slices.Clone(set.Streams), func(s *rules.Stream) bool { return s.Source != source })
}

// fileFormat returns the format of a file source: what it says, else what the
// file's name tells, else that of the stream that reads it.
func fileFormat(set *rules.Set, s config.Source) string {
	usual := s.File.Holds()
	if readers := readersOf(set, s.Name); usual == "" && len(readers) == 1 && readers[0].Format == "csv" {
		return "csv"
	}
	return usual
}

// maxWaiting is how many messages may wait for one sink before files are read
// no further. A file gives events faster than any sink takes them, and loses
// nothing by being read later; a broker is not made to wait for a sink.
const maxWaiting = 1 << 16

// runningSource is a source with the goroutine that reads it.
type runningSource struct {
	ingest.Source
	subs   []mqtt.Subscription // that it was opened with
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended

	patient  bool          // it is not read faster than sinks take what comes of it
	messages atomic.Uint64 // that were read, where the source does not count them
}

// startSources opens the sources that the rules read.
func (d *Daemon) startSources(context.Context) error {
	d.started("reading", d.stopReading)
	d.reading = len(d.cfg.Sources)
	for _, s := range d.cfg.Sources {
		if err := d.runSource(s, subscriptions(d.Rules(), s.Name, s.MQTT.QoS), earlier{}); err != nil {
			return err
		}
	}
	return nil
}

// earlier is what a source was before it was opened anew.
type earlier struct {
	conn   uint64   // number of its last connection
	topics []string // that it was subscribed to
}

// runSource opens a source and starts to read it.
func (d *Daemon) runSource(s config.Source, subs []mqtt.Subscription, was earlier) error {
	if len(subs) == 0 {
		d.log.Warn("no stream reads from the source", "source", s.Name)
		return nil
	}
	src, err := d.openSource(s, subs, was)
	if err != nil {
		return fmt.Errorf("source %s: %w", s.Name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &runningSource{Source: src, subs: subs, cancel: cancel, done: make(chan struct{}), patient: s.Type == "file"}
	d.mu.Lock()
	d.sources[s.Name] = r
	d.mu.Unlock()
	d.memory.mu.Lock()
	d.boundSources()
	d.memory.mu.Unlock()
	go func() {
		defer close(r.done)
		d.readSource(ctx, s.Name, r)
	}()
	return nil
}

// stopReading ends the goroutines that read. What they have read is on its way
// to the loop, and is acknowledged from there: the sources stay open. A source
// that waits for a pipe cannot be interrupted; it is left behind when ctx ends,
// or at once if the pipe is the standard input.
func (d *Daemon) stopReading(ctx context.Context) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.closing = true
	for _, r := range d.sources {
		r.cancel()
	}
	for name, r := range d.sources {
		select {
		case <-r.done:
		case <-ctx.Done():
			d.log.Warn("source does not stop", "source", name)
		}
	}
}

// closeSources closes the sources, once the loop has ended.
func (d *Daemon) closeSources() {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	for name, r := range d.sources {
		if err := r.Close(); err != nil {
			d.log.Warn("closing failed", "source", name, "err", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.sources)
}

// resubscribe opens the sources anew whose topics a new rule set has changed.
// The broker keeps the session, so that nothing is lost in between.
func (d *Daemon) resubscribe(set *rules.Set) error {
	var errs []error
	for _, s := range d.cfg.Sources {
		subs := subscriptions(set, s.Name, s.MQTT.QoS)
		r := d.sources[s.Name]
		if d.opts.Sources[s.Name] != nil || s.Type != "mqtt" && r != nil || r != nil && slices.Equal(r.subs, subs) {
			continue
		}
		var was earlier
		if r != nil {
			r.cancel()
			<-r.done
			if err := r.Close(); err != nil {
				errs = append(errs, fmt.Errorf("source %s: %w", s.Name, err))
			}
			if m, ok := r.Source.(*mqtt.Source); ok {
				was.conn = m.Status().Conn
			}
			for _, sub := range r.subs {
				was.topics = append(was.topics, sub.Filter)
			}
			d.mu.Lock()
			delete(d.sources, s.Name)
			d.mu.Unlock()
			errs = append(errs, d.disconnected(s.Name)) // it could not say so itself
		}
		d.log.Info("topics have changed", "source", s.Name, "topics", len(subs))
		errs = append(errs, d.runSource(s, subs, was))
	}
	return errors.Join(errs...)
}

// disconnected tells the log that a source is closed while the daemon goes on.
func (d *Daemon) disconnected(source string) error {
	down := event.Record{Kind: event.KindSourceDown, Source: source, Arrival: d.clock.now()}
	return d.send(context.Background(), command{records: []event.Record{down}, done: make(chan error, 1)})
}

// readSource hands what a source reads to the loop until the source ends or
// ctx is cancelled.
func (d *Daemon) readSource(ctx context.Context, name string, src *runningSource) {
	for {
		b, err := src.Read(ctx)
		if err != nil {
			d.sourceEnded(ctx, name, err)
			return
		}
		if ctx.Err() != nil { // the loop may have ended
			b.Ack(ctx.Err())
			return
		}
		src.messages.Add(messages(b.Records))
		if src.patient && d.dispatcher.Await(ctx, maxWaiting) != nil {
			b.Ack(ctx.Err())
			return
		}
		bytes := sizeOf(b.Records)
		if d.throttle.acquire(ctx, bytes) != nil {
			b.Ack(ctx.Err())
			return
		}
		select {
		case d.batches <- sourceBatch{name, bytes, b}:
		case <-ctx.Done():
			b.Ack(ctx.Err())
			return
		}
	}
}

// messages counts the records that are messages, not announcements.
func messages(records []event.Record) uint64 {
	n := uint64(0)
	for i := range records {
		if records[i].Kind == event.KindMessage {
			n++
		}
	}
	return n
}

// sourceEnded notes why a source gives no more, and lets the daemon end when
// none is left.
func (d *Daemon) sourceEnded(ctx context.Context, name string, err error) {
	switch {
	case ctx.Err() != nil || errors.Is(err, ingest.ErrClosed):
		return
	case errors.Is(err, io.EOF):
		d.log.Info("source has ended", "source", name)
	default:
		d.log.Error("source failed", "source", name, "err", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reading--; d.reading == 0 {
		d.finish(nil)
	}
}
