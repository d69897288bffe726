package web

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/cepd/cepd/event"
)

// Metric is one of cepd's metrics. Its labels are those of its line in the
// list below, in the order in which methods take their values.
type Metric uint8

// The metrics.
const (
	Events           Metric = iota // by stream
	Late                           // by stream
	Duplicates                     // by stream and reason
	NoID                           // by stream
	ForgottenIDs                   // by stream
	Rejected                       // by stream and reason
	Unrouted                       // by source
	Mismatches                     // by stream
	KeyErrors                      // by stream and reason
	EvalErrors                     // by rule and reason
	Matches                        // by rule
	Timeouts                       // by rule
	Evictions                      // by rule and reason
	Emitted                        // by rule
	AlertsRaised                   // by rule
	AlertsCleared                  // by rule and reason
	AlertsFiring                   // by rule; may go down
	Watermark                      // by stream; may go down
	WatermarkLag                   // by stream; may go down
	SourceUp                       // by source; may go down
	SourceMessages                 // by source
	SourceRequests                 // by source and code
	Deliveries                     // by sink and result
	Retries                        // by sink
	Pending                        // by sink; may go down
	SinkFailing                    // by sink; may go down
	DeadLetterCount                // may go down
	DeadLettersLost                //
	RepeatsLost                    //
	Reloads                        // by result
	ReloadSuccessful               // may go down
	SessionsLost                   // by source
	LogBytes                       // may go down
	OutboxBytes                    // may go down
	OutboxAge                      // by sink; may go down
	DiskFree                       // may go down
	Snapshots                      // by result
	SnapshotTime                   // may go down
	SnapshotDuration               // may go down
	SnapshotPause                  // may go down
	SnapshotRows                   // may go down
	RecoverySeconds                // may go down
	RecoveryRecords                // may go down
	StateDamaged                   // by what
	Watchdog                       // may go down
	SourceShed                     // by source
	SourcePauses                   // by source
	MemoryLimit                    // may go down
	MemoryBudget                   // may go down
	MemoryLive                     // may go down
	MemoryFiles                    // may go down
)

