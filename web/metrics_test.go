package web

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/cepd/cepd/event"
)

// filled returns metrics that have a value of every kind.
func filled() *Metrics {
	m := NewMetrics(BuildInfo{Version: "1.2.3", Revision: "abc"})
	for id, d := range definitions {
		m.Add(Metric(id), int64(id)+1, []string{"x", "y"}[:len(d.labels)]...)
	}
	m.ObserveAlert(30 * time.Millisecond)
	m.ObserveSync(time.Millisecond)
	return m
}

// Names and units are as Prometheus users expect them.
func TestLint(t *testing.T) {
	m := filled()
	problems, err := testutil.CollectAndLint(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if got, want := testutil.CollectAndCount(m), len(definitions)+3; got != want {
		t.Errorf("%d metrics, want %d", got, want)
	}
}

// A metric is a counter if and only if it is called one.
func TestKinds(t *testing.T) {
	for id, d := range definitions {
		if strings.HasSuffix(d.name, "_total") == Metric(id).mayGoDown() {
			t.Errorf("%s may go down: %v", d.name, Metric(id).mayGoDown())
		}
		for _, l := range d.labels {
			if l == "key" {
				t.Errorf("%s has a label for each key", d.name)
			}
		}
	}
}

func TestValues(t *testing.T) {
	type key struct{ Name, Detail string }
	m := NewMetrics(BuildInfo{})
	AddCounts(m, Events, map[key]int64{{"telemetry", ""}: 3})
	AddCounts(m, Events, map[key]int64{{"telemetry", ""}: 4, {"doors", ""}: 1})
	AddCounts(m, Timeouts, map[key]int64{{"hot", "a"}: 1, {"hot", "b"}: 1}) // details of a metric without are summed
	AddCounts(m, EvalErrors, map[key]int64{{"hot", "type"}: 2})
	AddCounts(m, Late, map[key]int64{})
	m.Add(Late, 0, "telemetry")
	pending := 0
	m.OnCollect(func() {
		pending++
		m.Reset(Pending)
		m.Set(Pending, float64(pending), "ops")
	})
	m.SetTime(Watermark, 1_500_000_000, "telemetry")
	m.SetTime(Watermark, event.MinTime, "doors")
	m.Set(ReloadSuccessful, 1)
	want := `
# HELP cepd_config_last_reload_successful Whether the last reload of the rules succeeded: 1 or 0.
# TYPE cepd_config_last_reload_successful gauge
cepd_config_last_reload_successful 1
# HELP cepd_deliveries_pending Changes of alerts that a sink is still to get.
# TYPE cepd_deliveries_pending gauge
cepd_deliveries_pending{sink="ops"} 1
# HELP cepd_events_late_total Events that came after the watermark had passed their time.
# TYPE cepd_events_late_total counter
cepd_events_late_total{stream="telemetry"} 0
# HELP cepd_events_total Events read, by stream.
# TYPE cepd_events_total counter
cepd_events_total{stream="doors"} 1
cepd_events_total{stream="telemetry"} 7
# HELP cepd_rule_eval_errors_total Expressions of a rule that failed, by reason.
# TYPE cepd_rule_eval_errors_total counter
cepd_rule_eval_errors_total{reason="type",rule="hot"} 2
# HELP cepd_rule_timeouts_total Partial matches that time ended.
# TYPE cepd_rule_timeouts_total counter
cepd_rule_timeouts_total{rule="hot"} 2
# HELP cepd_watermark_timestamp_seconds Event time up to which a stream has been judged.
# TYPE cepd_watermark_timestamp_seconds gauge
cepd_watermark_timestamp_seconds{stream="telemetry"} 1.5
`
	names := []string{"cepd_config_last_reload_successful", "cepd_deliveries_pending", "cepd_events_late_total", "cepd_events_total",
		"cepd_rule_eval_errors_total", "cepd_rule_timeouts_total", "cepd_watermark_timestamp_seconds"}
	if err := testutil.CollectAndCompare(m, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestWrongLabelsPanic(t *testing.T) {
	defer func() {
		if r := recover(); r == nil {
			t.Error("a wrong number of labels goes unnoticed")
		}
	}()
	NewMetrics(BuildInfo{}).Add(Rejected, 1, "telemetry")
}

func TestConcurrentUse(t *testing.T) {
	m := filled()
	r := m.Registry()
	m.OnCollect(func() { m.Reset(AlertsFiring); m.Set(AlertsFiring, 1, "hot") })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				m.Add(Events, 1, "telemetry")
				m.ObserveAlert(time.Second)
				if _, err := r.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
