//go:build unix

package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cepd/cepd/daemon"
	record "github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/mosquitto"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/state/wal"
)

const overloadConfig = `
rules: [rules.yaml]
watch: false
state: {dir: state, snapshot: 1s, history: 1h, min_free: 32MB}
http: {listen: 127.0.0.1:0}
sources:
  plant: {type: mqtt, url: "mqtt://%s", client: %s}
sinks:
  ops: {type: webhook, url: "%s"}
`

// TestOverload publishes twice as much as the daemon takes, which has so little
// time that it takes half. What it does not take waits at the broker, whose
// queue has the bounds that `cepd doctor` advises. In the end it is killed, and
// started again, with all that before it. Every message that the broker took is
// in the log, and every alert is what it would have been without haste.
func TestOverload(t *testing.T) {
	bin := build(t)
	for _, client := range []string{"native", "paho"} {
		t.Run(client, func(t *testing.T) { testOverload(t, bin, client) })
	}
}

func testOverload(t *testing.T, bin, client string) {
	const cycles, taken, least = 4, 3000, 2 * time.Millisecond
	broker := mosquitto.Start(t, "persistence true", "max_queued_messages 0", "max_queued_bytes 1073741824", "max_inflight_messages 1000")
	dir := t.TempDir()
	got := newReceiver(t)
	write(t, filepath.Join(dir, "rules.yaml"), rules)
	write(t, filepath.Join(dir, "cepd.yaml"), fmt.Sprintf(overloadConfig, broker, client, got.url))
	cepd := &program{t: t, bin: bin, dir: dir}
	cepd.start()
	cepd.await("cepd is running")
	cepd.awaitUp()
	p := connect(t, broker)
	in := logged{dir: dir}
	burst := func() { // that waits at the broker
		cepd.signal(syscall.SIGSTOP)
		for range 2 * taken {
			p.send(event(len(p.events)))
		}
		p.settle()
	}
	for i := range cycles {
		burst()
		// What others leave of the processor may be nothing, so slices become
		// longer until it gets on.
		for n, slice := in.count(t), least; n < (i+1)*taken; {
			cepd.signal(syscall.SIGCONT)
			time.Sleep(slice)
			cepd.signal(syscall.SIGSTOP)
			before := n
			if n = in.count(t); n > before {
				slice = least
			} else {
				slice += least
			}
		}
	}
	burst()
	cepd.kill()
	behind := len(p.events) - in.count(t)
	p.end()
	cepd.start()
	got.await(t, "end", cepd)
	cepd.stop()

	t.Logf("%d messages, of which %d waited at the broker when the daemon was killed", len(p.events), behind)
	if n := in.count(t); n != len(p.events) {
		t.Errorf("%d of %d messages are in the log", n, len(p.events))
	}
	if behind <= 0 {
		t.Error("the daemon was never behind")
	}
	if want := got.compare(t, cepd.reference(p.events)); want == 0 {
		t.Error("nothing was to be told")
	}
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// awaitUp waits until the broker sends what comes.
func (p *program) awaitUp() {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		r, err := http.Get("http://" + p.address + "/metrics")
		if err != nil {
			continue
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if strings.Contains(string(body), `cepd_source_up{source="plant"} 1`) {
			return
		}
	}
	p.tail()
	p.t.Fatal("the source is not up")
}

// logged is what is in the log, as far as it was read.
type logged struct {
	dir   string
	upTo  record.Position
	found map[string]bool // numbers of messages
}

// count reads on in the log, and returns how many messages are in it.
func (in *logged) count(t *testing.T) int {
	t.Helper()
	l, _, err := wal.Open(vfs.OS(), daemon.LogDir(filepath.Join(in.dir, "state")), wal.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if in.found == nil {
		in.found = map[string]bool{}
	}
	err = l.Read(in.upTo, func(r *record.Record) error {
		in.upTo = r.Pos
		var e struct{ N string }
		if r.Kind == record.KindMessage && json.Unmarshal(r.Payload, &e) == nil {
			in.found[e.N] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(in.found)
}
