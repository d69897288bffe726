package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cepd/cepd/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestEndpoints(t *testing.T) {
	var notReady, reload error
	reloads := 0
	m := NewMetrics(BuildInfo{Version: "1.2.3"})
	h := New(Config{
		Gatherer: m.Registry(), Version: "1.2.3 <beta>",
		Ready:  func() error { return notReady },
		Reload: func(context.Context) (string, error) { reloads++; return "2 rules", reload },
	})
	down := errors.New("source plant is down")
	wrong := fmt.Errorf("checking: %w", &ReloadRejected{Report: "pump.yaml:3:5: unknown key whn"})
	tests := []struct {
		method, path string
		notReady     error
		reload       error
		status       int
		body         string // part of it
	}{
		{"GET", "/", nil, nil, 200, "1.2.3 &lt;beta&gt;"},
		{"GET", "/", nil, nil, 200, `href="/-/ready"`},
		{"GET", "/nothing", nil, nil, 404, "404"},
		{"GET", "/-/healthy", down, nil, 200, "cepd is healthy."},
		{"HEAD", "/-/healthy", nil, nil, 200, ""},
		{"GET", "/healthz", nil, nil, 200, "cepd is healthy."},
		{"GET", "/-/ready", nil, nil, 200, "cepd is ready."},
		{"GET", "/-/ready", down, nil, 503, "cepd is not ready: source plant is down"},
		{"HEAD", "/-/ready", down, nil, 503, ""},
		{"GET", "/readyz", down, nil, 503, "source plant is down"},
		{"POST", "/-/ready", nil, nil, 405, ""},
		{"GET", "/-/reload", nil, nil, 405, ""},
		{"POST", "/-/reload", nil, nil, 200, "Reloaded: 2 rules."},
		{"POST", "/-/reload", nil, wrong, 422, "pump.yaml:3:5: unknown key whn"},
		{"POST", "/-/reload", nil, errors.New("no such directory"), 500, "Reloading failed: no such directory"},
		{"GET", "/metrics", nil, nil, 200, `cepd_build_info{goversion=`},
		{"GET", "/metrics", nil, nil, 200, "go_goroutines"},
		{"GET", "/metrics", nil, nil, 200, "process_"},
		{"POST", "/metrics", nil, nil, 405, ""},
	}
	for _, tt := range tests {
		notReady, reload = tt.notReady, tt.reload
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, w.Code, w.Body, tt.status, tt.body)
		}
	}
	if reloads != 3 {
		t.Errorf("%d reloads, want 3", reloads)
	}

	// A page of another origin asks a browser to reload.
	r := httptest.NewRequest("POST", "/-/reload", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || reloads != 3 {
		t.Errorf("a reload from another site: %d", w.Code)
	}

	w = httptest.NewRecorder()
	New(Config{}).ServeHTTP(w, httptest.NewRequest("POST", "/-/reload", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("a reload of nothing: %d", w.Code)
	}
}

func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, h, nil) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer := make(chan string, 1)
	go func() {
		resp, err := client.Get("http://" + l.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-started
	cancel() // what is under way is finished
	close(release)
	if got := <-answer; got != "done" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := client.Get("http://" + l.Addr().String()); err == nil {
		t.Error("it answers after the end")
	}
	if err := Serve(t.Context(), l, h, nil); err == nil {
		t.Error("a listener that is closed is no error")
	}
}