// definitions has a line for each Metric.
var definitions = [...]struct {
	name   string
	help   string
	labels []string
}{
	Events:           {"events_total", "Events read, by stream.", []string{"stream"}},
	Late:             {"events_late_total", "Events that came after the watermark had passed their time.", []string{"stream"}},
	Duplicates:       {"events_duplicate_total", "Events that had come before and changed nothing, by how they were known.", []string{"stream", "reason"}},
	NoID:             {"events_without_id_total", "Events that have nothing where their stream has its id.", []string{"stream"}},
	ForgottenIDs:     {"ids_forgotten_total", "Ids of events that were forgotten before their time to make room for others.", []string{"stream"}},
	Rejected:         {"events_rejected_total", "Messages of a stream that gave no event, by reason.", []string{"stream", "reason"}},
	Unrouted:         {"events_unrouted_total", "Messages that belong to no stream, by source.", []string{"source"}},
	Mismatches:       {"field_mismatches_total", "Fields that were not of their declared type.", []string{"stream"}},
	KeyErrors:        {"key_errors_total", "Events without a usable key for a rule, by reason.", []string{"stream", "reason"}},
	EvalErrors:       {"rule_eval_errors_total", "Expressions of a rule that failed, by reason.", []string{"rule", "reason"}},
	Matches:          {"rule_matches_total", "Matches of a rule.", []string{"rule"}},
	Timeouts:         {"rule_timeouts_total", "Partial matches that time ended.", []string{"rule"}},
	Evictions:        {"rule_evictions_total", "State of a rule that was dropped to stay within a limit, by reason.", []string{"rule", "reason"}},
	Emitted:          {"rule_emitted_events_total", "Derived events that a rule gave.", []string{"rule"}},
	AlertsRaised:     {"alerts_raised_total", "Alerts raised.", []string{"rule"}},
	AlertsCleared:    {"alerts_cleared_total", "Alerts cleared, by reason.", []string{"rule", "reason"}},
	AlertsFiring:     {"alerts_firing", "Alerts that are firing now.", []string{"rule"}},
	Watermark:        {"watermark_timestamp_seconds", "Event time up to which a stream has been judged.", []string{"stream"}},
	WatermarkLag:     {"watermark_lag_seconds", "How far the watermark of a stream is behind the clock.", []string{"stream"}},
	SourceUp:         {"source_up", "Whether a source is connected: 1 or 0.", []string{"source"}},
	SourceMessages:   {"source_messages_total", "Messages received from a source.", []string{"source"}},
	SourceRequests:   {"source_requests_total", "Requests to an HTTP source that were answered, by status code.", []string{"source", "code"}},
	Deliveries:       {"deliveries_total", "Changes of alerts that a sink got (result sent) or never will (result says why).", []string{"sink", "result"}},
	Retries:          {"delivery_retries_total", "Tries to deliver that failed and are made again.", []string{"sink"}},
	Pending:          {"deliveries_pending", "Changes of alerts that a sink is still to get.", []string{"sink"}},
	SinkFailing:      {"sink_failing", "Whether the circuit breaker of a sink is open, so that one delivery at a time is tried: 1 or 0.", []string{"sink"}},
	DeadLetterCount:  {"dead_letters", "Deliveries that were given up and are kept to be looked at.", nil},
	RepeatsLost:      {"repeats_dropped_total", "Alerts that fire and are not sent again any more, since the outbox was full.", nil},
	DeadLettersLost:  {"dead_letters_dropped_total", "Dead letters that newer ones, or the size of the outbox, have pushed out.", nil},
	Reloads:          {"reloads_total", "Reloads of the rules, by result: success or failure.", []string{"result"}},
	ReloadSuccessful: {"config_last_reload_successful", "Whether the last reload of the rules succeeded: 1 or 0.", nil},
	SessionsLost:     {"source_sessions_lost_total", "Times that a broker had forgotten the session of a source, and with it what it had kept.", []string{"source"}},
	LogBytes:         {"log_bytes", "Size of the input log on the disk.", nil},
	OutboxBytes:      {"outbox_bytes", "Size of the outbox on the disk.", nil},
	OutboxAge:        {"outbox_oldest_seconds", "Age of the oldest change that a sink is still to get; 0 if there is none.", []string{"sink"}},
	DiskFree:         {"disk_free_bytes", "Room on the disk of the state directory.", nil},
	Snapshots:        {"snapshots_total", "Snapshots of the state, by result: success or failure.", []string{"result"}},
	SnapshotTime:     {"snapshot_timestamp_seconds", "When the last snapshot was taken.", nil},
	SnapshotDuration: {"snapshot_duration_seconds", "Time that the last snapshot took, while events were judged.", nil},
	SnapshotPause:    {"snapshot_pause_seconds", "Longest time at once that no event was judged for the last snapshot.", nil},
	SnapshotRows:     {"snapshot_rows", "Rows that the last snapshot wrote: the state that had changed.", nil},
	RecoverySeconds:  {"recovery_seconds", "Time that recovery took at the start.", nil},
	RecoveryRecords:  {"recovery_records", "Records of the log that took effect again at the start.", nil},
	StateDamaged:     {"state_damaged_total", "Damage that was found in the state and worked around, by what: key or snapshot.", []string{"what"}},
	SourceShed:       {"source_messages_shed_total", "Messages of QoS 0 for which a source had no room.", []string{"source"}},
	SourcePauses:     {"source_pauses_total", "Times that a source disconnected, its session kept, since its buffer was full.", []string{"source"}},
	MemoryLimit:      {"memory_limit_bytes", "Memory that the process may use.", nil},
	MemoryBudget:     {"memory_heap_budget_bytes", "The part of the limit that is left for the heap.", nil},
	MemoryLive:       {"memory_heap_live_bytes", "What was in use of the heap when garbage was last collected.", nil},
	MemoryFiles:      {"memory_files_bytes", "Pages of files in memory: the program, and the database of snapshots.", nil},
	Watchdog:         {"watchdog", "1 if log and engine answered just now, 0 if not. Missing or 0: cepd does not work.", nil},
}

// mayGoDown says which metrics are gauges.
func (id Metric) mayGoDown() bool {
	switch id {
	case AlertsFiring, Watermark, WatermarkLag, SourceUp, Pending, SinkFailing, DeadLetterCount, ReloadSuccessful, LogBytes, OutboxBytes, OutboxAge, DiskFree,
		SnapshotTime, SnapshotDuration, SnapshotPause, SnapshotRows, RecoverySeconds, RecoveryRecords, Watchdog,
		MemoryLimit, MemoryBudget, MemoryLive, MemoryFiles:
		return true
	}
	return false
}

// maxLabels is the most labels that a metric of ours has.
const maxLabels = 2

type labels [maxLabels]string

// BuildInfo says which cepd this is.
type BuildInfo struct {
	Version  string
	Revision string // of the source; empty where it is not known
}

