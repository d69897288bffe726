package daemon

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/webhook"
	"github.com/cepd/cepd/config"
)

// A receiver that does not take an alert makes a dead letter of it. When it is
// mended the alert is sent again, by a command that asks the daemon that runs,
// under the same id.
func TestDeadLetters(t *testing.T) {
	ids := make(chan string, 10)
	status := make(chan int, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(<-status)
		ids <- r.Header.Get("Webhook-Id")
	}))
	defer receiver.Close()
	dir := filepath.Join(t.TempDir(), "state")
	r := newRigWith(t, tooHot, func(o *Options) {
		o.Config.State.Dir, o.Config.State.MinFree, o.Log = dir, 32<<20, nil
		o.Config.HTTP.Listen = "127.0.0.1:0"
		o.Config.OwnAlerts.Off = true // or the receiver is told that it takes nothing, sooner or later
		o.Config.Sinks = []config.Sink{{Name: "ops", Type: "webhook", Webhook: config.WebhookSink{Config: webhook.Config{URL: receiver.URL}}}}
	})
	r.start(t)
	defer http.DefaultClient.CloseIdleConnections()
	defer r.stop(t)
	letters, err := OpenDeadLetters(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := func() (all []notify.DeadLetter) {
		if err := letters.Each(func(l *notify.DeadLetter) error { all = append(all, *l); return nil }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	status <- http.StatusForbidden
	r.source.feed(time.Now(), reading("p1", 85))
	first := <-ids
	for len(list()) == 0 {
		runtime.Gosched()
	}
	l := list()[0]
	if l.Reason != notify.ReasonAuth || l.Delivery.ID != first || !strings.Contains(l.Error, "403") || l.Delivery.Transition.Rule != "too-hot" {
		t.Errorf("dead letter %+v", l)
	}
	if got := r.metric(t, "cepd_dead_letters"); got != "1" {
		t.Errorf("%s dead letters are counted", got)
	}
	if got := get(t, "http://"+r.Addr()+"/api/v1/dead-letters"); !strings.HasPrefix(got, `{"number":1,"sink":"ops","reason":"auth","error":"posting to `) {
		t.Errorf("the daemon lists %s", got)
	}
	status <- http.StatusOK
	if n, err := letters.Retry(t.Context(), []uint64{l.Seq, 99}); n != 1 || err != nil {
		t.Errorf("%d sent again, %v", n, err)
	}
	if again := <-ids; again != first {
		t.Errorf("the id was %s and is %s now", first, again)
	}
	if all := list(); len(all) != 0 {
		t.Errorf("left: %+v", all)
	}
	if n, err := letters.Purge(t.Context(), []uint64{l.Seq}); n != 0 || err != nil {
		t.Errorf("%d forgotten, %v", n, err)
	}
}

// What a sink has not got when the daemon stops, it gets from the next one.
func TestStopKeepsWhatIsLeft(t *testing.T) {
	up := make(chan string, 10)
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { up <- r.Header.Get("Webhook-Id") }))
	defer receiver.Close()
	dir := filepath.Join(t.TempDir(), "state")
	start := func() *rig {
		r := newRigWith(t, tooHot, func(o *Options) {
			o.Config.State.Dir, o.Config.State.MinFree, o.Log = dir, 64<<20, nil
			o.StopTimeout = time.Millisecond
			o.Config.Sinks = []config.Sink{{Name: "ops", Type: "webhook", Webhook: config.WebhookSink{Config: webhook.Config{URL: "http://" + receiver.Listener.Addr().String()}}}}
		})
		r.start(t)
		return r
	}
	r := start() // the receiver takes connections, and answers nothing
	r.source.feed(time.Now(), reading("p1", 85))
	r.effect(t)
	r.stop(t)
	receiver.Start()
	r = start()
	defer http.DefaultClient.CloseIdleConnections()
	defer r.stop(t)
	if id := <-up; !strings.HasPrefix(id, "msg_") {
		t.Errorf("it got %q", id)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	buf := make([]byte, 1024)
	for {
		n, err := resp.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}
