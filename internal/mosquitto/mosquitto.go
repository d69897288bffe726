package mosquitto

import (
	"context"
	"errors"
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
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	return b.Address
}

// New prepares a broker that does not run yet, and that ends with the test.
func New(t testing.TB, lines ...string) *Broker {
	t.Helper()
	b, err := Prepare(t.TempDir(), lines...)
	if errors.Is(err, ErrNotInstalled) && os.Getenv("CEPD_REQUIRE_EXTERNAL") != "1" {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	return b
}

// Broker is a mosquitto that may be stopped and started again, with the same
// address and the same folder.
type Broker struct {
	Address string // host:port

	bin    string
	conf   string
	cancel context.CancelFunc
	ended  chan struct{}
}

// ErrNotInstalled says that there is no such program here.
var ErrNotInstalled = errors.New("mosquitto is not installed")

// Prepare prepares a broker that does not run yet, and keeps its files in a folder.
func Prepare(dir string, lines ...string) (*Broker, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	b := &Broker{bin: bin, Address: address, conf: filepath.Join(dir, "mosquitto.conf")}
	_, port, _ := net.SplitHostPort(b.Address)
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\n", port)
	if strings.Contains(strings.Join(lines, "\n"), "persistence true") {
		text += "persistence_location " + dir + "/\n"
	}
	if os.Geteuid() == 0 { // it would become a user who may not write the folder
		text += "user root\n"
	}
	return b, os.WriteFile(b.conf, []byte(text+strings.Join(lines, "\n")+"\n"), 0o600)
}

func find() (string, error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} { // not in everybody's PATH
		if bin, err := exec.LookPath(name); err == nil {
			return bin, nil
		}
	}
	return "", ErrNotInstalled
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// patience is how long a broker may take to listen.
const patience = time.Minute

// Start runs the broker and returns when it listens. Another process may take
// the free port first, so it tries a few times.
func (b *Broker) Start() error {
	for range 5 {
		if listens, err := b.try(); listens || err != nil {
			return err
		}
	}
	return errors.New("mosquitto does not start")
}

func (b *Broker) try() (listens bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, b.bin, "-c", b.conf)
	if err := cmd.Start(); err != nil {
		cancel()
		return false, err
	}
	b.cancel, b.ended = cancel, make(chan struct{})
	go func(ended chan struct{}) { _ = cmd.Wait(); close(ended) }(b.ended)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if c, err := net.DialTimeout("tcp", b.Address, time.Second); err == nil {
			c.Close()
			return true, nil
		}
		select {
		case <-b.ended:
			return false, nil
		case <-time.After(5 * time.Millisecond):
		}
	}
	b.Kill()
	return false, nil
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