// Metrics holds what cepd counts. It is a [prometheus.Collector].
type Metrics struct {
	descs   []*prometheus.Desc
	info    prometheus.Gauge
	latency prometheus.Histogram
	syncs   prometheus.Histogram

	collecting sync.Mutex // held for a whole scrape
	hook       func()

	mu     sync.Mutex
	values []map[labels]float64 // by Metric
}

// NewMetrics returns metrics that have counted nothing.
func NewMetrics(b BuildInfo) *Metrics {
	m := &Metrics{
		info: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cepd_build_info", Help: "Always 1; the labels say which cepd this is.",
			ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": runtime.Version()},
		}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "cepd_event_to_alert_seconds", Help: "Time from the arrival of the message that decided an alert to its place in the outbox.",
			Buckets:                     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}),
	}
	m.syncs = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "cepd_log_sync_seconds", Help: "Time that it took to make a group of records durable.",
		Buckets:                     []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	})
	m.info.Set(1)
	for _, d := range definitions {
		m.descs = append(m.descs, prometheus.NewDesc("cepd_"+d.name, d.help, d.labels, nil))
		m.values = append(m.values, map[labels]float64{})
	}
	return m
}

// Registry returns a registry of m and of what Go and the operating system say
// of the process.
func (m *Metrics) Registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// OnCollect sets a function that runs before the metrics are collected, to set
// those that are known elsewhere, such as gauges and totals of the sinks. It
// never runs twice at once.
func (m *Metrics) OnCollect(f func()) {
	m.collecting.Lock()
	defer m.collecting.Unlock()
	m.hook = f
}

func labelsOf(id Metric, values []string) labels {
	if want := definitions[id].labels; len(values) != len(want) {
		panic(fmt.Sprintf("metric %s has labels %q, got values %q", definitions[id].name, want, values))
	}
	var l labels
	copy(l[:], values)
	return l
}

// Add adds n to a metric. Adding 0 makes it known that it is counted, which
// lets a first increase be seen.
func (m *Metrics) Add(id Metric, n int64, values ...string) {
	l := labelsOf(id, values)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[id][l] += float64(n)
}

// Set sets a metric: a gauge, or a counter whose total is counted elsewhere.
func (m *Metrics) Set(id Metric, v float64, values ...string) {
	l := labelsOf(id, values)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[id][l] = v
}

// SetTime sets a metric to a point in time; at the ends of time it does
// nothing, since there is no such timestamp.
func (m *Metrics) SetTime(id Metric, t event.Time, values ...string) {
	if t != event.MinTime && t != event.MaxTime {
		m.Set(id, float64(t)/1e9, values...)
	}
}

// Reset forgets all values of a metric, as before those of a new set of rules
// are set.
func (m *Metrics) Reset(id Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.values[id])
}

// AddCounts adds what was counted by a name and a detail, which are the
// values of the metric's labels; a metric of one label takes the names.
func AddCounts[K ~struct{ Name, Detail string }, C ~map[K]int64](m *Metrics, id Metric, counts C) {
	if len(counts) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, n := range counts {
		c := struct{ Name, Detail string }(k)
		l := labels{c.Name, c.Detail}
		if len(definitions[id].labels) == 1 {
			l[1] = ""
		}
		m.values[id][l] += float64(n)
	}
}

// ObserveAlert counts an alert that was in the outbox so long after the
// message that decided it had arrived.
func (m *Metrics) ObserveAlert(d time.Duration) { m.latency.Observe(d.Seconds()) }

// ObserveSync counts a group of records that was durable after so long.
func (m *Metrics) ObserveSync(d time.Duration) { m.syncs.Observe(d.Seconds()) }

// Describe tells the registry which metrics there are.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	m.info.Describe(ch)
	m.latency.Describe(ch)
	m.syncs.Describe(ch)
	for _, d := range m.descs {
		ch <- d
	}
}

// Collect gives the registry the values.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.collecting.Lock()
	defer m.collecting.Unlock()
	if m.hook != nil {
		m.hook()
	}
	m.info.Collect(ch)
	m.latency.Collect(ch)
	m.syncs.Collect(ch)
	for _, v := range m.snapshot() { // not under the lock: whoever reads the channel may be slow
		ch <- v
	}
}

func (m *Metrics) snapshot() []prometheus.Metric {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []prometheus.Metric
	for i, values := range m.values {
		id := Metric(i)
		kind := prometheus.CounterValue
		if id.mayGoDown() {
			kind = prometheus.GaugeValue
		}
		for l, v := range values { // the registry sorts
			out = append(out, prometheus.MustNewConstMetric(m.descs[i], kind, v, l[:len(definitions[id].labels)]...))
		}
	}
	return out
}
