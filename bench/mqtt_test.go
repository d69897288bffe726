//go:build unix

package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/daemon"
	"github.com/cepd/cepd/ingest/mqtt"
	"github.com/cepd/cepd/internal/mosquitto"
	"github.com/cepd/cepd/mqttconn"
)

// roleEnv makes the test binary another process of BenchmarkMQTT: its name in
// roles, the broker's address, and a folder of its own.
const roleEnv = "CEPD_BENCH_ROLE"

// roles are those processes. Each says "ready" on a line, and when it has done
// all, "done" with the nanoseconds of CPU time that it took since it was ready.
var roles = map[string]func(address, dir string) error{
	"publisher":   publishReadings,
	"bare-paho":   subscribeBare,
	"cepd-native": func(address, dir string) error { return subscribeDaemon(address, dir, mqtt.ClientNative) },
	"cepd-paho":   func(address, dir string) error { return subscribeDaemon(address, dir, mqtt.ClientPaho) },
}

func TestMain(m *testing.M) {
	task := os.Getenv(roleEnv)
	if task == "" {
		os.Exit(m.Run())
	}
	var role, address, dir string
	if _, err := fmt.Sscan(task, &role, &address, &dir); err != nil {
		panic(err)
	}
	if err := roles[role](address, dir); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
}

const (
	mqttEvents = 50_000
	mqttPairs  = 7
	// mqttPatience bounds how long one process may take.
	mqttPatience = time.Minute
)

// BenchmarkMQTT is cepd on a mosquitto, in a process of its own that keeps a
// state directory, syncs its log before it acknowledges and runs a pattern,
// against a Paho that acknowledges messages and does nothing with them. Another
// process publishes with QoS 1 as fast as the broker takes. They take turns,
// and each figure is the median of its own.
func BenchmarkMQTT(b *testing.B) {
	b.Cleanup(func() {
		if b.Skipped() { // of which a benchmark says nothing
			fmt.Fprintln(os.Stderr, "SKIPPED: BenchmarkMQTT, since mosquitto is not installed")
		}
	})
	subscribers := []string{"bare-paho", "cepd-native", "cepd-paho"}
	cpu, rate := map[string][]float64{}, map[string][]float64{}
	for range mqttPairs {
		for _, s := range subscribers {
			used, took := runMQTT(b, s)
			cpu[s] = append(cpu[s], float64(used.Nanoseconds())/mqttEvents)
			rate[s] = append(rate[s], mqttEvents/took.Seconds())
		}
	}
	for _, s := range subscribers {
		b.Run(s, func(b *testing.B) {
			for b.Loop() { // it has been run
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(cpu[s]), "cpu-ns/event")
			b.ReportMetric(median(rate[s]), "events/s")
		})
	}
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// runMQTT has a subscriber take all events from a broker of its own, set as
// `cepd doctor` advises.
func runMQTT(b *testing.B, subscriber string) (used, took time.Duration) {
	b.Helper()
	broker := mosquitto.New(b, "max_queued_messages 0", "max_queued_bytes 1073741824", "max_inflight_messages 1000")
	broker.Start()
	defer broker.Kill()
	sub := startRole(b, subscriber, broker.Address)
	pub := startRole(b, "publisher", broker.Address)
	began := time.Now()
	pub.begin()
	pub.await(b)
	used = sub.await(b)
	return used, time.Since(began)
}

// process is a role that runs.
type process struct {
	name  string
	stdin io.WriteCloser
	lines *bufio.Reader
}

// startRole starts a process and returns when it is ready.
func startRole(b *testing.B, name, address string) *process {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), mqttPatience)
	b.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+fmt.Sprint(name, " ", address, " ", b.TempDir()))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cancel(); _ = cmd.Wait() })
	p := &process{name, stdin, bufio.NewReader(stdout)}
	if line, err := p.lines.ReadString('\n'); err != nil || line != "ready\n" {
		b.Fatalf("%s says %q: %v", name, line, err)
	}
	return p
}

// begin lets a process begin that waits for it.
func (p *process) begin() { _ = p.stdin.Close() }

