package overmqtt

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/cepd/cepd/bench"
	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/daemon"
	"github.com/cepd/cepd/ingest/mqtt"
	"github.com/cepd/cepd/mqttconn"
)

// env makes a program another process of a measurement: its role, the broker's
// address, and a folder of its own.
const env = "CEPD_BENCH_ROLE"

// roles are those processes.
var roles = map[string]func(address, dir string) error{
	"publisher": publish,
	"bare-paho": subscribeBare,
	// cepd with the pattern of three steps.
	"cepd-native": cepd{client: mqtt.ClientNative, durable: true}.subscribe,
	"cepd-paho":   cepd{client: mqtt.ClientPaho, durable: true}.subscribe,
	// cepd with a filter whose results are counted.
	"filter-native":        cepd{client: mqtt.ClientNative, durable: true, filter: true}.subscribe,
	"filter-paho":          cepd{client: mqtt.ClientPaho, durable: true, filter: true}.subscribe,
	"filter-native-memory": cepd{client: mqtt.ClientNative, filter: true}.subscribe,
	"filter-paho-memory":   cepd{client: mqtt.ClientPaho, filter: true}.subscribe,
}

// Role returns a subscriber that is this program, where it calls [Main].
func Role(name string) Subscriber {
	return func(address, dir string) *exec.Cmd {
		program, err := os.Executable()
		if err != nil {
			program = os.Args[0]
		}
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), env+"="+fmt.Sprint(name, " ", address, " ", dir))
		return cmd
	}
}

// Main is the first thing that a program does which measures. It returns, unless
// the process is there for a role.
func Main() {
	task := os.Getenv(env)
	if task == "" {
		return
	}
	var role, address, dir string
	if _, err := fmt.Sscan(task, &role, &address, &dir); err != nil {
		panic(err)
	}
	if err := roles[role](address, dir); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// ready says so, and returns what says how much processor time was used since.
func ready() (done func(results int)) {
	before, _ := bench.CPUTime() // it does not fail for oneself
	fmt.Println("ready")
	return func(results int) {
		after, _ := bench.CPUTime()
		fmt.Println("done", int64(after-before), results)
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
	if !t.WaitTimeout(patience) {
		return fmt.Errorf("the broker does not answer")
	}
	return t.Error()
}

// publish publishes all readings as fast as the broker takes them, once its
// standard input has ended.
func publish(address, _ string) error {
	all := readings()
	payloads := make([][]byte, len(all))
	for i := range all {
		payloads[i] = all[i].AppendJSON(nil)
	}
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
			tokens <- client.Publish("plant/"+all[i].Site+"/"+all[i].Device, 1, false, payloads[i])
		}
	}()
	for t := range tokens {
		if err := settle(t); err != nil {
			return err
		}
	}
	done(len(all))
	return nil
}

// subscribeBare is Paho as its manual uses it, with a handler that counts.
func subscribeBare(address, _ string) error {
	all, n := make(chan struct{}), 0
	client, err := connect(address, "bare", func(o *paho.ClientOptions) {
		o.SetCleanSession(false)
		o.SetDefaultPublishHandler(func(paho.Client, paho.Message) {
			if n++; n == Events {
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
	case <-time.After(patience):
		return fmt.Errorf("%d of %d messages came", n, Events)
	}
	done(n)
	return nil
}

// cepd is the whole daemon.
type cepd struct {
	client  string // see [mqtt]
	durable bool   // with a state directory that is synced before a message is acknowledged
	filter  bool   // instead of the pattern of three steps
}

// filterRule emits what is hot.
const filterRule = "rules:\n  - {name: hot, from: telemetry, where: e.temperature > 80, emit: {device: e.device, temperature: e.temperature}, emit_to: out}\n"

// subscribe runs cepd until every event took effect, and the filter's results were
// written. Where it is durable each event was synced and acknowledged before.
func (c cepd) subscribe(address, dir string) error {
	stream, rules, _ := strings.Cut(bench.PumpRule, "rules:\n")
	results := 0
	if rules = "rules:\n" + rules; c.filter {
		rules, results = filterRule, Hot()
	}
	file := filepath.Join(dir, "rules.yaml")
	text := strings.Replace(stream, "  telemetry:\n", "  telemetry:\n    source: plant\n    topic: plant/{place}/{pump}\n", 1) + rules
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	state := config.State{}
	if c.durable {
		state = config.State{Dir: filepath.Join(dir, "state"), Sync: config.SyncAlways}
	}
	var out lines
	d, err := daemon.New(daemon.Options{
		Config: &config.Config{
			State: state,
			Rules: []string{file},
			HTTP:  config.HTTP{Listen: "off"},
			Sources: []config.Source{{Name: "plant", Type: "mqtt", MQTT: config.MQTTSource{
				Conn: mqttconn.Config{URL: "mqtt://" + address}, QoS: 1, Client: c.client,
			}}},
			Sinks: []config.Sink{{Name: "out", Type: "stdout"}},
		},
		Stdout: &out,
	})
	if err != nil {
		return err
	}
	if err := d.Start(context.Background()); err != nil {
		return err
	}
	defer func() { _ = d.Stop(context.Background()) }()
	deadline := time.Now().Add(patience)
	for !d.Connected("plant") {
		if time.Sleep(5 * time.Millisecond); time.Now().After(deadline) {
			return fmt.Errorf("the broker does not answer")
		}
	}
	done := ready()
	for ; ; time.Sleep(5 * time.Millisecond) {
		st := d.Stats()
		switch n, written := st.Events.Total(""), int(out.n.Load()); {
		case n == Events && written >= results:
			done(written)
			return nil
		case n > Events || time.Now().After(deadline):
			return fmt.Errorf("%d of %d messages took effect, and led to %d lines of %d", n, Events, written, results)
		}
	}
}

// lines counts lines that are written.
type lines struct{ n atomic.Int64 }

// Write implements [io.Writer].
func (l *lines) Write(b []byte) (int, error) {
	l.n.Add(int64(bytes.Count(b, []byte{'\n'})))
	return len(b), nil
}
