package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// wait bounds how long a test waits for something that must happen.
const wait = 20 * time.Second

// mosquitto runs a mosquitto on a free port of the loopback interface, and
// returns its host and port. Where there is none the test is skipped, unless
// CEPD_REQUIRE_EXTERNAL says that there must be one.
func mosquitto(t *testing.T) string {
	t.Helper()
	bin, err := exec.LookPath("mosquitto")
	if err != nil {
		bin = "/usr/sbin/mosquitto"
	}
	if _, err := os.Stat(bin); err != nil {
		if os.Getenv("CEPD_REQUIRE_EXTERNAL") == "1" {
			t.Fatal("mosquitto is not installed, and CEPD_REQUIRE_EXTERNAL=1")
		}
		t.Skip("SKIPPED: mosquitto is not installed")
	}
	for range 5 { // another process may take the port first
		if addr, ok := tryMosquitto(t, bin); ok {
			return addr
		}
	}
	t.Fatal("mosquitto does not start")
	return ""
}

func tryMosquitto(t *testing.T, bin string) (string, bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\npersistence false\n", strings.TrimPrefix(addr, "127.0.0.1:"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); {
		select {
		case <-ended:
			return "", false
		default:
		}
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			c.Close()
			return addr, true
		}
	}
	return "", false
}

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
