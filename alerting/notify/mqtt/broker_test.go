package mqtt

import (
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// allowAll is a hook of the in-process broker that lets everybody in.
type allowAll struct{ broker.HookBase }

func (allowAll) ID() string { return "allow-all" }

func (allowAll) Provides(b byte) bool {
	return b == broker.OnConnectAuthenticate || b == broker.OnACLCheck
}

func (allowAll) OnConnectAuthenticate(*broker.Client, packets.Packet) bool { return true }

func (allowAll) OnACLCheck(*broker.Client, string, bool) bool { return true }

// startBroker runs a broker in this process and returns its address.
func startBroker(t *testing.T) (*broker.Server, string) {
	t.Helper()
	b := broker.New(&broker.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := b.AddHook(new(allowAll), nil); err != nil {
		t.Fatal(err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "test", Address: "127.0.0.1:0"})
	if err := b.AddListener(l); err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, "mqtt://" + l.Address()
}

// inbox collects what a broker delivers.
type inbox struct {
	mu   sync.Mutex
	cond *sync.Cond
	got  []string
}

func newInbox() *inbox {
	b := &inbox{}
	b.cond = sync.NewCond(&b.mu)
	return b
}

func (b *inbox) add(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, s)
	b.cond.Broadcast()
}

// wait returns the first n messages.
func (b *inbox) wait(t *testing.T, n int) []string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	late := false
	timer := time.AfterFunc(30*time.Second, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		late = true
		b.cond.Broadcast()
	})
	defer timer.Stop()
	for len(b.got) < n && !late {
		b.cond.Wait()
	}
	if len(b.got) < n {
		t.Fatalf("got %d messages, want %d: %q", len(b.got), n, b.got)
	}
	return append([]string(nil), b.got[:n]...)
}
