package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/mqttconn"
)

// ClientConfig sets up a [Client].
type ClientConfig struct {
	// Conn says how to reach the broker.
	Conn mqttconn.Config
	// StatusTopic is where the client says that it is online, and the broker
	// that it is offline, by retained messages. Default: cepd/CLIENT_ID/status,
	// the id encoded like a part of a topic. "-": nowhere.
	StatusTopic string
	// Session has the broker keep a session for the client id, so that the client
	// can tell whether the broker has forgotten everything. It is for ids that
	// stay the same, and not for QoS 2, where the session would bring back what
	// was cut short.
	Session bool
	// Forgotten is called after each connection to a broker that keeps no session
	// of the client: what was retained there may be lost. Without Session it is
	// called after every connection. It must return soon.
	Forgotten func()
	// Logger is told when a connection is made or lost. Default: nobody.
	Logger *slog.Logger
}

// EnsureDefaults fills what is left out.
func (c *ClientConfig) EnsureDefaults() {
	c.Conn.EnsureDefaults()
	if c.StatusTopic == "" {
		c.StatusTopic = statusTopic(c.Conn.ClientID)
	}
	if c.Forgotten == nil {
		c.Forgotten = func() {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports every contradiction in c at once.
func (c ClientConfig) Validate() error {
	err := c.Conn.Validate()
	if c.StatusTopic != "" && c.StatusTopic != "-" {
		if t, terr := parseTemplate(c.StatusTopic); terr != nil || len(t) > 1 {
			err = errors.Join(err, fmt.Errorf("status topic %q is not a topic to publish to", c.StatusTopic))
		}
	}
	return err
}

// Client is a connection to a broker that is made again whenever it is lost.
type Client struct {
	cfg     ClientConfig
	options *paho.ClientOptions
	cancel  context.CancelFunc
	done    chan struct{} // closed when run has ended

	mu   sync.Mutex
	conn *connection   // nil while there is no connection
	up   chan struct{} // closed while there is one
}

// connection is one connection, and who is handing messages to it. The library
// holds whoever does that while a connection ends until WriteTimeout is over, so
// a connection is closed when nobody does.
type connection struct {
	client  paho.Client
	handing sync.WaitGroup
	lost    chan error // gets the reason, once
}

// errDown says that there is no connection.
var errDown = errors.New("not connected to the broker")

// Dial returns a client that connects in the background. Its error is about
// the configuration; a broker that cannot be reached is none.
func Dial(cfg ClientConfig) (*Client, error) {
	cfg.EnsureDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("setting up an MQTT connection: %w", err)
	}
	options, err := cfg.Conn.Options()
	if err != nil {
		return nil, fmt.Errorf("setting up an MQTT connection: %w", err)
	}
	options.SetAutoReconnect(false) // see the package comment
	options.SetConnectRetry(false)
	options.SetCleanSession(!cfg.Session) // we subscribe to nothing, and keep what is unsent ourselves
	if cfg.StatusTopic != "-" {
		options.SetWill(cfg.StatusTopic, "offline", 1, true)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{cfg: cfg, options: options, cancel: cancel, done: make(chan struct{}), up: make(chan struct{})}
	go c.run(ctx)
	return c, nil
}

// Publish publishes a message over the connection there is. Without one it
// waits for it, as long as ctx allows.
func (c *Client) Publish(ctx context.Context, topic string, qos byte, retain bool, payload []byte) error {
	k, err := c.wait(ctx)
	if err != nil {
		return err
	}
	return k.publish(ctx, topic, qos, retain, payload)
}

// Connected reports whether there is a connection.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}

// wait returns the connection, when there is one, for one call of its publish.
func (c *Client) wait(ctx context.Context) (*connection, error) {
	for {
		c.mu.Lock()
		k, up := c.conn, c.up
		if k != nil {
			k.handing.Add(1) // while nobody can have taken it away to close it
		}
		c.mu.Unlock()
		if k != nil {
			return k, nil
		}
		select {
		case <-up:
		case <-c.done:
			return nil, notify.Retry(notify.ReasonConnection, errors.New("the connection to the broker was closed"))
		case <-ctx.Done():
			return nil, notify.Retry(notify.ReasonConnection, errDown)
		}
	}
}

// publish publishes a message. The caller has counted itself into k.handing.
func (k *connection) publish(ctx context.Context, topic string, qos byte, retain bool, payload []byte) error {
	errLate := notify.Retry(notify.ReasonTimeout, errors.New("the broker did not confirm in time"))
	tokens := make(chan paho.Token, 1)
	go func() {
		defer k.handing.Done()
		tokens <- k.client.Publish(topic, qos, retain, payload) // may block for WriteTimeout
	}()
	var token paho.Token
	select {
	case token = <-tokens:
	case <-ctx.Done():
		return errLate
	}
	select {
	case <-token.Done():
	case <-ctx.Done():
		return errLate
	}
	if err := token.Error(); err != nil {
		return notify.Retry(notify.ReasonConnection, err)
	}
	return nil
}

// close says goodbye to the broker, after the last message was handed over. A
// connection that is lost meanwhile, or takes nothing, is not waited for.
func (k *connection) close() {
	handed := make(chan struct{})
	go func() {
		k.handing.Wait()
		close(handed)
	}()
	t := time.NewTimer(disconnectWait)
	defer t.Stop()
	select {
	case <-handed:
	case <-k.lost:
	case <-t.C:
	}
	k.client.Disconnect(uint(disconnectWait.Milliseconds()))
}

// Close says that the client is offline, and closes the connection. It returns
// when all is done or ctx is; an attempt to connect that is under way then ends
// within ConnectTimeout.
func (c *Client) Close(ctx context.Context) {
	if c.cfg.StatusTopic != "-" && c.Connected() {
		_ = c.Publish(ctx, c.cfg.StatusTopic, 1, true, []byte("offline"))
	}
	c.cancel()
	select {
	case <-c.done:
	case <-ctx.Done():
	}
}

// disconnectWait is how long a part of the goodbye to the broker may take.
const disconnectWait = 250 * time.Millisecond

// run keeps a connection until ctx ends.
func (c *Client) run(ctx context.Context) {
	defer close(c.done)
	logger := c.cfg.Logger.With("broker", mqttconn.Redact(c.cfg.Conn.URL), "client_id", c.cfg.Conn.ClientID)
	for failures := 0; ctx.Err() == nil; {
		k, known, err := c.connect(ctx)
		if err != nil {
			failures++
			if ctx.Err() == nil {
				logger.Warn("connecting failed", "err", err)
			}
			c.pause(ctx, failures)
			continue
		}
		failures = 0
		logger.Info("connected")
		if !known {
			c.cfg.Forgotten()
		}
		select {
		case err := <-k.lost:
			c.set(nil)
			logger.Warn("connection lost", "err", err)
			failures = 1 // a broker that throws us out at once is not to be stormed
			c.pause(ctx, failures)
		case <-ctx.Done():
			c.set(nil)
			k.close()
		}
	}
}

// connect makes a connection and says that we are online. It reports whether the
// broker has a session of ours.
func (c *Client) connect(ctx context.Context) (_ *connection, known bool, err error) {
	k := &connection{lost: make(chan error, 1)}
	options := *c.options
	options.SetConnectionLostHandler(func(_ paho.Client, err error) { k.lost <- err })
	k.client = paho.NewClient(&options)
	token := k.client.Connect()
	<-token.Done() // bounded by ConnectTimeout
	if err := token.Error(); err != nil {
		return nil, false, err
	}
	if t, ok := token.(*paho.ConnectToken); ok {
		known = t.SessionPresent()
	}
	if c.cfg.StatusTopic != "-" {
		ctx, cancel := context.WithTimeout(ctx, c.cfg.Conn.ConnectTimeout)
		defer cancel()
		k.handing.Add(1)
		if err := k.publish(ctx, c.cfg.StatusTopic, 1, true, []byte("online")); err != nil {
			k.close()
			return nil, false, fmt.Errorf("saying that we are online: %w", err)
		}
	}
	c.set(k)
	return k, known, nil
}

// set notes the connection there is.
func (c *Client) set(k *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case k != nil && c.conn == nil:
		close(c.up)
	case k == nil && c.conn != nil:
		c.up = make(chan struct{})
	}
	c.conn = k
}

// pause waits before another attempt: up to a second at first, then twice as
// long each time, at random, so that many clients of a broker that restarts do
// not come at once.
func (c *Client) pause(ctx context.Context, failures int) {
	bound := time.Second << min(failures-1, 10)
	bound = min(bound, c.cfg.Conn.ReconnectMax)
	t := time.NewTimer(bound/2 + rand.N(bound/2+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