// await returns the CPU time that a process took until it had done all.
func (p *process) await(b *testing.B) (used time.Duration) {
	b.Helper()
	line, err := p.lines.ReadString('\n')
	if _, bad := fmt.Sscanf(line, "done %d\n", &used); bad != nil {
		b.Fatalf("%s says %q: %v", p.name, line, err)
	}
	return used
}

// ready says so, and returns what says how much CPU time was used since.
func ready() (done func()) {
	before, _ := rusage() // it does not fail for oneself
	fmt.Println("ready")
	return func() {
		after, _ := rusage()
		fmt.Println("done", int64(after-before))
	}
}

func connect(address, id string, options func(*paho.ClientOptions)) (paho.Client, error) {
	o := paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID(id).SetProtocolVersion(4)
	if options != nil {
		options(o)
	}
	c := paho.NewClient(o)
	return c, settle(c.Connect())
}

func settle(t paho.Token) error {
	if !t.WaitTimeout(mqttPatience) {
		return fmt.Errorf("the broker does not answer")
	}
	return t.Error()
}

// publishReadings publishes all events as fast as the broker takes them, once
// its standard input has ended.
func publishReadings(address, _ string) error {
	readings := Telemetry(mqttEvents, Devices, 1)
	payloads := readingPayloads(readings)
	client, err := connect(address, "publisher", nil)
	if err != nil {
		return err
	}
	defer client.Disconnect(250)
	done := ready()
	if _, err := io.ReadAll(os.Stdin); err != nil {
		return err
	}
	tokens := make(chan paho.Token, 1000)
	go func() {
		defer close(tokens)
		for i := range payloads {
			tokens <- client.Publish("plant/"+readings[i].Site+"/"+readings[i].Device, 1, false, payloads[i])
		}
	}()
	for t := range tokens {
		if err := settle(t); err != nil {
			return err
		}
	}
	done()
	return nil
}

// subscribeBare is Paho as its manual uses it, with a handler that counts.
func subscribeBare(address, _ string) error {
	all, n := make(chan struct{}), 0
	client, err := connect(address, "bare", func(o *paho.ClientOptions) {
		o.SetCleanSession(false)
		o.SetDefaultPublishHandler(func(paho.Client, paho.Message) {
			if n++; n == mqttEvents {
				close(all)
			}
		})
	})
	if err != nil {
		return err
	}
	defer client.Disconnect(250)
	if err := settle(client.Subscribe("plant/#", 1, nil)); err != nil {
		return err
	}
	done := ready()
	select {
	case <-all:
	case <-time.After(mqttPatience):
		return fmt.Errorf("%d of %d messages came", n, mqttEvents)
	}
	done()
	return nil
}

// subscribeDaemon is cepd until every event took effect: each was synced and
// acknowledged before.
func subscribeDaemon(address, dir, client string) error {
	file := filepath.Join(dir, "rules.yaml")
	text := strings.Replace(PumpRule, "  telemetry:\n", "  telemetry:\n    source: plant\n    topic: plant/{place}/{pump}\n", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	d, err := daemon.New(daemon.Options{
		Config: &config.Config{
			State: config.State{Dir: filepath.Join(dir, "state"), Sync: config.SyncAlways},
			Rules: []string{file},
			HTTP:  config.HTTP{Listen: "off"},
			Sources: []config.Source{{Name: "plant", Type: "mqtt", MQTT: config.MQTTSource{
				Conn: mqttconn.Config{URL: "mqtt://" + address}, QoS: 1, Client: client,
			}}},
			Sinks: []config.Sink{{Name: "out", Type: "stdout"}},
		},
		Stdout: io.Discard,
	})
	if err != nil {
		return err
	}
	if err := d.Start(context.Background()); err != nil {
		return err
	}
	defer func() { _ = d.Stop(context.Background()) }()
	deadline := time.Now().Add(mqttPatience)
	for !d.Connected("plant") {
		if time.Sleep(5 * time.Millisecond); time.Now().After(deadline) {
			return fmt.Errorf("the broker does not answer")
		}
	}
	done := ready()
	for ; ; time.Sleep(5 * time.Millisecond) {
		st := d.Stats()
		switch n := st.Events.Total(""); {
		case n == mqttEvents:
			done()
			return nil
		case n > mqttEvents || time.Now().After(deadline):
			return fmt.Errorf("%d of %d messages took effect", n, mqttEvents)
		}
	}
}
