package daemon

import (
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/file"
	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/engine"
)

// ops adds a sink that a test speaks for.
func ops(t *testing.T) func(o *Options) {
	path := filepath.Join(t.TempDir(), "ops.jsonl")
	return func(o *Options) {
		o.Config.Sinks = append(o.Config.Sinks, config.Sink{Name: "ops", Type: "file", File: file.Config{Path: path}})
		o.Config.OwnAlerts.To = []string{"out"}
	}
}

// ends says how a delivery to ops of a rule's alert has ended.
func (r *rig) ends(rule string, f *notify.Failure) {
	v := notify.NewDelivery(notify.Changed(alerting.Transition{Rule: rule}), "ops", 0)
	r.givenUp.ended(v, f)
}

// TestGivenUp: deliveries that are given up are one alert for each sink, until some
// have come through and none has been given up for a while.
func TestGivenUp(t *testing.T) {
	refused := &notify.Failure{Reason: notify.ReasonAuth, Error: "status 403 Forbidden", Tries: 1}
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, tooHot, ops(t))
		r.start(t)
		defer r.stop(t)
		const raised = "raised cepd:dead-letters ops: sink ops does not get what it should: status 403 Forbidden (auth)"
		const cleared = "cleared cepd:dead-letters ops: clear"
		steps := []struct {
			what string
			rule string
			how  *notify.Failure
			then time.Duration
			want []string
		}{
			{"one comes through", "too-hot", nil, 10 * time.Minute, nil},
			{"the alert itself is given up", engine.RuleDeadLetters, refused, 10 * time.Minute, nil},
			{"one is given up", "too-hot", refused, time.Second, []string{raised}},
			{"and one more", "too-hot", refused, 10 * time.Minute, nil},
			{"the alert itself comes through", engine.RuleDeadLetters, nil, 10 * time.Minute, nil},
			{"one comes through at last", "too-hot", nil, time.Minute, []string{cleared}},
			{"some are given up", "too-hot", refused, time.Minute, []string{raised}},
			{"and some are not", "too-hot", nil, time.Minute, nil},
			{"again", "too-hot", refused, 4 * time.Minute, nil},
			{"then all come through", "too-hot", nil, 30 * time.Second, nil},
			{"for a while", "too-hot", nil, 50 * time.Second, []string{cleared}},
		}
		var want []string
		for _, s := range steps {
			r.ends(s.rule, s.how)
			time.Sleep(s.then)
			synctest.Wait()
			want = append(want, s.want...)
			if d := cmp.Diff(want, r.out.changes(t)); d != "" {
				t.Fatalf("%s: %s", s.what, d)
			}
		}
	})
}

// TestGivenUpRestart: what fires goes on across a restart and is not told again. A
// sink that is taken out of the configuration clears its alert.
func TestGivenUpRestart(t *testing.T) {
	r := keptRigWith(t, tooHot, filepath.Join(t.TempDir(), "state"), ops(t))
	r.start(t)
	const firing = `cepd_alerts_firing{rule="cepd:dead-letters"}`
	r.ends("too-hot", &notify.Failure{Reason: notify.ReasonClient, Error: "status 400 Bad Request"})
	for r.metric(t, firing) != "1" { // somebody is told of it, and tells the log
		runtime.Gosched()
	}
	r.stop(t)
	r = r.again(t, ops(t))
	r.ends("too-hot", &notify.Failure{Reason: notify.ReasonClient, Error: "status 400 Bad Request"})
	if err := r.watchSinks(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.metric(t, firing); got != "1" {
		t.Errorf("%q alerts fire after a restart", got)
	}
	r.stop(t)
	r = r.again(t, same)
	r.stop(t)
	want := []string{
		"raised cepd:dead-letters ops: sink ops does not get what it should: status 400 Bad Request (client)", "cleared cepd:dead-letters ops: clear",
	}
	if d := cmp.Diff(want, r.out.changes(t)); d != "" {
		t.Error(d)
	}
}
