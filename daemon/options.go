package daemon

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/state/wal"
)

// Options are what a [Daemon] is built from. Config is required.
type Options struct {
	// Config is the daemon's own file, parsed without issues.
	Config *config.Config
	// Version of the program, for metrics and logs. Default "unknown".
	Version string
	// Logger receives what happens. Default: nobody.
	Logger *slog.Logger
	// Stdin and Stdout are used by a file source with the path "-" and by
	// stdout sinks. Default: those of the process.
	Stdin  io.Reader
	Stdout io.Writer
	// Color lets stdout sinks of the format text use colors.
	Color bool

	// Now is the wall clock. Default [time.Now].
	Now func() time.Time
	// Log decides the order of records. Default: a log in memory.
	Log Log
	// Sources stand in for those of Config, by name.
	Sources map[string]ingest.Source

	// OnReload, if set, is told what each reload did, whoever asked for it.
	OnReload func(ReloadReport, error)

	// Shards is how many parts the engine's keys are divided into, each judged
	// by one goroutine. What comes out does not depend on it. Default: the
	// number of processors, 16 at most.
	Shards int
	// BatchRecords is how many records the loop takes in one step, if as many
	// are ready. Default 4096: enough to spread the cost of a step, and few
	// enough that a step stays well below 100 ms.
	BatchRecords int
	// StopTimeout bounds [Daemon.Stop] where its context has no deadline.
	// Default 10s.
	StopTimeout time.Duration
}

// Log is the input log as the daemon needs it. It gives each record its place;
// see package wal for what it promises.
type Log interface {
	Append(records []event.Record) (first event.Position, err error)
}

// EnsureDefaults fills what is left out.
func (o *Options) EnsureDefaults() {
	if o.Config != nil {
		o.Config.EnsureDefaults()
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = &wal.Memory{}
	}
	if o.Shards == 0 {
		o.Shards = min(runtime.GOMAXPROCS(0), 16)
	}
	if o.BatchRecords == 0 {
		o.BatchRecords = 4096
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 10 * time.Second
	}
}

// Validate reports every contradiction in o at once.
func (o *Options) Validate() error {
	var errs []error
	if o.Config == nil {
		return errors.New("no configuration")
	}
	for _, p := range o.Config.Validate() {
		errs = append(errs, p)
	}
	if o.Shards < 1 || o.Shards > event.Groups {
		errs = append(errs, errors.New("shards must be from 1 to 256, the number of key groups"))
	}
	if o.BatchRecords < 1 {
		errs = append(errs, errors.New("batch_records must be at least 1"))
	}
	if o.StopTimeout < 0 {
		errs = append(errs, errors.New("stop_timeout may not be negative"))
	}
	return errors.Join(errs...)
}
