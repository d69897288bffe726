package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/file"
	"github.com/cepd/cepd/alerting/notify/mqtt"
	"github.com/cepd/cepd/alerting/notify/stdout"
	"github.com/cepd/cepd/alerting/notify/text"
	"github.com/cepd/cepd/alerting/notify/webhook"
	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/mqttconn"
)

// sinks are the notifiers of a daemon and what must be closed after them.
type sinks struct {
	list    []notify.Sink
	closers []func(ctx context.Context)
}

// openSinks makes the sinks of cepd.yaml. An MQTT sink begins to connect.
func (d *Daemon) openSinks() (*sinks, error) {
	open := &sinks{}
	for _, s := range d.cfg.Sinks {
		n, err := d.openSink(s, open)
		if err != nil {
			open.close(context.Background())
			return nil, fmt.Errorf("sink %s: %w", s.Name, err)
		}
		workers := s.Workers
		if (s.Type == "stdout" || s.Type == "file") && workers == 0 {
			workers = 1 // whoever reads it wants what happened in its order
		}
		open.list = append(open.list, notify.Sink{
			Name: s.Name, Notifier: n, Workers: workers, Timeout: s.Timeout, MaxAge: s.MaxAge,
		})
	}
	return open, nil
}

func (d *Daemon) openSink(s config.Sink, open *sinks) (notify.Notifier, error) {
	switch s.Type {
	case "webhook":
		return d.openWebhook(s, open)
	case "mqtt":
		conn, err := d.sinkConn(s)
		if err != nil {
			return nil, err
		}
		cfg := mqtt.ClientConfig{Conn: conn, StatusTopic: s.MQTT.StatusTopic, Logger: d.log.With("sink", s.Name)}
		cfg.Session = s.MQTT.QoS < 2 && (d.cfg.State.Dir != "" || s.MQTT.Conn.ClientID != "") // else the id is another one after each start
		if s.MQTT.Retain {
			cfg.Forgotten = func() { d.refresh.ask(s.Name) }
		}
		client, err := mqtt.Dial(cfg)
		if err != nil {
			return nil, err
		}
		open.closers = append(open.closers, client.Close)
		return mqtt.New(mqtt.Config{
			Publisher: client, Topic: s.MQTT.Topic, EventTopic: s.MQTT.EventTopic, QoS: s.MQTT.QoS, Retain: s.MQTT.Retain,
			Format: s.MQTT.Format, ExternalURL: d.cfg.HTTP.ExternalURL,
		})
	case "file":
		sink, err := file.New(s.File)
		if err != nil {
			return nil, err
		}
		open.closers = append(open.closers, func(context.Context) {
			if err := sink.Close(); err != nil {
				d.log.Error("closing files", "sink", s.Name, "err", err)
			}
		})
		return sink, nil
	case "stdout":
		return stdout.New(stdout.Config{Writer: d.opts.Stdout, Format: s.Stdout.Format, Text: text.Options{Color: d.opts.Color}})
	}
	return nil, fmt.Errorf("unknown type %q", s.Type)
}

func (d *Daemon) openWebhook(s config.Sink, open *sinks) (notify.Notifier, error) {
	cfg := s.Webhook.Config
	cfg.Version = d.opts.Version
	if cfg.ExternalURL == "" {
		cfg.ExternalURL = d.cfg.HTTP.ExternalURL
	}
	if !s.Webhook.TLS.IsZero() {
		u, err := url.Parse(cfg.URL)
		if err != nil || cfg.URL == "" {
			if s.Webhook.TLS.ServerName == "" {
				return nil, errors.New("tls with url_file needs server_name")
			}
			u = &url.URL{}
		}
		if cfg.TLS, err = s.Webhook.TLS.Config(u.Hostname()); err != nil {
			return nil, err
		}
	}
	sink, err := webhook.New(cfg)
	if err != nil {
		return nil, err
	}
	open.closers = append(open.closers, func(context.Context) { sink.Close() })
	return sink, nil
}

// sinkConn returns how an MQTT sink connects: as its source does, if it names
// one, but under a client id of its own.
func (d *Daemon) sinkConn(s config.Sink) (mqttconn.Config, error) {
	conn := s.MQTT.Conn
	for _, src := range d.cfg.Sources {
		if s.MQTT.Source != "" && src.Name == s.MQTT.Source {
			own := conn.ClientID
			conn = src.MQTT.Conn
			conn.ClientID = own
		}
	}
	if conn.ClientID != "" {
		return conn, nil
	}
	var err error
	conn.ClientID, err = d.clientID("sink-" + s.Name)
	return conn, err
}

// close closes the connections, in reverse order.
func (s *sinks) close(ctx context.Context) {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i](ctx)
	}
	s.closers = nil
}
