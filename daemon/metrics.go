package daemon

import (
	"context"
	"maps"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest/mqtt"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/web"
)

// newMetrics returns the metrics of a daemon. What sources and sinks count
// themselves is read when somebody looks.
func newMetrics(d *Daemon) *web.Metrics {
	m := web.NewMetrics(web.BuildInfo{Version: d.opts.Version})
	m.Add(web.Reloads, 0, "success")
	m.Add(web.Reloads, 0, "failure")
	m.Set(web.ReloadSuccessful, 1)
	m.OnCollect(d.collect)
	return m
}

// knowRules makes the counters of a set's rules and streams known, so that
// their first increase is seen.
func (d *Daemon) knowRules(set *rules.Set) {
	for _, s := range set.Streams {
		if s.Producer == "" {
			d.metrics.Add(web.Events, 0, s.Name)
			d.metrics.Add(web.Late, 0, s.Name)
		}
	}
	for _, r := range set.Rules {
		d.metrics.Add(web.AlertsRaised, 0, r.Name)
		d.metrics.Add(web.Matches, 0, r.Name)
		if r.Output != nil {
			d.metrics.Add(web.Emitted, 0, r.Name)
		}
	}
}

// observe counts what a step led to, and logs what an operator should know. It
// is called by the loop.
func (d *Daemon) observe(out *engine.Output, records []event.Record) {
	d.mu.Lock()
	d.stats.Add(out.Stats)
	d.mu.Unlock()
	st, m := &out.Stats, d.metrics
	for _, c := range []struct {
		metric web.Metric
		counts engine.Counter
	}{
		{web.Events, st.Events}, {web.Late, st.Late}, {web.Duplicates, st.Duplicates}, {web.NoID, st.NoID},
		{web.ForgottenIDs, st.ForgottenIDs}, {web.Rejected, st.Rejected}, {web.Unrouted, st.Unrouted},
		{web.Mismatches, st.Mismatched}, {web.KeyErrors, st.KeyErrors}, {web.EvalErrors, st.EvalErrors},
		{web.Matches, st.Matches}, {web.Timeouts, st.Timeouts}, {web.Evictions, st.Evictions},
		{web.Emitted, st.Emitted}, {web.AlertsRaised, st.Raised}, {web.AlertsCleared, st.Cleared},
	} {
		web.AddCounts(m, c.metric, c.counts)
	}
	now := d.clock.now()
	for i := range out.Transitions {
		t := &out.Transitions[i]
		d.observeAlert(t, records, now)
		if t.Shadow {
			d.log.Info("alert in shadow mode", "rule", t.Rule, "key", event.KeyText(t.Key), "change", t.Change.String(), "summary", t.Summary)
		}
	}
	for i := range out.Rejects {
		d.logReject(&out.Rejects[i], now)
	}
	for k := range st.Unrouted {
		if !d.unrouted[k.Name] {
			d.unrouted[k.Name] = true
			d.log.Warn("messages are of no stream: no topic of a stream fits theirs; they are counted in cepd_events_unrouted_total", "source", k.Name)
		}
	}
	if now.Sub(d.marked) >= time.Second || out.Deadline == event.MaxTime {
		d.marked = now
		for stream, t := range d.durable.Watermarks() {
			m.SetTime(web.Watermark, t, stream)
		}
		times := d.durable.StreamTimes()
		d.mu.Lock()
		d.times = times
		d.mu.Unlock()
	}
}

// observeAlert measures how long an alert took that a message of this step has
// decided.
func (d *Daemon) observeAlert(t *alerting.Transition, records []event.Record, now event.Time) {
	first := records[0].Pos.Seq
	if i := t.Position.Seq - first; t.Change == alerting.Raised && t.Position.Seq >= first && i < uint64(len(records)) {
		d.metrics.ObserveAlert(now.Sub(records[i].Arrival))
	}
}

// rejectLogEvery is how often messages that are no events are logged, for each
// stream and reason; all are counted.
const rejectLogEvery = 10 * time.Second

// logReject logs a message that is no event, unless one like it was logged a
// moment ago. The payload is not logged: it may hold anything.
func (d *Daemon) logReject(r *engine.Reject, now event.Time) {
	kind := r.Stream + " " + r.Reason
	if last, ok := d.rejected[kind]; ok && now.Sub(last) < rejectLogEvery {
		return
	}
	d.rejected[kind] = now
	d.log.Warn("message rejected", "stream", r.Stream, "source", r.Source, "topic", r.Topic, "reason", r.Reason,
		"position", r.Position.String(), "err", r.Err)
}

