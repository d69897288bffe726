package mqtt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/format"
	"github.com/cepd/cepd/alerting/notify/internal/sample"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/leak"
	"github.com/cepd/cepd/internal/mosquitto"
	"github.com/cepd/cepd/mqttconn"
)

func TestMain(m *testing.M) { leak.Main(m) }

// link passes connections on to a broker, and can cut them.
type link struct {
	net.Listener
	to string

	mu    sync.Mutex
	conns []net.Conn
	down  bool
	wg    sync.WaitGroup
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &link{Listener: l, to: strings.TrimPrefix(to, "mqtt://")}
	k.wg.Go(k.run)
	t.Cleanup(func() { l.Close(); k.cut(true); k.wg.Wait() })
	return k
}

func (k *link) url() string { return "mqtt://" + k.Addr().String() }

func (k *link) run() {
	for {
		in, err := k.Accept()
		if err != nil {
			return
		}
		k.mu.Lock()
		to := k.to
		k.mu.Unlock()
		out, err := net.Dial("tcp", to)
		k.mu.Lock()
		if err != nil || k.down {
			in.Close()
			if out != nil {
				out.Close()
			}
			k.mu.Unlock()
			continue
		}
		k.conns = append(k.conns, in, out)
		k.mu.Unlock()
		pipe := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			to.Close()
			from.Close()
		}
		k.wg.Go(func() { pipe(out, in) })
		k.wg.Go(func() { pipe(in, out) })
	}
}

// cut ends all connections; stay says whether new ones are refused.
func (k *link) cut(stay bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = stay
	for _, c := range k.conns {
		c.Close()
	}
	k.conns = nil
}

// point leads new connections to another broker.
func (k *link) point(to string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.to = strings.TrimPrefix(to, "mqtt://")
}

