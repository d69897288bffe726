package daemon

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/ingest/mqtt"
	"github.com/cepd/cepd/mqttconn"
	"github.com/cepd/cepd/state/vfs"
)

// clientID returns the name of a client at a broker that cepd.yaml does not
// give: made once and kept in the state directory, so that the broker finds its
// session again; without a directory, a new one each time.
func (d *Daemon) clientID(use string) (string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("making a client id: %w", err)
	}
	id := "cepd-" + hex.EncodeToString(random[:])
	if d.cfg.State.Dir == "" {
		return id, nil
	}
	name := filepath.Join(d.cfg.State.Dir, clientDir, use)
	kept, err := vfs.ReadFile(d.fs, name)
	if text := strings.TrimSpace(string(kept)); err == nil && text != "" {
		return text, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading a client id: %w", err)
	}
	if err := d.fs.MkdirAll(filepath.Dir(name)); err != nil {
		return "", fmt.Errorf("keeping a client id: %w", err)
	}
	if err := vfs.WriteFile(d.fs, name, []byte(id+"\n")); err != nil {
		return "", fmt.Errorf("keeping a client id: %w", err)
	}
	return id, nil
}

// session is what is kept of the session that a source has at its broker.
type session struct {
	URL      string   `json:"url"` // without a login
	ClientID string   `json:"client_id"`
	Topics   []string `json:"topics"` // that it was subscribed to
}

// sessionOf returns the session that a source is about to have.
func sessionOf(conn mqttconn.Config, subs []mqtt.Subscription) session {
	s := session{URL: mqttconn.Redact(conn.URL), ClientID: conn.ClientID}
	for _, sub := range subs {
		s.Topics = append(s.Topics, sub.Filter)
	}
	return s
}

func (d *Daemon) sessionFile(source string) string {
	return filepath.Join(d.cfg.State.Dir, sessionDir, source+".json")
}

// keptSession returns the session that a source of an earlier run had, and
// whether it is at the same broker and under the same name as the one to come.
// One that cannot be read is none: all it is good for is a warning.
func (d *Daemon) keptSession(source string, now session) (was session, same bool) {
	if d.cfg.State.Dir == "" {
		return session{}, false
	}
	data, err := vfs.ReadFile(d.fs, d.sessionFile(source))
	if err != nil || json.Unmarshal(data, &was) != nil {
		return session{}, false
	}
	return was, was.URL == now.URL && was.ClientID == now.ClientID
}

// keepSession notes that a source has a session now.
func (d *Daemon) keepSession(source string, now session) {
	if d.cfg.State.Dir == "" {
		return
	}
	if was, same := d.keptSession(source, now); same && slices.Equal(was.Topics, now.Topics) {
		return
	}
	data, err := json.Marshal(now)
	if err == nil {
		err = d.fs.MkdirAll(filepath.Dir(d.sessionFile(source)))
	}
	if err == nil {
		err = vfs.WriteFile(d.fs, d.sessionFile(source), append(data, '\n'))
	}
	if err != nil {
		d.log.Warn("the session at the broker cannot be noted; should the broker lose it, nobody will know", "source", source, "err", err)
	}
}

// openMQTT starts a source that reads a broker. Connections go on to be numbered
// from the place in the log at which this run began: so a number is higher than
// all before it, in any run.
func (d *Daemon) openMQTT(s config.Source, subs []mqtt.Subscription, was earlier) (*mqtt.Source, error) {
	conn := s.MQTT.Conn
	if conn.ClientID == "" {
		id, err := d.clientID("source-" + s.Name)
		if err != nil {
			return nil, err
		}
		conn.ClientID = id
		if d.cfg.State.Dir == "" {
			d.log.Warn("the client id is new at each start, and the broker keeps the session of the last one for nobody; set client_id or state.dir", "source", s.Name)
		}
	}
	now := sessionOf(conn, subs)
	kept, same := d.keptSession(s.Name, now)
	if same && was.conn == 0 {
		was.topics = kept.Topics
	}
	if !same && kept.ClientID != "" { // on purpose, or with a file that has gone
		d.log.Warn("the source had another session; what a broker still keeps in that is not read", "source", s.Name, "url", kept.URL, "client_id", kept.ClientID)
	}
	return mqtt.New(mqtt.Config{
		Name: s.Name, Conn: conn, Client: s.MQTT.Client, Subscriptions: subs, Unsubscribe: was.topics,
		LastConn: max(was.conn, d.began.Seq), HasSession: same || was.conn > d.began.Seq,
		Connected: func() { d.keepSession(s.Name, now) },
		Now:       d.clock.now, Logger: d.log.With("source", s.Name),
	})
}
