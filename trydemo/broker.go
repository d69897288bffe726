package trydemo

import (
	"fmt"
	"log/slog"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// broker is an MQTT broker in this process. It serves the demonstration only:
// under saturation it drops messages, and it keeps nothing.
type broker struct {
	server *mochi.Server
	url    string
}

// startBroker starts a broker on a free port of the loopback interface.
func startBroker() (*broker, error) {
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := server.AddHook(new(everybody), nil); err != nil {
		return nil, fmt.Errorf("starting a broker: %w", err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "demo", Address: "127.0.0.1:0"})
	if err := server.AddListener(l); err != nil {
		return nil, fmt.Errorf("starting a broker: %w", err)
	}
	if err := server.Serve(); err != nil {
		return nil, fmt.Errorf("starting a broker: %w", err)
	}
	return &broker{server, "mqtt://" + l.Address()}, nil
}

func (b *broker) stop() { _ = b.server.Close() }

// everybody is a hook of the broker that lets everybody in: it listens on the
// loopback interface only.
type everybody struct{ mochi.HookBase }

// ID names the hook.
func (everybody) ID() string { return "everybody" }

// Provides says which decisions the hook takes.
func (everybody) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}

// OnConnectAuthenticate lets a client connect.
func (everybody) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

// OnACLCheck lets a client publish and subscribe.
func (everybody) OnACLCheck(*mochi.Client, string, bool) bool { return true }