// TestForgotten tells a broker that kept what was published from one that did
// not, such as one that started anew without its files.
func TestForgotten(t *testing.T) {
	_, url := startBroker(t)
	box := listen(t, url, "listener")
	k := newLink(t, url)
	forgotten := make(chan struct{}, 10)
	c, err := Dial(ClientConfig{Conn: mqttconn.Config{URL: k.url(), ClientID: "keeps"}, Session: true, Forgotten: func() { forgotten <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	s, err := New(Config{Publisher: c, QoS: 1, Retain: true})
	if err != nil {
		t.Fatal(err)
	}
	<-forgotten // it has never known us
	expect(t, box, "cepd/keeps/status online")
	k.cut(false)
	expect(t, box, "cepd/keeps/status online", "cepd/keeps/status offline", "cepd/keeps/status online")
	notifyNow(t, s, delivery(t, "t2", alerting.Raised))
	if len(forgotten) > 0 {
		t.Error("the broker has the session, and counts as having forgotten it")
	}
	_, other := startBroker(t)
	k.point(other)
	k.cut(false)
	<-forgotten
}

// The two alerts that a rule can have do not share a topic.
func TestTimeoutTopic(t *testing.T) {
	var got published
	s, err := New(Config{Publisher: &got, Topic: "a/{rule}/{key}", QoS: 1, Retain: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, labels := range [][]alerting.Label{nil, {{Name: "alertname", Value: "door"}, {Name: "timeout", Value: "true"}}} {
		notifyNow(t, s, notify.NewDelivery(notify.Changed(alerting.Transition{Rule: "door", Change: alerting.Cleared, Labels: labels}), "plant", 0))
	}
	if diff := cmp.Diff(published{"a/door retain=true ", "a/door:timeout retain=true "}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// listen subscribes to everything of cepd, with a client of its own.
func listen(t *testing.T, url, id string) *inbox {
	t.Helper()
	box := newInbox()
	cfg := mqttconn.Config{URL: url, ClientID: id}
	o, err := cfg.Options()
	if err != nil {
		t.Fatal(err)
	}
	o.SetConnectRetryInterval(10 * time.Millisecond) // a broker that is starting up
	c := paho.NewClient(o)
	if token := c.Connect(); !token.WaitTimeout(30*time.Second) || token.Error() != nil {
		t.Fatalf("connecting to %s: %v", url, token.Error())
	}
	t.Cleanup(func() { c.Disconnect(1000) })
	token := c.Subscribe("cepd/#", 1, func(_ paho.Client, m paho.Message) {
		s := m.Topic()
		if m.Retained() {
			s = "retained " + s
		}
		if p := string(m.Payload()); strings.HasPrefix(p, "{") {
			var a struct{ ID, Status string }
			if err := json.Unmarshal(m.Payload(), &a); err != nil {
				t.Errorf("payload %q: %v", p, err)
			}
			s += " " + a.ID + " " + a.Status
		} else if p != "" {
			s += " " + p
		}
		box.add(s)
	})
	if !token.WaitTimeout(30*time.Second) || token.Error() != nil {
		t.Fatalf("subscribing: %v", token.Error())
	}
	// A broker may look for retained messages after it confirmed. When it has
	// answered once more, it has done so.
	if token := c.Unsubscribe("nothing"); !token.WaitTimeout(30*time.Second) || token.Error() != nil {
		t.Fatalf("unsubscribing: %v", token.Error())
	}
	return box
}

func delivery(t *testing.T, id string, c alerting.Change) notify.Delivery {
	tr := alerting.Transition{ID: id, Change: c, Rule: "hot", Key: key(t, event.String("p/1")), Fingerprint: "f1"}
	return notify.NewDelivery(notify.Changed(tr), "plant", 0)
}

func notifyNow(t *testing.T, s *Sink, d notify.Delivery) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Notify(ctx, d); err != nil {
		t.Fatalf("Notify(%s): %v", d.Identity(), err)
	}
}

func expect(t *testing.T, box *inbox, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, box.wait(t, len(want))); diff != "" {
		t.Fatalf("messages (-want +got):\n%s", diff)
	}
}

func TestBrokers(t *testing.T) {
	brokers := map[string]func(*testing.T) string{
		"in process": func(t *testing.T) string { _, url := startBroker(t); return url },
		"mosquitto":  func(t *testing.T) string { return "mqtt://" + mosquitto.Start(t) },
	}
	for name, start := range brokers {
		t.Run(name, func(t *testing.T) {
			url := start(t)
			t.Run("retain", func(t *testing.T) { testRetain(t, url) })
			t.Run("outage", func(t *testing.T) { testOutage(t, url) })
		})
	}
}

// testRetain follows an alert, and what those see who subscribe meanwhile.
func testRetain(t *testing.T, url string) {
	box := listen(t, url, "listener")
	k := newLink(t, url)
	c, err := Dial(ClientConfig{Conn: mqttconn.Config{URL: k.url(), ClientID: "a/b"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Publisher: c, QoS: 1, Retain: true})
	if err != nil {
		t.Fatal(err)
	}
	notifyNow(t, s, delivery(t, "t1", alerting.Raised))
	expect(t, box, "cepd/a%2Fb/status online", "cepd/alerts/hot/p%2F1 t1 firing")
	late := listen(t, url, "late").wait(t, 2)
	if got := strings.Join(late, "\n"); !strings.Contains(got, "retained cepd/alerts/hot/p%2F1 t1 firing") ||
		!strings.Contains(got, "retained cepd/a%2Fb/status online") {
		t.Errorf("a late listener got %q", late)
	}

	k.cut(false)
	expect(t, box, "cepd/a%2Fb/status online", "cepd/alerts/hot/p%2F1 t1 firing", "cepd/a%2Fb/status offline", "cepd/a%2Fb/status online")
	notifyNow(t, s, delivery(t, "t2", alerting.Cleared))
	c.Close(t.Context())
	got := box.wait(t, 6)[4:]
	if diff := cmp.Diff([]string{"cepd/alerts/hot/p%2F1", "cepd/a%2Fb/status offline"}, got); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
	expect(t, listen(t, url, "later"), "retained cepd/a%2Fb/status offline")
	if err := s.Notify(t.Context(), delivery(t, "t3", alerting.Raised)); err == nil {
		t.Error("publishing through a closed client is no error")
	}
}

// testOutage shows that what failed while the broker was away does not turn up
// by itself later, after newer changes.
func testOutage(t *testing.T, url string) {
	box := listen(t, url, "listener2")
	box.wait(t, 1) // what the test before left retained
	k := newLink(t, url)
	k.cut(true)
	c, err := Dial(ClientConfig{Conn: mqttconn.Config{URL: k.url(), ClientID: "c2"}, StatusTopic: "-"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	s, err := New(Config{Publisher: c, QoS: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = s.Notify(ctx, delivery(t, "lost", alerting.Raised))
	var e *notify.Error
	if !errors.As(err, &e) || e.Permanent || e.Reason != notify.ReasonConnection {
		t.Fatalf("without a broker: %#v, want an error of the connection that can be mended", err)
	}
	if c.Connected() {
		t.Error("connected to a broker that is away")
	}
	k.cut(false)
	notifyNow(t, s, delivery(t, "t1", alerting.Raised))
	notifyNow(t, s, delivery(t, "t2", alerting.Cleared))
	got := box.wait(t, 3)[1:]
	if diff := cmp.Diff([]string{"cepd/alerts/hot/p%2F1 t1 firing", "cepd/alerts/hot/p%2F1 t2 resolved"}, got); diff != "" {
		t.Errorf("after the outage (-want +got):\n%s", diff)
	}
}

// published notes what is published.
type published []string

func (p *published) Publish(_ context.Context, topic string, _ byte, retain bool, payload []byte) error {
	*p = append(*p, fmt.Sprintf("%s retain=%v %s", topic, retain, payload))
	return nil
}

// Derived events have a topic of their own, and are never retained.
func TestEvents(t *testing.T) {
	for _, topic := range []string{"", "lake/{rule}"} {
		var got published
		s, err := New(Config{Publisher: &got, EventTopic: topic, QoS: 1, Retain: true})
		if err != nil {
			t.Fatal(err)
		}
		d := alerting.Derived{KnownID: "id1", Rule: "kwh", Key: key(t, event.String("m/1")), Fields: []event.Entry{{Name: "kwh", Value: event.Double(1.5)}}}
		notifyNow(t, s, notify.NewDelivery(notify.Emitted(d), "plant", 0))
		want := "cepd/events/kwh/m%2F1"
		if topic != "" {
			want = "lake/kwh"
		}
		want += ` retain=false {"rule":"kwh","key":"m/1","time":"1970-01-01T00:00:00Z","id":"id1","event":{"kwh":1.5}}`
		if diff := cmp.Diff(published{want}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// CloudEvents are those that a webhook posts; an empty message still takes away
// what was retained.
func TestCloudEvents(t *testing.T) {
	var got published
	s, err := New(Config{Publisher: &got, Topic: "alerts", EventTopic: "events", Retain: true, Format: FormatCloudEvents, ExternalURL: "https://cepd.example"})
	if err != nil {
		t.Fatal(err)
	}
	var want published
	for _, m := range []notify.Message{notify.Changed(sample.Raised()), notify.Changed(sample.Cleared()), notify.Emitted(sample.Derived())} {
		d := notify.NewDelivery(m, "plant", 0)
		notifyNow(t, s, d)
		body := string(format.AppendCloudEvent(nil, &d, "https://cepd.example"))
		switch {
		case m.Derived != nil:
			want = append(want, "events retain=false "+body)
		case m.Transition.Change == alerting.Cleared:
			want = append(want, "alerts retain=true ")
		default:
			want = append(want, "alerts retain=true "+body)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfig(t *testing.T) {
	_, err := New(Config{Topic: "a/#", EventTopic: "e/{fingerprint}", QoS: 3, Format: "xml"})
	for _, want := range []string{"no publisher", `format is "xml"; formats are json and cloudevents`, "no +, #", `event_topic "e/{fingerprint}": {fingerprint} is none of {rule}, {key}`, "qos is 3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want it to say %q", err, want)
		}
	}
	_, err = Dial(ClientConfig{Conn: mqttconn.Config{URL: "mqtt://u:secret@"}, StatusTopic: "x/#"})
	for _, want := range []string{"url", "client_id", "status topic"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Dial: %v, want it to say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows a password: %v", err)
	}
}
