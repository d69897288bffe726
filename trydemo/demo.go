package trydemo

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cepd/cepd/alerting/notify/mqtt"
	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/daemon"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/mqttconn"
)

//go:embed files
var files embed.FS

// Options say how to run the demonstration.
type Options struct {
	// For is how long it runs. 0: until its context is cancelled.
	For time.Duration
	// Speed is how many seconds of the freezers pass in one of ours. Default
	// 60. Above some hundreds, readings come as fast as the broker takes them.
	Speed float64
	// Dir receives rules, settings and a recording, and stays. Rules that are
	// there already are used as they are. Default: a new temporary folder.
	Dir string
	// Seed decides what happens after the first faults.
	Seed uint64
	// Out is where alerts and explanations go. Default: the standard output.
	Out io.Writer
	// Color colors alerts.
	Color bool
	// Command is how the reader runs cepd, for the hints. Default: cepd.
	Command string
	// Version of the program.
	Version string
	// Logger receives what happens. Default: nobody.
	Logger *slog.Logger
}

// EnsureDefaults fills what is left out.
func (o *Options) EnsureDefaults() {
	if o.Speed == 0 {
		o.Speed = 60
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Command == "" {
		o.Command = "cepd"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports every contradiction in o at once.
func (o *Options) Validate() error {
	var errs []error
	if o.Speed <= 0 {
		errs = append(errs, fmt.Errorf("speed is %v; it must be above zero", o.Speed))
	}
	if o.For < 0 {
		errs = append(errs, fmt.Errorf("the time to run is %v; it cannot be negative", o.For))
	}
	return errors.Join(errs...)
}

// Summary is what a demonstration came to.
type Summary struct {
	Published int64 // readings that were published
	Stats     engine.Stats
}

// maxRecorded bounds the recording: enough to replay an hour of it.
const maxRecorded = 10_000

// Run runs the demonstration and returns what it came to.
func Run(ctx context.Context, o Options) (Summary, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return Summary{}, err
	}
	d := &demo{Options: o, out: &lockedWriter{w: o.Out}, plant: newPlant(o.Seed)}
	if err := d.start(ctx); err != nil {
		d.stop()
		return Summary{}, fmt.Errorf("starting the demonstration: %w", err)
	}
	err := d.publishAll(ctx)
	d.settle()
	return d.finish(err)
}

// demo is a demonstration that runs.
type demo struct {
	Options
	out       *lockedWriter
	plant     *plant
	broker    *broker
	daemon    *daemon.Daemon
	client    *mqtt.Client
	recording *os.File
	published int64
	hinted    bool
}

// start starts everything, the freezers last.
func (d *demo) start(ctx context.Context) (err error) {
	if d.broker, err = startBroker(); err != nil {
		return err
	}
	if err := d.writeFiles(); err != nil {
		return err
	}
	if err := d.startDaemon(ctx); err != nil {
		return err
	}
	d.client, err = mqtt.Dial(mqtt.ClientConfig{
		Conn: mqttconn.Config{URL: d.broker.url, ClientID: "freezers"}, StatusTopic: "-", Logger: d.Logger,
	})
	if err != nil {
		return err
	}
	d.greet()
	return d.waitFor(ctx, func() bool { return d.client.Connected() && d.daemon.Connected("demo") })
}

// writeFiles puts rules, settings and an empty recording into the folder.
func (d *demo) writeFiles() (err error) {
	if d.Dir == "" {
		if d.Dir, err = os.MkdirTemp("", "cepd-try-"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(d.Dir, "rules"), 0o755); err != nil {
		return err
	}
	rules, err := files.ReadFile("files/freezers.yaml")
	if err != nil {
		return err
	}
	if _, err := os.Stat(d.rulesFile()); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(d.rulesFile(), rules, 0o644); err != nil {
			return err
		}
	}
	settings := fmt.Sprintf(settingsText, d.broker.url)
	if err := os.WriteFile(d.path("cepd.yaml"), []byte(settings), 0o644); err != nil {
		return err
	}
	d.recording, err = os.Create(d.path("events.jsonl"))
	return err
}

const settingsText = `# The settings of cepd try. The broker is part of it, and ends with it.
rules: [rules/*.yaml]
http: {listen: 127.0.0.1:0}
sources:
  demo: {type: mqtt, url: %s, client_id: cepd-try}
sinks:
  terminal: {type: stdout, format: text}
`

func (d *demo) path(name string) string { return filepath.Join(d.Dir, name) }

func (d *demo) rulesFile() string { return d.path(filepath.Join("rules", "freezers.yaml")) }

func (d *demo) startDaemon(ctx context.Context) error {
	src, err := os.ReadFile(d.path("cepd.yaml"))
	if err != nil {
		return err
	}
	cfg, issues := config.Parse(d.path("cepd.yaml"), src, os.LookupEnv)
	if len(issues) > 0 {
		return errors.New(issues[0].String())
	}
	d.daemon, err = daemon.New(daemon.Options{
		Config: cfg, Version: d.Version, Logger: d.Logger, Stdout: d.out, Color: d.Color, OnReload: d.reloaded,
	})
	if err != nil {
		return err
	}
	return d.daemon.Start(ctx)
}

// reloaded says what became of a rule file that was edited.
func (d *demo) reloaded(r daemon.ReloadReport, err error) {
	switch {
	case err != nil:
		d.say("\nThe rules were not taken over, and the old ones go on:\n%v\n", err)
	case !r.Same:
		d.say("\nRules read again: %s.\n", r)
	}
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }

// waitFor waits until something is so.
func (d *demo) waitFor(ctx context.Context, so func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for !so() {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for the broker: %w", err)
		}
	}
	return nil
}

func sleep(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publishAll lets the freezers report until the time is over.
func (d *demo) publishAll(ctx context.Context) error {
	start := time.Now()
	for {
		r := d.plant.next()
		due := time.Duration(float64(r.time.Sub(begin)) / d.Speed) // since the start
		if d.For > 0 && due >= d.For {
			return nil
		}
		if wait := due - time.Since(start); wait > 0 {
			if sleep(ctx, wait) != nil {
				return nil
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := d.client.Publish(ctx, r.topic(), 1, false, r.payload); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("publishing a reading: %w", err)
		}
		if d.published++; d.published <= maxRecorded {
			if _, err := d.recording.Write(r.recorded()); err != nil {
				return err
			}
		}
		d.hint()
	}
}

// settle waits until what was published has been judged.
func (d *demo) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		st := d.daemon.Stats()
		if seen := st.Events.Total("") + st.Late.Total("") + st.Rejected.Total(""); seen >= d.published || sleep(ctx, 10*time.Millisecond) != nil {
			return
		}
	}
}

// finish stops everything and says what there was.
func (d *demo) finish(err error) (Summary, error) {
	sum := Summary{Published: d.published, Stats: d.daemon.Stats()}
	err = errors.Join(err, d.stop())
	d.say("\n%s from %d freezers, %s raised, %d cleared.\n", plural(sum.Stats.Events.Total(""), "event"), freezers,
		plural(sum.Stats.Raised.Total(""), "alert"), sum.Stats.Cleared.Total(""))
	d.say("The events are recorded; this gives the same alerts again:\n  %s\n", d.replayLine())
	return sum, err
}

// stop stops what was started, last things first.
func (d *demo) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var err error
	if d.client != nil {
		d.client.Close(ctx)
	}
	if d.daemon != nil {
		err = d.daemon.Stop(ctx)
	}
	if d.broker != nil {
		d.broker.stop()
	}
	if d.recording != nil {
		err = errors.Join(err, d.recording.Close())
	}
	return err
}

