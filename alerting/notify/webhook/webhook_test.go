package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/format"
	"github.com/cepd/cepd/alerting/notify/internal/sample"
	"github.com/cepd/cepd/event"
	intake "github.com/cepd/cepd/ingest/http"
	"github.com/cepd/cepd/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

const (
	secret1 = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"     // 0123456789abcdef01234567
	secret2 = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo=" // abcdefghijklmnopqrstuvwxyz
)

// serve returns a sink and the server that it posts to.
func serve(t *testing.T, cfg Config, h http.HandlerFunc) *Sink {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	if cfg.URL == "" {
		cfg.URL = srv.URL + "/hook?token=hush"
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// An event is posted as it is, whatever becomes of clears.
func TestEvent(t *testing.T) {
	d := notify.NewDelivery(notify.Emitted(sample.Derived()), "ops", 0)
	var bodies, ids []string
	s := serve(t, Config{SkipResolved: true}, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies, ids = append(bodies, string(b)), append(ids, r.Header.Get("Webhook-Id"))
	})
	for range 2 {
		if err := s.Notify(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	want := string(notify.AppendDerived(nil, d.Derived))
	if diff := cmp.Diff([]string{want, want}, bodies); diff != "" {
		t.Error(diff)
	}
	if id := alerting.DeliveryID(d.Derived.ID(), "ops", 0); ids[0] != id || ids[1] != id {
		t.Errorf("webhook-id %v, want %s", ids, id)
	}
}

func TestPost(t *testing.T) {
	type request struct {
		http.Header
		body []byte
	}
	got := make(chan request, 10)
	s := serve(t, Config{Secret: secret1 + " " + secret2, Version: "1.2.3", Token: "x", Headers: map[string]string{"x-site": "oslo"}},
		func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			got <- request{r.Header, b}
			w.WriteHeader(http.StatusNoContent)
		})
	d := notify.NewDelivery(notify.Changed(sample.Raised()), "ops", 0)
	for range 2 { // each try has the same id
		if err := s.Notify(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		r := <-got
		for name, want := range map[string]string{
			"Content-Type": "application/json", "User-Agent": "cepd/1.2.3", "Authorization": "Bearer x", "X-Site": "oslo", "Webhook-Id": alerting.DeliveryID(d.Transition.ID, "ops", 0),
		} {
			if r.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, r.Get(name), want)
			}
		}
		at, err := strconv.ParseInt(r.Get("Webhook-Timestamp"), 10, 64)
		if err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Hour {
			t.Errorf("webhook-timestamp %q", r.Get("Webhook-Timestamp"))
		}
		// Verified as the specification says, by either secret.
		signatures := strings.Fields(r.Get("Webhook-Signature"))
		for i, key := range []string{"0123456789abcdef01234567", "abcdefghijklmnopqrstuvwxyz"} {
			h := hmac.New(sha256.New, []byte(key))
			h.Write([]byte(r.Get("Webhook-Id") + "." + r.Get("Webhook-Timestamp") + "." + string(r.body)))
			if want := "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)); i >= len(signatures) || signatures[i] != want {
				t.Errorf("webhook-signature %q, want %s as number %d", r.Get("Webhook-Signature"), want, i)
			}
		}
	}
}

