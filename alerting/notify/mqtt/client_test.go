package mqtt

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// slowClient takes a message when it is let.
type slowClient struct {
	paho.Client
	let          chan struct{}
	disconnected atomic.Bool
}

func (c *slowClient) Publish(string, byte, bool, any) paho.Token {
	<-c.let
	return &paho.DummyToken{}
}

func (c *slowClient) Disconnect(uint) { c.disconnected.Store(true) }

// TestCloseWhileHanding closes a connection while a message that its publisher
// gave up is still handed over. The library would hold whoever hands over for
// WriteTimeout, long after the program wanted to end.
func TestCloseWhileHanding(t *testing.T) {
	for _, way := range []string{"taken", "lost", "stuck"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &slowClient{let: make(chan struct{})}
				k := &connection{client: client, lost: make(chan error, 1)}
				gaveUp, cancel := context.WithCancel(t.Context())
				cancel()
				k.handing.Add(1)
				if err := k.publish(gaveUp, "t", 1, false, nil); err == nil {
					t.Fatal("a message was published in no time")
				}
				closed := make(chan struct{})
				go func() { k.close(); close(closed) }()
				synctest.Wait()
				if client.disconnected.Load() {
					t.Fatal("said goodbye while a message was handed over")
				}
				switch way {
				case "taken":
					close(client.let)
					synctest.Wait()
				case "lost":
					k.lost <- context.Canceled
					synctest.Wait()
				case "stuck":
					<-closed // in its time
				}
				if !client.disconnected.Load() {
					t.Error("did not say goodbye")
				}
				if way != "taken" {
					close(client.let)
				}
			})
		})
	}
}
