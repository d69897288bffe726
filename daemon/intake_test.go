package daemon

import (
	"fmt"
	"io"
	nethttp "net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/ingest/http"
)

// TestIntake posts events to a daemon: the answer comes when they are in the
// log, a topic that no stream takes is refused, and a reload changes which.
func TestIntake(t *testing.T) {
	rules := strings.ReplaceAll(tooHot, "source: plant", "source: plant, topic: \"plant/{site}\"")
	if rules == tooHot {
		t.Fatal("the stream has another form")
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRigWith(t, rules, func(o *Options) {
		o.Sources = nil
		o.Config.Sources = []config.Source{{Name: "plant", Type: "http", HTTP: config.HTTPSource{Listen: "127.0.0.1:0", TokenFile: token}}}
	})
	r.start(t)
	defer r.stop(t)
	defer nethttp.DefaultClient.CloseIdleConnections()
	post := func(topic, token, body string) string {
		url := "http://" + r.sources["plant"].Source.(*http.Source).Addr() + http.Path + topic
		req, err := nethttp.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := nethttp.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %s", resp.StatusCode, answer)
	}
	for _, c := range []struct{ topic, token, body, want string }{
		{"/plant/oslo", "secret", reading("p1", 85) + reading("p2", 60), `200 {"accepted":2}`},
		{"/plant/oslo", "wrong", reading("p3", 85), `401 {"accepted":0,"error":"no Authorization`},
		{"/plants/oslo", "secret", reading("p3", 85), `404 {"accepted":0,"error":"no stream takes events of the topic plants/oslo`},
		{"", "secret", reading("p3", 85), `404 {"accepted":0,"error":"no stream takes events without a topic`},
		{"/plant/oslo", "secret", `{"device":`, `400 {"accepted":0,"error":"event 1, on line 1`},
	} {
		if got := post(c.topic, c.token, c.body); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.topic, got, c.want)
		}
	}
	r.write(t, strings.ReplaceAll(rules, "plant/{site}", "plants/{site}"))
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := post("/plants/oslo", "secret", reading("p4", 85)); !strings.HasPrefix(got, "200 ") {
		t.Errorf("after the reload: %s", got)
	}
	r.stop(t)
	if got := len(r.out.changes(t)); got < 2 {
		t.Errorf("%d changes of alerts, want those of p1 and p4", got)
	}
}
