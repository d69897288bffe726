package mosquitto

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Start runs a broker that lets everybody in, with further lines of
// configuration, and returns its address, host:port. It ends with the test.
func Start(t testing.TB, lines ...string) (address string) {
	t.Helper()
	b := New(t, lines...)
	b.Start()
	return b.Address
}

// Broker is a mosquitto that a test may stop and start again, with the same
// address and the same folder.
type Broker struct {
	Address string // host:port

	t      testing.TB
	bin    string
	conf   string
	cancel context.CancelFunc
	ended  chan struct{}
}

// New prepares a broker that does not run yet.
func New(t testing.TB, lines ...string) *Broker {
	t.Helper()
	dir := t.TempDir()
	b := &Broker{t: t, bin: find(t), Address: freeAddress(t), conf: filepath.Join(dir, "mosquitto.conf")}
	_, port, _ := net.SplitHostPort(b.Address)
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\n", port)
	if strings.Contains(strings.Join(lines, "\n"), "persistence true") {
		text += "persistence_location " + dir + "/\n"
	}
	if os.Geteuid() == 0 { // it would become a user who may not write the folder
		text += "user root\n"
	}
	if err := os.WriteFile(b.conf, []byte(text+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	return b
}

// find returns the program, or ends the test.
func find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} { // not in everybody's PATH
		if bin, err := exec.LookPath(name); err == nil {
			return bin
		}
	}
	if os.Getenv("CEPD_REQUIRE_EXTERNAL") == "1" {
		t.Fatal("mosquitto is not installed, and CEPD_REQUIRE_EXTERNAL=1")
	}
	t.Skip("SKIPPED: mosquitto is not installed")
	return ""
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// patience is how long a broker may take to listen.
const patience = 20 * time.Second

// Start runs the broker and returns when it listens. Another process may take
// the free port first, so it tries a few times.
func (b *Broker) Start() {
	b.t.Helper()
	for range 5 {
		if b.try() {
			return
		}
	}
	b.t.Fatal("mosquitto does not start")
}

func (b *Broker) try() bool {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, b.bin, "-c", b.conf)
	if err := cmd.Start(); err != nil {
		cancel()
		b.t.Fatal(err)
	}
	b.cancel, b.ended = cancel, make(chan struct{})
	go func(ended chan struct{}) { _ = cmd.Wait(); close(ended) }(b.ended)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if c, err := net.DialTimeout("tcp", b.Address, time.Second); err == nil {
			c.Close()
			return true
		}
		select {
		case <-b.ended:
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	b.Kill()
	return false
}

// Kill ends the broker at once, as a loss of power would. It may run already
// no more.
func (b *Broker) Kill() {
	if b.cancel != nil {
		b.cancel()
		<-b.ended
		b.cancel = nil
	}
}