// A topic of ntfy goes from the address into the body.
func TestNtfy(t *testing.T) {
	var path, body string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		path, body = r.URL.String(), string(b)
	}))
	defer srv.Close()
	for _, tt := range []struct{ url, path, topic string }{
		{"/plant", "/", "plant"}, {"/plant/", "/", "plant"}, {"/behind/a/proxy/plant%20a?auth=x", "/behind/a/proxy/?auth=x", "plant a"},
	} {
		s, err := New(Config{URL: srv.URL + tt.url, Format: "ntfy"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Notify(t.Context(), notify.NewDelivery(notify.Changed(sample.Raised()), "ops", 0)); err != nil {
			t.Error(err)
		}
		if path != tt.path || !strings.HasPrefix(body, `{"topic":"`+tt.topic+`",`) {
			t.Errorf("%s: %s got %s", tt.url, path, body)
		}
		s.Close()
	}
}

// CloudEvents are what the source of events over HTTP takes as such. One that
// comes twice is known by its id.
func TestCloudEventsAreTaken(t *testing.T) {
	src, err := intake.New(intake.Config{Name: "intake", Listen: "127.0.0.1:0", Now: func() event.Time { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{URL: "http://" + src.Addr() + "/v1/events/alerts", Format: "cloudevents"})
	if err != nil {
		t.Fatal(err)
	}
	d := notify.NewDelivery(notify.Changed(sample.Raised()), "ops", 0)
	ctx, refused := context.WithCancelCause(t.Context())
	defer refused(nil)
	posted := make(chan struct{})
	go func() {
		defer close(posted)
		if err := errors.Join(s.Notify(ctx, d), s.Notify(ctx, d)); err != nil {
			refused(err)
		}
	}()
	var ids []string
	for len(ids) < 2 {
		b, err := src.Read(ctx)
		if err != nil {
			t.Fatal(err, context.Cause(ctx))
		}
		for _, r := range b.Records {
			if r.Kind != event.KindMessage {
				continue
			}
			ids = append(ids, r.SenderID)
			if want := string(format.AppendCloudEvent(nil, &d, "")); string(r.Payload) != want {
				t.Errorf("got %s, want %s", r.Payload, want)
			}
		}
		b.Ack(nil)
	}
	<-posted
	if err := context.Cause(ctx); err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(ids[0], d.ID) || ids[0] != ids[1] {
		t.Errorf("ids %q, want one twice", ids)
	}
	s.Close()
	if err := src.Close(); err != nil {
		t.Error(err)
	}
}

// What a format does not tell of is given up at once, and nothing is posted.
func TestRefusedEvent(t *testing.T) {
	s := serve(t, Config{Format: "slack"}, func(http.ResponseWriter, *http.Request) { t.Error("a request came") })
	err := s.Notify(t.Context(), notify.NewDelivery(notify.Emitted(sample.Derived()), "ops", 0))
	var e *notify.Error
	if !errors.As(err, &e) || !e.Permanent || e.Reason != notify.ReasonClient || !strings.Contains(err.Error(), "slack does not tell of events") {
		t.Errorf("got %v", err)
	}
}

// The example of the Standard Webhooks specification.
func TestSignatureVector(t *testing.T) {
	keys, err := parseSecrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		status    int
		after     string
		reason    notify.Reason // empty: success
		permanent bool
		wait      time.Duration
	}{
		{200, "", "", false, 0},
		{202, "", "", false, 0},
		{301, "", notify.ReasonRedirect, false, 0},
		{302, "", notify.ReasonRedirect, false, 0},
		{304, "", notify.ReasonRedirect, false, 0},
		{400, "", notify.ReasonClient, true, 0},
		{401, "", notify.ReasonAuth, true, 0},
		{403, "", notify.ReasonAuth, true, 0},
		{404, "9", notify.ReasonClient, true, 0},
		{408, "", notify.ReasonTimeout, false, 0},
		{410, "", notify.ReasonClient, true, 0},
		{425, "", notify.ReasonServer, false, 0},
		{429, "", notify.ReasonRateLimited, false, 0},
		{429, "120", notify.ReasonRateLimited, false, 2 * time.Minute},
		{429, "-1", notify.ReasonRateLimited, false, 0},
		{429, "soon", notify.ReasonRateLimited, false, 0},
		{429, "99999999999999999999", notify.ReasonRateLimited, false, 0},
		{500, "", notify.ReasonServer, false, 0},
		{503, "30", notify.ReasonServer, false, 30 * time.Second},
		{503, "Wed, 21 Oct 2015 07:28:00 GMT", notify.ReasonServer, false, 0},
	}
	calls := 0
	var tt = tests[0]
	s := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		calls++
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "/elsewhere")
		if tt.after != "" {
			w.Header().Set("Retry-After", tt.after)
		}
		w.WriteHeader(tt.status)
		if tt.status != 304 && tt.status != 204 {
			_, _ = io.WriteString(w, "no \x1b[31m thanks"+strings.Repeat("!", 100_000))
		}
	})
	for i := range tests {
		tt = tests[i]
		err := s.Notify(t.Context(), notify.NewDelivery(notify.Changed(sample.Raised()), "ops", 0))
		if tt.reason == "" {
			if err != nil {
				t.Errorf("status %d: %v", tt.status, err)
			}
			continue
		}
		var e *notify.Error
		if !errors.As(err, &e) || e.Reason != tt.reason || e.Permanent != tt.permanent || !tt.permanent && e.After != tt.wait {
			t.Errorf("status %d, Retry-After %q: %+v", tt.status, tt.after, e)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, strconv.Itoa(tt.status)) || tt.status != 304 && !strings.Contains(text, "no \\x1b[31m thanks!") ||
			len(text) > 400 || strings.Contains(text, "hush") {
			t.Errorf("status %d: error text %q", tt.status, text)
		}
	}
	if calls != len(tests) {
		t.Errorf("%d requests for %d deliveries: a redirect was followed", calls, len(tests))
	}
}

