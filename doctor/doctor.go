package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/rules"
)

// Level says how bad a finding is.
type Level uint8

// The levels.
const (
	OK   Level = iota // as it should be
	Note              // something to know that could not be looked at
	Warn              // works now; something can be lost or delayed one day
	Fail              // does not work
)

var levelNames = [...]string{"ok", "note", "warn", "fail"}

// String returns the level's name.
func (l Level) String() string { return levelNames[l] }

// MarshalText returns the level's name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is one thing that was looked at.
type Finding struct {
	About  string   `json:"about"` // "source plant"
	Level  Level    `json:"level"`
	Text   string   `json:"text"`
	Advice []string `json:"advice,omitempty"` // what to do, a line each
}

// Options say what to look at.
type Options struct {
	// Set is the rules of the Config: their topics are subscribed to.
	Set *rules.Set
	// Probe is how many messages are published to each source's broker to see
	// how many it keeps for a client that is away. 0: none.
	Probe int
	// Timeout bounds each single step. Default 10s.
	Timeout time.Duration
	// Logger is told what the clients of brokers say. Default: nobody.
	Logger *slog.Logger
}

// EnsureDefaults fills what is left out.
func (o *Options) EnsureDefaults() {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// examination is one run of [Examine].
type examination struct {
	Options
	cfg    *config.Config
	report func(Finding)
	about  string // what is looked at now
}

// Examine looks at everything that cfg names and reports each finding as soon
// as it is made. It returns the worst level.
func Examine(ctx context.Context, cfg *config.Config, o Options, report func(Finding)) Level {
	o.EnsureDefaults()
	worst := OK
	x := &examination{Options: o, cfg: cfg, report: func(f Finding) {
		worst = max(worst, f.Level)
		report(f)
	}}
	x.about = "state"
	x.state()
	for _, s := range cfg.Sources {
		x.about = "source " + s.Name
		x.source(ctx, s)
	}
	for _, s := range cfg.Sinks {
		x.about = "sink " + s.Name
		x.sink(ctx, s)
	}
	return worst
}

func (x *examination) say(l Level, text string, advice ...string) {
	x.report(Finding{About: x.about, Level: l, Text: text, Advice: advice})
}

func (x *examination) fail(err error, advice ...string) {
	x.say(Fail, err.Error(), advice...)
}

func (x *examination) source(ctx context.Context, s config.Source) {
	switch s.Type {
	case "mqtt":
		x.broker(ctx, s)
	case "http":
		x.intake(s.HTTP)
	case "file":
		x.file(s.File.Path)
	}
}

func (x *examination) sink(ctx context.Context, s config.Sink) {
	switch s.Type {
	case "webhook":
		x.webhook(ctx, s.Webhook)
	case "mqtt":
		conn := s.MQTT.Conn
		for _, src := range x.cfg.Sources {
			if src.Name == s.MQTT.Source {
				conn = src.MQTT.Conn
			}
		}
		if c := x.connect(ctx, conn); c != nil {
			c.close()
		}
	case "file":
		x.folder(s.File.Path)
	default:
		x.say(OK, "writes to the standard output")
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
