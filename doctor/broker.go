package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/mqttconn"
)

// client is a connection of the doctor's own.
type client struct {
	paho.Client
	opts *paho.ClientOptions
	wait time.Duration
}

func (c *client) close() { c.Disconnect(250) }

// done waits for an answer of the broker.
func (c *client) done(ctx context.Context, t paho.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-time.After(c.wait):
		return fmt.Errorf("no answer within %v", c.wait)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func randomName() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// dial connects once. change may set further options.
func (x *examination) dial(ctx context.Context, conn mqttconn.Config, change func(*paho.ClientOptions)) (*client, error) {
	conn.ClientID = "cepd-doctor-" + randomName()
	opts, err := conn.Options()
	if err != nil {
		return nil, err
	}
	opts.SetConnectRetry(false)
	opts.SetAutoReconnect(false)
	opts.SetConnectTimeout(x.Timeout)
	opts.SetCleanSession(true)
	if change != nil {
		change(opts)
	}
	c := &client{paho.NewClient(opts), opts, x.Timeout}
	if err := c.done(ctx, c.Connect()); err != nil {
		c.Disconnect(0)
		return nil, err
	}
	return c, nil
}

// connect reports whether a broker lets us in; nil if it does not.
func (x *examination) connect(ctx context.Context, conn mqttconn.Config) *client {
	where := mqttconn.Redact(conn.URL)
	c, err := x.dial(ctx, conn, nil)
	if err != nil {
		x.say(Fail, fmt.Sprintf("cannot connect to %s: %v", where, err), connectAdvice(conn)...)
		return nil
	}
	text := "connected to " + where
	if v := c.version(ctx); v != "" {
		text += ", " + v
	}
	x.say(OK, text)
	return c
}

func connectAdvice(conn mqttconn.Config) []string {
	advice := []string{"check that the broker runs, and that host and port are right and not blocked"}
	if u, err := url.Parse(conn.URL); err == nil && strings.HasSuffix(u.Scheme, "s") && u.Scheme != "ws" {
		advice = append(advice, "check tls: ca_file must have signed the broker's certificate, and its name must be that of the URL (or server_name)")
	}
	return append(advice, "check user and password_file")
}

// versionWait is how long a broker may take to say what it is. Many say
// nothing.
const versionWait = time.Second

// version returns what the broker says of itself, as mosquitto and others do.
func (c *client) version(ctx context.Context) string {
	const topic = "$SYS/broker/version"
	got := make(chan string, 1)
	t := c.Subscribe(topic, 0, func(_ paho.Client, m paho.Message) {
		select {
		case got <- string(m.Payload()):
		default:
		}
	})
	if c.done(ctx, t) != nil {
		return ""
	}
	defer c.Unsubscribe(topic)
	select {
	case v := <-got:
		return v
	case <-time.After(versionWait):
	case <-ctx.Done():
	}
	select {
	case v := <-got: // where the doctor itself was held up
		return v
	default:
		return ""
	}
}

// broker looks at the broker of a source.
func (x *examination) broker(ctx context.Context, s config.Source) {
	c := x.connect(ctx, s.MQTT.Conn)
	if c == nil {
		return
	}
	defer c.close()
	filters := x.filters(s)
	if len(filters) == 0 {
		x.say(Warn, "no stream reads from it")
	}
	for _, f := range filters {
		x.subscribe(ctx, c, f, s.MQTT.QoS)
	}
	if s.MQTT.QoS == 0 {
		x.say(Warn, "qos is 0: what is sent while cepd is away or busy is lost", "set qos: 1, and let devices publish with QoS 1")
	}
	if s.MQTT.Conn.ClientID == "" && x.cfg.State.Dir == "" {
		x.say(Warn, "neither client_id nor state.dir is set: each start is a new session, and what was sent meanwhile is lost",
			"set state.dir, where the client id is then kept")
	}
	if x.Probe > 0 {
		x.probe(ctx, s.MQTT.Conn)
		return
	}
	x.say(Note, "how much the broker keeps for a cepd that is away was not measured; cepd doctor --probe does",
		append([]string{"mosquitto keeps 1,000 messages, if nothing is said, and drops the rest after it took them from the publisher; in mosquitto.conf:"}, mosquittoLines...)...)
}

// mosquittoLines are what mosquitto must be told: to keep sessions when it is
// restarted; to bound what waits by bytes, not by number; to send more than 20
// messages before the first is acknowledged, since each sync of the log's disk
// serves those that wait; and to forget a session only after two weeks.
var mosquittoLines = []string{
	"  persistence true",
	"  autosave_interval 60",
	"  max_queued_messages 0",
	"  max_queued_bytes 1073741824",
	"  max_inflight_messages 1000",
	"  persistent_client_expiration 14d",
}

// filters returns the topic filters of the streams that a source feeds.
func (x *examination) filters(s config.Source) []string {
	var all []string
	for _, st := range x.Set.Streams {
		switch {
		case st.Source != s.Name:
		case st.Topic == nil:
			all = append(all, "#")
		default:
			all = append(all, st.Topic.Filter())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// refused is what a broker grants to a subscription that it does not allow.
const refused = 0x80

func (x *examination) subscribe(ctx context.Context, c *client, filter string, qos byte) {
	t := c.Subscribe(filter, qos, func(paho.Client, paho.Message) {})
	err := c.done(ctx, t)
	granted := qos
	if st, ok := t.(*paho.SubscribeToken); ok {
		if g, ok := st.Result()[filter]; ok {
			granted = g
		}
	}
	switch {
	case granted == refused:
		x.say(Fail, "the broker does not let us read "+filter, "allow this user to read it in the broker's access list")
	case err != nil:
		x.fail(fmt.Errorf("subscribing to %s: %w", filter, err))
	case granted < qos:
		x.say(Warn, fmt.Sprintf("the broker grants QoS %d to %s, not %d: what is sent while cepd is away is lost", granted, filter, qos))
	default:
		x.say(OK, fmt.Sprintf("may read %s with QoS %d", filter, granted))
	}
	if err == nil {
		_ = c.done(ctx, c.Unsubscribe(filter))
	}
}
