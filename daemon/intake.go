package daemon

import (
	"strconv"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/ingest/http"
	"github.com/cepd/cepd/web"
)

// openIntake starts a source that others post events to.
func (d *Daemon) openIntake(s config.Source) (ingest.Source, error) {
	token, err := s.HTTP.Secret()
	if err != nil {
		return nil, err
	}
	tls, err := s.HTTP.TLS.Config()
	if err != nil {
		return nil, err
	}
	src, err := http.New(http.Config{
		Name: s.Name, Listen: s.HTTP.Listen, TLS: tls, Token: token, Topic: s.HTTP.Topic,
		Takes: func(topic string) bool { return d.takes(s.Name, topic) },
		Now:   d.clock.now, Logger: d.log.With("source", s.Name),
	})
	if err != nil {
		return nil, err
	}
	d.log.Info("taking events by HTTP", "source", s.Name, "url", intakeURL(src.Addr(), tls != nil))
	return src, nil
}

func intakeURL(addr string, tls bool) string {
	if tls {
		return "https://" + addr + http.Path
	}
	return "http://" + addr + http.Path
}

// takes reports whether a stream of the rules in force takes a source's
// messages of a topic.
func (d *Daemon) takes(source, topic string) bool {
	for _, s := range readersOf(d.Rules(), source) {
		if s.Topic == nil {
			return true
		}
		if _, ok := s.Topic.Match(topic, nil); ok {
			return true
		}
	}
	return false
}

// collectRequests sets the metrics of sources that are posted to.
func (d *Daemon) collectRequests() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, r := range d.sources {
		if src, ok := r.Source.(*http.Source); ok {
			for code, n := range src.Answers() {
				d.metrics.Set(web.SourceRequests, float64(n), name, strconv.Itoa(code))
			}
		}
	}
}
