package main

import (
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// wait bounds how long a test waits for something that must happen.
const wait = time.Minute

// mqttClient is a client of the tests' broker.
type mqttClient struct {
	t      *testing.T
	client paho.Client
}

func dial(t *testing.T, addr, id string) *mqttClient {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id))
	if token := c.Connect(); !token.WaitTimeout(wait) || token.Error() != nil {
		t.Fatalf("connecting to the broker: %v", token.Error())
	}
	t.Cleanup(func() { c.Disconnect(100) })
	return &mqttClient{t, c}
}

// publish publishes and waits until the broker has it.
func (c *mqttClient) publish(topic, payload string) {
	c.t.Helper()
	if token := c.client.Publish(topic, 1, false, payload); !token.WaitTimeout(wait) || token.Error() != nil {
		c.t.Fatalf("publishing: %v", token.Error())
	}
}

// message is what a subscriber sees.
type message struct {
	topic, payload string
	retained       bool
}

// subscribe returns what comes in on a filter from now on.
func (c *mqttClient) subscribe(filter string) <-chan message {
	c.t.Helper()
	got := make(chan message, 100)
	token := c.client.Subscribe(filter, 1, func(_ paho.Client, m paho.Message) {
		got <- message{m.Topic(), string(m.Payload()), m.Retained()}
	})
	if !token.WaitTimeout(wait) || token.Error() != nil {
		c.t.Fatalf("subscribing: %v", token.Error())
	}
	return got
}

// receive returns the next value, and fails the test if none comes.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(wait):
		t.Fatalf("%s: nothing came in %v", what, wait)
		panic("unreachable")
	}
}