// collect sets the metrics that are known elsewhere. It is called when somebody
// asks for the metrics.
func (d *Daemon) collect() {
	d.metrics.Set(web.Watchdog, d.watchdog())
	d.collectState()
	d.collectMemory()
	if !d.running.Load() {
		return
	}
	d.collectLags()
	d.mu.Lock()
	firing := maps.Clone(d.firing)
	for k, n := range d.stats.Raised {
		firing[k.Name] += n
	}
	for k, n := range d.stats.Cleared {
		firing[k.Name] -= n
	}
	d.mu.Unlock()
	for rule, n := range firing {
		d.metrics.Set(web.AlertsFiring, float64(n), rule)
	}
	for name, s := range d.sourceStatus() {
		up := 0.0
		if s.Subscribed {
			up = 1
		}
		d.metrics.Set(web.SourceUp, up, name)
		d.metrics.Set(web.SourceMessages, float64(s.Messages), name)
		for metric, n := range map[web.Metric]uint64{web.SessionsLost: s.SessionsLost, web.SourceShed: s.Shed, web.SourcePauses: s.Pauses} {
			if n > 0 {
				d.metrics.Set(metric, float64(n), name)
			}
		}
	}
	d.collectRequests()
	delivered := d.dispatcher.Stats()
	d.metrics.Set(web.DeadLetterCount, float64(delivered.Outbox.DeadLetters))
	d.metrics.Set(web.DeadLettersLost, 0)
	d.metrics.Set(web.RepeatsLost, 0)
	for l, n := range delivered.Outbox.Losses {
		switch {
		case l.Sink == "" && l.Reason == notify.ReasonTooMany:
			d.metrics.Set(web.DeadLettersLost, float64(n))
		case l.Sink == "":
			d.metrics.Set(web.RepeatsLost, float64(n))
		default:
			d.metrics.Set(web.Deliveries, float64(n), l.Sink, string(l.Reason))
		}
	}
	for _, s := range delivered.Sinks {
		failing := 0.0
		if s.Broken {
			failing = 1
		}
		d.metrics.Set(web.SinkFailing, failing, s.Name)
		d.metrics.Set(web.Deliveries, float64(s.Sent), s.Name, "sent")
		for reason, n := range s.Failed {
			d.metrics.Set(web.Deliveries, float64(n), s.Name, string(reason))
		}
		d.metrics.Set(web.Retries, float64(s.Retries), s.Name)
		d.metrics.Set(web.Pending, float64(s.Pending), s.Name)
		d.metrics.Set(web.OutboxAge, s.Oldest.Seconds(), s.Name)
	}
}

// watchdogWait is how long log and engine may take to answer: longer than a step
// and a slow disk, and short enough for a scrape.
const watchdogWait = 2 * time.Second

// watchdog returns 1 if appender and loop answer, and nothing is in the way of
// their work, else 0.
func (d *Daemon) watchdog() float64 {
	if !d.running.Load() || d.Ready() != nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), watchdogWait)
	defer cancel()
	c := command{done: make(chan error, 1)}
	if d.post(ctx, c) != nil {
		return 0
	}
	select {
	case err := <-c.done:
		if err == nil {
			return 1
		}
	case <-ctx.Done():
	}
	return 0
}

// collectLags tells how far watermarks are behind the clock. A stream that is
// quiet goes on with it, also where no rule wants that, so that nobody ticks.
func (d *Daemon) collectLags() {
	d.mu.Lock()
	times := d.times
	d.mu.Unlock()
	now := d.clock.now()
	d.metrics.Reset(web.WatermarkLag)
	for stream, t := range times {
		if at := t.At(now); at != event.MaxTime {
			d.metrics.Set(web.WatermarkLag, now.Sub(at).Seconds(), stream)
		}
	}
}

// collectState sets the metrics of the state directory.
func (d *Daemon) collectState() {
	if !d.running.Load() || d.state == nil {
		return
	}
	s, m := d.state, d.metrics
	m.Set(web.LogBytes, float64(s.log.Bytes()))
	m.Set(web.OutboxBytes, float64(d.dispatcher.Stats().Outbox.Bytes))
	if free, err := s.fs.Free(s.path); err == nil {
		m.Set(web.DiskFree, float64(free))
	}
	if at := d.saved.Load(); at != 0 {
		m.SetTime(web.SnapshotTime, event.Time(at))
	}
}

// collectMemory sets the metrics of memory.
func (d *Daemon) collectMemory() {
	u, limit := d.memory.read(), d.memory.limit
	d.metrics.Set(web.MemoryLive, float64(u.live))
	d.metrics.Set(web.MemoryFiles, float64(u.files))
	if limit > 0 {
		d.metrics.Set(web.MemoryLimit, float64(limit))
		d.metrics.Set(web.MemoryBudget, float64(u.budget))
	}
}

// sourceStatus returns how the sources are, by name.
func (d *Daemon) sourceStatus() map[string]mqtt.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string]mqtt.Status{}
	for _, s := range d.cfg.Sources {
		all[s.Name] = mqtt.Status{}
	}
	for name, r := range d.sources {
		if m, ok := r.Source.(*mqtt.Source); ok {
			all[name] = m.Status()
			continue
		}
		s := mqtt.Status{Messages: r.messages.Load()}
		select {
		case <-r.done:
		default:
			s.Connected, s.Subscribed = true, true
		}
		all[name] = s
	}
	return all
}

// Connected reports whether a source is read now: a broker that has taken our
// subscriptions, or a file.
func (d *Daemon) Connected(source string) bool { return d.sourceStatus()[source].Subscribed }
