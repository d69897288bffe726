package web

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config sets up a handler.
type Config struct {
	// Gatherer gives what /metrics shows.
	Gatherer prometheus.Gatherer
	// Ready returns nil when cepd does its work, or what is in the way. nil:
	// always ready.
	Ready func() error
	// Reload loads the rules again, all or nothing. It returns a [*ReloadRejected]
	// where the rules are wrong, and otherwise says in a line what it did. nil:
	// there is nothing to reload.
	Reload func(context.Context) (done string, err error)
	// DeadLetters are what was given up. nil: there are none to be had.
	DeadLetters DeadLetters
	// Rules returns the rules in force as JSON. nil: there are none.
	Rules func() ([]byte, error)
	// Version of cepd.
	Version string
	// Logger is told of errors that no client sees. Default: nobody.
	Logger *slog.Logger
}

// EnsureDefaults fills what is left out.
func (c *Config) EnsureDefaults() {
	if c.Gatherer == nil {
		c.Gatherer = prometheus.NewRegistry()
	}
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// ReloadRejected says that new rules are wrong and the old ones stay in force.
type ReloadRejected struct {
	Report string // what is wrong, as `cepd check` prints it
}

func (r *ReloadRejected) Error() string { return r.Report }

// New returns the handler of cepd's HTTP address.
func New(cfg Config) http.Handler {
	cfg.EnsureDefaults()
	h := &handler{cfg}
	mux := http.NewServeMux()
	// A pattern with GET takes HEAD too.
	mux.HandleFunc("GET /{$}", h.index)
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{
		EnableOpenMetrics: true, ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelError),
	}))
	for _, path := range []string{"/-/healthy", "/healthz"} {
		mux.HandleFunc("GET "+path, h.healthy)
	}
	for _, path := range []string{"/-/ready", "/readyz"} {
		mux.HandleFunc("GET "+path, h.ready)
	}
	mux.HandleFunc("POST /-/reload", h.reload)
	mux.HandleFunc("GET /api/v1/rules", h.rules)
	mux.HandleFunc("GET /api/v1/dead-letters", h.listLetters)
	mux.HandleFunc("POST /api/v1/dead-letters/retry", h.changeLetters(DeadLetters.Retry))
	mux.HandleFunc("POST /api/v1/dead-letters/purge", h.changeLetters(DeadLetters.Purge))
	// A page on the web must not be able to reload a cepd on its reader's host.
	return http.NewCrossOriginProtection().Handler(mux)
}

type handler struct{ cfg Config }

func text(w http.ResponseWriter, code int, s string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, s) // a client that is gone needs no answer
}

// healthy says that the process answers. It asks nothing else: who restarts
// cepd for a broker that is down only adds to the trouble.
func (h *handler) healthy(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusOK, "cepd is healthy.\n")
}

func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	if err := h.cfg.Ready(); err != nil {
		text(w, http.StatusServiceUnavailable, fmt.Sprintf("cepd is not ready: %v\n", err))
		return
	}
	text(w, http.StatusOK, "cepd is ready.\n")
}

func (h *handler) reload(w http.ResponseWriter, r *http.Request) {
	if h.cfg.Reload == nil {
		text(w, http.StatusNotFound, "There is nothing to reload.\n")
		return
	}
	done, err := h.cfg.Reload(r.Context())
	var rejected *ReloadRejected
	switch {
	case err == nil:
		text(w, http.StatusOK, "Reloaded: "+done+".\n")
	case errors.As(err, &rejected):
		text(w, http.StatusUnprocessableEntity, "The rules stay as they were, since the new ones are wrong:\n\n"+rejected.Report+"\n")
	default:
		text(w, http.StatusInternalServerError, fmt.Sprintf("Reloading failed: %v\n", err))
	}
}

// rules answers with the rules in force.
func (h *handler) rules(w http.ResponseWriter, _ *http.Request) {
	if h.cfg.Rules == nil {
		text(w, http.StatusNotFound, "There are no rules.\n")
		return
	}
	data, err := h.cfg.Rules()
	if err != nil {
		text(w, http.StatusServiceUnavailable, fmt.Sprintf("%v\n", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(data) // a client that is gone needs no answer
}

const page = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>cepd</title></head>
<body>
<h1>cepd</h1>
<p>Version %s.</p>
<ul>
<li><a href="/metrics">/metrics</a>: metrics for Prometheus</li>
<li><a href="/-/healthy">/-/healthy</a>: whether cepd answers (also /healthz)</li>
<li><a href="/-/ready">/-/ready</a>: whether cepd does its work, or what is in the way (also /readyz)</li>
<li>POST /-/reload: load the rules again, all or nothing</li>
<li><a href="/api/v1/rules">/api/v1/rules</a>: the rules in force, and the shapes of their state</li>
<li><a href="/api/v1/dead-letters">/api/v1/dead-letters</a>: what no sink would take, a JSON object on each line</li>
</ul>
</body>
</html>
`

func (h *handler) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = fmt.Fprintf(w, page, html.EscapeString(h.cfg.Version))
}

// shutdownBound is how long answers under way may take when cepd stops.
const shutdownBound = 5 * time.Second

// Serve answers on l until ctx ends, then finishes what is under way, within a
// bound, and closes l.
func Serve(ctx context.Context, l net.Listener, h http.Handler, logger *slog.Logger) error {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(stopped)
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownBound)
		defer cancel()
		if s.Shutdown(bound) != nil {
			s.Close()
		}
	})
	err := s.Serve(l)
	if !cancel() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("answering HTTP on %s: %w", l.Addr(), err)
}
