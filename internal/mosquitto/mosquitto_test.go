package mosquitto_test

import (
	"net"
	"testing"

	"github.com/cepd/cepd/internal/mosquitto"
)

// A broker listens, is gone when it was killed, and comes back at its address.
func TestBroker(t *testing.T) {
	b := mosquitto.New(t, "persistence true")
	for range 2 {
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", b.Address)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		b.Kill()
		if c, err := net.Dial("tcp", b.Address); err == nil {
			c.Close()
			t.Error("a killed broker listens")
		}
	}
	b.Kill() // nothing more
}