func TestRetryAfterDate(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if got := retryAfter("Sun, 01 Mar 2026 12:01:30 GMT", now); got != 90*time.Second {
		t.Errorf("retryAfter of a date = %v, want 90s", got)
	}
}

// No error shows what an address hides.
func TestConnectionErrors(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	base := strings.TrimPrefix(srv.URL, "http://")
	srv.Close()
	s, err := New(Config{URL: "http://me:hush@" + base + "/hush?token=hush"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Notify(t.Context(), notify.NewDelivery(notify.Changed(sample.Raised()), "ops", 0))
	var e *notify.Error
	if !errors.As(err, &e) || e.Reason != notify.ReasonConnection || e.Permanent || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), base) {
		t.Errorf("a server that is gone: %v", err)
	}

	release := make(chan struct{})
	s = serve(t, Config{}, func(_ http.ResponseWriter, r *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err = s.Notify(ctx, notify.NewDelivery(notify.Changed(sample.Raised()), "ops", 0))
	if !errors.As(err, &e) || e.Reason != notify.ReasonTimeout || e.Permanent || strings.Contains(err.Error(), "hush") {
		t.Errorf("a server that is slow: %v", err)
	}
}

func TestSkipResolved(t *testing.T) {
	s := serve(t, Config{SkipResolved: true}, func(w http.ResponseWriter, r *http.Request) { t.Error("a request came") })
	if err := s.Notify(t.Context(), notify.NewDelivery(notify.Changed(sample.Cleared()), "ops", 0)); err != nil {
		t.Error(err)
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	s, err := New(Config{URLFile: file("url", "http://127.0.0.1:1/x\n"), SecretFile: file("secret", secret1+"\n"+secret2+"\n"), TokenFile: file("token", "hush\n")})
	if err != nil {
		t.Fatal(err)
	}
	if s.url.Path != "/x" || len(s.secrets) != 2 || s.token != "hush" {
		t.Errorf("url %v, %d secrets, token %q", s.url, len(s.secrets), s.token)
	}
	for _, cfg := range []Config{
		{URLFile: filepath.Join(dir, "none")},
		{URLFile: file("badurl", "hush")},
		{URL: "http://x", SecretFile: filepath.Join(dir, "none")},
		{URL: "http://x", SecretFile: file("empty", "")},
		{URL: "http://x", SecretFile: file("badsecret", "whsec_hush")},
		{URL: "http://x", TokenFile: filepath.Join(dir, "none")},
		{URL: "http://x", TokenFile: file("empty", "")},
		{URL: "http://x", TokenFile: file("badtoken", "hush\nhush")},
		{Format: "pagerduty", RoutingKeyFile: filepath.Join(dir, "none")},
		{Format: "pagerduty", RoutingKeyFile: file("empty", "")},
		{URLFile: file("notopic", "https://ntfy.sh"), Format: "ntfy"},
	} {
		if _, err := New(cfg); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("New(%+v): %v", cfg, err)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	_, err := New(Config{URL: "http://hush:\x7f", URLFile: "f", Secret: "hush", SecretFile: "f", Token: "hush hush", TokenFile: "f",
		Headers: map[string]string{"webhook-id": "1", "a b": "x", "c": "x\ny", "authorization": "Basic hush"}})
	for _, want := range []string{"url and url_file", "secret and secret_file", "token and token_file", "a token is of ASCII", "Authorization and a token", "starts with whsec_", "header webhook-id is set by", `header "a b" cannot`, `header "c" cannot`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want it to say %q", err, want)
		}
	}
	for _, cfg := range []Config{{}, {URL: "ftp://hush"}, {URL: "/hush"}, {URL: "http://hush:\x7f"}, {URL: "http://x", Secret: "whsec_!hush"}, {URL: "http://x", Secret: "whsec_aHVzaA=="},
		{URL: "http://x", Format: "slakc"}, {URL: "http://hush", Format: "ntfy"}, {Format: "pagerduty"}, {URL: "http://x", Format: "template"}, {URL: "http://x", Format: "template", Body: "{"}, {URL: "http://x", Body: "1"}} {
		if _, err := New(cfg); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("New(%+v): %v", cfg, err)
		}
	}
}
