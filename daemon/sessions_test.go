package daemon

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/ingest/mqtt"
	"github.com/cepd/cepd/mqttconn"
	"github.com/cepd/cepd/state/vfs"
)

// What is known of a session is known after a restart: its topics, and whether
// it is at the same broker under the same name. A login is not kept.
func TestSessions(t *testing.T) {
	d := &Daemon{fs: vfs.NewMem(), cfg: &config.Config{State: config.State{Dir: "/state"}}}
	conn := mqttconn.Config{URL: "mqtt://user:secret@broker:1883", ClientID: "a"}
	now := sessionOf(conn, []mqtt.Subscription{{Filter: "x/#"}, {Filter: "y/+"}})
	if _, same := d.keptSession("plant", now); same {
		t.Error("a session before the first")
	}
	d.keepSession("plant", now)
	was, same := d.keptSession("plant", now)
	if diff := cmp.Diff(session{mqttconn.Redact(conn.URL), "a", []string{"x/#", "y/+"}}, was); diff != "" || !same {
		t.Errorf("same: %v, %s", same, diff)
	}
	if data, err := vfs.ReadFile(d.fs, d.sessionFile("plant")); err != nil || strings.Contains(string(data), "secret") {
		t.Errorf("%s, %v", data, err)
	}
	conn.ClientID = "b"
	if _, same := d.keptSession("plant", sessionOf(conn, nil)); same {
		t.Error("under another name it is the same session")
	}
	if err := vfs.WriteFile(d.fs, d.sessionFile("plant"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, same := d.keptSession("plant", now); same {
		t.Error("a damaged note is a session")
	}
}
