package doctor

import (
	"context"
	"fmt"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/cepd/cepd/mqttconn"
)

// quiet is how long nothing must come before the broker is asked whether that is
// all, and after it has answered.
const quiet = 500 * time.Millisecond

// fewInFlight is a number of unacknowledged messages below which the log's disk
// syncs serve few messages each, and bound the throughput.
const fewInFlight = 100

// probe measures how many messages the broker sends before the first is
// acknowledged, and how many it keeps for a client that is away.
func (x *examination) probe(ctx context.Context, conn mqttconn.Config) {
	topic := "cepd/doctor/" + randomName()
	session := "cepd-doctor-" + randomName()
	pub, err := x.dial(ctx, conn, nil)
	if err != nil {
		x.fail(fmt.Errorf("probe: %w", err))
		return
	}
	defer pub.close()
	defer x.forget(ctx, conn, session)
	inFlight, err := x.unacknowledged(ctx, conn, session, topic, pub)
	if err != nil {
		x.say(Warn, fmt.Sprintf("could not be probed: %v", err), "let this user publish and subscribe to cepd/doctor/# while the probe runs")
		return
	}
	if inFlight < min(fewInFlight, x.Probe) {
		x.say(Warn, fmt.Sprintf("the broker sends %s before the first is acknowledged", count(inFlight, "message")),
			"more let each disk sync serve more messages; in mosquitto.conf: max_inflight_messages 1000")
	} else {
		x.say(OK, fmt.Sprintf("the broker sends %s or more before the first is acknowledged", count(inFlight, "message")))
	}
	kept, err := x.kept(ctx, conn, session, topic, pub)
	switch {
	case err != nil:
		x.fail(fmt.Errorf("probe: %w", err))
	case kept < x.Probe:
		x.say(Warn, fmt.Sprintf("the broker keeps %d of %d messages for a cepd that is away, and drops the rest", kept, x.Probe),
			append([]string{"in mosquitto.conf:"}, mosquittoLines...)...)
	default:
		x.say(OK, fmt.Sprintf("the broker keeps %s for a cepd that is away, and perhaps more", count(kept, "message")))
	}
}

// publish publishes n messages, a window of them at once.
func (x *examination) publish(ctx context.Context, c *client, topic string, n int) error {
	const window = 100
	payload := []byte("cepd doctor: how many of these are kept?")
	var waiting []paho.Token
	for i := range n {
		waiting = append(waiting, c.Publish(topic, 1, false, payload))
		if len(waiting) < window && i < n-1 {
			continue
		}
		for _, t := range waiting {
			if err := c.done(ctx, t); err != nil {
				return fmt.Errorf("publishing to %s: %w", topic, err)
			}
		}
		waiting = waiting[:0]
	}
	return nil
}

// reader connects with the session of the probe and hands on what comes.
func (x *examination) reader(ctx context.Context, conn mqttconn.Config, session string, acknowledge bool) (*client, <-chan paho.Message, error) {
	got := make(chan paho.Message, x.Probe+1)
	c, err := x.dial(ctx, conn, func(o *paho.ClientOptions) {
		o.SetClientID(session)
		o.SetCleanSession(false)
		o.SetAutoAckDisabled(!acknowledge)
		o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			select {
			case got <- m:
			default: // sent again, beyond what was published
			}
		})
	})
	return c, got, err
}

// drain counts what comes until nothing comes any more. A slow broker may be
// silent for long, but it answers in order: when it has answered a question that
// came behind all acknowledgements, it has sent what these let it send.
func drain(ctx context.Context, c *client, got <-chan paho.Message, n int) int {
	seen, answered := 0, false
	for seen < n {
		select {
		case <-got:
			seen++
			answered = false
		case <-time.After(quiet):
			if len(got) > 0 {
				continue // we have been slow ourselves
			}
			if answered || c.done(ctx, c.Unsubscribe("cepd/doctor/nothing")) != nil {
				return seen
			}
			answered = true
		case <-ctx.Done():
			return seen
		}
	}
	return seen
}

// unacknowledged subscribes and counts what comes without acknowledgement. It
// leaves the session behind, with what it holds.
func (x *examination) unacknowledged(ctx context.Context, conn mqttconn.Config, session, topic string, pub *client) (int, error) {
	c, got, err := x.reader(ctx, conn, session, false)
	if err != nil {
		return 0, err
	}
	defer c.close()
	t := c.Subscribe(topic, 1, nil)
	if err := c.done(ctx, t); err != nil {
		return 0, fmt.Errorf("subscribing to %s: %w", topic, err)
	}
	n := min(x.Probe, 2*fewInFlight)
	if err := x.publish(ctx, pub, topic, n); err != nil {
		return 0, err
	}
	return drain(ctx, c, got, n), nil
}

// kept counts what comes to a client that was away while messages were
// published. What the last measurement left is taken first.
func (x *examination) kept(ctx context.Context, conn mqttconn.Config, session, topic string, pub *client) (int, error) {
	c, got, err := x.reader(ctx, conn, session, true)
	if err != nil {
		return 0, err
	}
	drain(ctx, c, got, x.Probe)
	c.close()
	if err := x.publish(ctx, pub, topic, x.Probe); err != nil {
		return 0, err
	}
	if c, got, err = x.reader(ctx, conn, session, true); err != nil {
		return 0, err
	}
	defer c.close()
	return drain(ctx, c, got, x.Probe), nil
}

// forget removes the session of the probe from the broker.
func (x *examination) forget(ctx context.Context, conn mqttconn.Config, session string) {
	c, err := x.dial(context.WithoutCancel(ctx), conn, func(o *paho.ClientOptions) { o.SetClientID(session) })
	if err != nil {
		x.say(Warn, fmt.Sprintf("the session %s of the probe stays at the broker: %v", session, err))
		return
	}
	c.close()
}