// greet says what is about to happen.
func (d *demo) greet() {
	d.say(`%d freezers report to an MQTT broker at %s, and cepd watches them by the
rules in %s.
A second here is %s there. A compressor fails, a freezer gets too warm and is
repaired, and somebody leaves a door open.

`, freezers, strings.TrimPrefix(d.broker.url, "mqtt://"), d.rulesFile(), event.FormatDuration(time.Duration(d.Speed*float64(time.Second))))
}

// hint says, once the first alert has cleared, what to try.
func (d *demo) hint() {
	if d.hinted || d.published%freezers != 0 || d.daemon.Stats().Cleared.Total("") == 0 {
		return
	}
	d.hinted = true
	d.say(`
That was an alert with its evidence, and its end. While this runs, try:
  edit %s and save: the rules are read again
  %s
`, d.rulesFile(), d.replayLine())
	if addr := d.daemon.Addr(); addr != "" {
		d.say("  curl http://%s/metrics\n", addr)
	}
	if d.For == 0 {
		d.say("  Ctrl-C here ends it\n")
	}
	d.say("\n")
}

func (d *demo) replayLine() string {
	return fmt.Sprintf("%s replay --rules %s --until last %s", d.Command, d.rulesFile(), d.path("events.jsonl"))
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// lockedWriter lets the daemon's sink and the demonstration write by turns.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
