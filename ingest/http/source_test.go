package http

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
)

// server is a source whose batches a goroutine acknowledges.
type server struct {
	*Source
	records chan event.Record // messages, as they were read
}

// start runs a source; ack says what becomes of each batch.
func start(t *testing.T, cfg Config, ack func(b ingest.Batch) error) *server {
	t.Helper()
	cfg.Name, cfg.Listen = "intake", "127.0.0.1:0"
	now := event.Time(1000)
	cfg.Now = func() event.Time { now++; return now } // under the source's lock
	src, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{src, make(chan event.Record, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			b, err := src.Read(context.Background())
			if err != nil {
				if !errors.Is(err, ingest.ErrClosed) {
					t.Error(err)
				}
				return
			}
			err = ack(b)
			if err == nil {
				for _, r := range b.Records {
					if r.Kind == event.KindMessage {
						s.records <- r
					}
				}
			}
			b.Ack(err)
		}
	}()
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return s
}

func taken(ingest.Batch) error { return nil }

// post sends a request; headers are "Name: value" lines.
func (s *server) post(t *testing.T, path, body string, headers ...string) (code int, answer string, h nethttp.Header) {
	t.Helper()
	return s.postFrom(t, path, strings.NewReader(body), headers...)
}

func (s *server) postFrom(t *testing.T, path string, body io.Reader, headers ...string) (code int, answer string, h nethttp.Header) {
	t.Helper()
	req, err := nethttp.NewRequest("POST", "http://"+s.Addr()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := nethttp.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b)), resp.Header
}

// payloads returns what was read so far.
func (s *server) payloads() (all []string) {
	for {
		select {
		case r := <-s.records:
			all = append(all, string(r.Payload))
		default:
			return all
		}
	}
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

// Bodies that are taken, and the events that they give.
func TestBodies(t *testing.T) {
	s := start(t, Config{}, taken)
	const ce = `{"specversion":"1.0","id":"7","source":"/p1","type":"t","data":{"temp":1}}`
	for _, c := range []struct {
		name, body string
		headers    []string
		want       []string
	}{
		{"one object", `{"temp": 71.5}`, []string{"Content-Type: application/json"}, []string{`{"temp": 71.5}`}},
		{"as curl -d sends it", `{"a":1}`, []string{"Content-Type: application/x-www-form-urlencoded"}, []string{`{"a":1}`}},
		{"without a type, over lines", "{\"a\":\n1}\n{\"a\":2}", nil, []string{"{\"a\":\n1}", `{"a":2}`}},
		{"an array", `[{"a":1}, {"a":2}]`, nil, []string{`{"a":1}`, `{"a":2}`}},
		{"lines", "{\"a\":1}\n\n{\"a\":2}\r\n", []string{"Content-Type: application/x-ndjson"}, []string{`{"a":1}`, `{"a":2}`}},
		{"gzip", zipped(`{"a":1}`), []string{"Content-Encoding: gzip"}, []string{`{"a":1}`}},
		{"CBOR", "\xa1\x61a\x01", []string{"Content-Type: application/cbor"}, []string{"\xa1\x61a\x01"}},
		{"CBOR as curl --data-binary sends it", "\xa1\x61a\x01\xbf\xff\xd9\xd9\xf7\xa0", []string{"Content-Type: application/x-www-form-urlencoded"}, []string{"\xa1\x61a\x01", "\xbf\xff", "\xd9\xd9\xf7\xa0"}},
		{"a CloudEvent", ce, []string{"Content-Type: application/cloudevents+json; charset=utf-8"}, []string{ce}},
		{"a batch of CloudEvents", "[" + ce + "]", []string{"Content-Type: application/cloudevents-batch+json"}, []string{ce}},
		{"a CloudEvent in headers", `{"temp":1}`,
			[]string{"ce-specversion: 1.0", "ce-id: 7", "ce-source: /p%201", "ce-type: t", "Content-Type: application/json"},
			[]string{`{"data":{"temp":1},"datacontenttype":"application/json","id":"7","source":"/p 1","specversion":"1.0","type":"t"}`}},
		{"bytes in a CloudEvent", "\x00\x01",
			[]string{"ce-specversion: 1.0", "ce-id: 7", "ce-source: s", "ce-type: t", "Content-Type: application/octet-stream"},
			[]string{`{"data_base64":"AAE=","datacontenttype":"application/octet-stream","id":"7","source":"s","specversion":"1.0","type":"t"}`}},
	} {
		code, answer, _ := s.post(t, "/v1/events", c.body, c.headers...)
		if want := fmt.Sprintf(`{"accepted":%d}`, len(c.want)); code != 200 || answer != want {
			t.Errorf("%s: %d %s, want %s", c.name, code, answer, want)
		}
		if got := s.payloads(); !slices.Equal(got, c.want) {
			t.Errorf("%s: events %q, want %q", c.name, got, c.want)
		}
	}
}

// Bodies that are refused: nothing of them is taken.
func TestRefused(t *testing.T) {
	s := start(t, Config{MaxBody: 100, Takes: func(topic string) bool { return topic != "x/y" }}, taken)
	for _, c := range []struct {
		name, path, body string
		headers          []string
		code             int
		message          string
	}{
		{"nothing", "", "", nil, 400, "there is no event in the body"},
		{"no JSON", "", "{\"a\":1}\n{\"a\":}", nil, 400, "event 2, on line 2: no JSON"},
		{"no object", "", `{"a":1} 7`, nil, 400, "event 2: the payload is no JSON object"},
		{"a name twice", "", `[{"a":1},{"b":1,"b":2}]`, nil, 400, "event 2: "},
		{"a line", "", "{\"a\":1}\n{\"a\":1", []string{"Content-Type: application/jsonl"}, 400, "line 2: "},
		{"half of CBOR", "", "\xa0\xa1\x61", nil, 400, "event 2: the CBOR ends too early (at byte 2)"},
		{"no map", "", "\x01", []string{"Content-Type: application/cbor"}, 400, "event 1: the payload is CBOR, but no map"},
		{"a name twice in CBOR", "", "\xa2\x01\x01\x01\x02", nil, 400, "event 1: an object has two fields of the same name (at byte 3)"},
		{"too large", "", `{"a":"` + strings.Repeat("x", 100) + `"}`, nil, 413, "larger than 100 bytes"},
		{"too large when unpacked", "", zipped(`{"a":"` + strings.Repeat("x", 1000) + `"}`), []string{"Content-Encoding: gzip"}, 413, "larger than 100 bytes"},
		{"not gzip", "", `{}`, []string{"Content-Encoding: gzip"}, 400, "not gzip"},
		{"another packing", "", `{}`, []string{"Content-Encoding: br"}, 415, "gzip is"},
		{"half a CloudEvent", "", `{"specversion":"1.0","id":"1","type":"t"}`, []string{"Content-Type: application/cloudevents+json"}, 400, "it has no source"},
		{"half a CloudEvent in headers", "", `{}`, []string{"ce-specversion: 1.0", "ce-id: 7"}, 400, "no header ce-source"},
		{"a topic of no stream", "/x/y", `{}`, nil, 404, "no stream takes events of the topic x/y"},
		{"a key that is too long", "", `{}`, []string{"Idempotency-Key: " + strings.Repeat("k", 300)}, 400, "at most 256"},
	} {
		code, answer, _ := s.post(t, "/v1/events"+c.path, c.body, c.headers...)
		if code != c.code || !strings.Contains(answer, c.message) || !strings.Contains(answer, `"accepted":0`) {
			t.Errorf("%s: %d %s, want %d and %q", c.name, code, answer, c.code, c.message)
		}
	}
	if got := s.payloads(); len(got) > 0 {
		t.Errorf("taken: %q", got)
	}
	resp, err := nethttp.Get("http://" + s.Addr() + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != nethttp.StatusMethodNotAllowed {
		t.Errorf("GET: %s", resp.Status)
	}
}

// What a record tells of its event: the topic of the path, the name that the
// sender gave, and a connection for each request.
func TestRecords(t *testing.T) {
	s := start(t, Config{Topic: "usual"}, taken)
	s.post(t, "/v1/events", `{}`)
	s.post(t, "/v1/events/plant/oslo/p1", `{}{}`, "Idempotency-Key: k1")
	s.post(t, "/v1/events", `{"specversion":"1.0","id":"7","source":"/p1","type":"t"}`,
		"Content-Type: application/cloudevents+json", "Idempotency-Key: k2")
	var got []string
	conns := map[uint64]bool{}
	for range 4 {
		r := <-s.records
		got = append(got, fmt.Sprintf("%s %q %v", r.Topic, r.SenderID, r.Flags.Dup()))
		conns[r.Conn] = true
		if r.Arrival == 0 || r.Source != "intake" {
			t.Errorf("record %+v", r)
		}
	}
	want := []string{`usual "" false`, `plant/oslo/p1 "k1/0" true`, `plant/oslo/p1 "k1/1" true`, `usual "/p1 7" true`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(conns) != 3 {
		t.Errorf("connections %v, want one for each request", conns)
	}
}

func TestToken(t *testing.T) {
	s := start(t, Config{Token: "secret"}, taken)
	for header, want := range map[string]int{"Bearer secret": 200, "Bearer secre": 401, "secret": 401, "": 401} {
		if code, _, _ := s.post(t, "/v1/events", `{}`, "Authorization: "+header); code != want {
			t.Errorf("Authorization %q: %d, want %d", header, code, want)
		}
	}
	if s.Answers()[401] != 3 {
		t.Errorf("answers %v", s.Answers())
	}
}

// An answer comes after the acknowledgement. One with an error refuses all of
// the request, and what finds no room is to come again soon.
func TestAcknowledgement(t *testing.T) {
	held, release := make(chan struct{}, 1), make(chan error)
	s := start(t, Config{Buffer: 1000}, func(b ingest.Batch) error {
		if b.Records[len(b.Records)-1].Kind != event.KindMessage {
			return nil
		}
		held <- struct{}{}
		return <-release
	})
	codes := make(chan int)
	large := `{"a":"` + strings.Repeat("x", 900) + `"}`
	send := func() {
		code, _, _ := s.post(t, "/v1/events", large)
		codes <- code
	}
	go send()
	<-held // larger than the room there is, but alone
	code, answer, h := s.post(t, "/v1/events", `{}`)
	if code != 429 || h.Get("Retry-After") == "" {
		t.Errorf("with a full buffer: %d %s, headers %v", code, answer, h)
	}
	select {
	case code := <-codes:
		t.Errorf("answered %d before the acknowledgement", code)
	default:
	}
	release <- nil
	if code := <-codes; code != 200 {
		t.Errorf("answered %d", code)
	}
	go send()
	<-held
	release <- errors.New("the disk is full")
	if code := <-codes; code != 503 {
		t.Errorf("answered %d, want 503", code)
	}
	if n := len(s.payloads()); n != 1 {
		t.Errorf("%d events taken", n)
	}
}

// What nobody has read when the source closes is refused.
func TestClose(t *testing.T) {
	src, err := New(Config{Name: "intake", Listen: "127.0.0.1:0", Now: func() event.Time { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Source: src}
	code := make(chan int)
	go func() {
		c, _, _ := s.post(t, "/v1/events", `{}`)
		code <- c
	}()
	<-src.ready // of the announcement, or of the request
	for waits := false; !waits; {
		src.mu.Lock()
		waits = len(src.waiting) > 0
		src.mu.Unlock()
	}
	if err := errors.Join(src.Close(), src.Close()); err != nil {
		t.Error(err)
	}
	if c := <-code; c != 503 {
		t.Errorf("answered %d, want 503", c)
	}
	if _, err := src.Read(context.Background()); !errors.Is(err, ingest.ErrClosed) {
		t.Errorf("reading: %v", err)
	}
}

func TestValidate(t *testing.T) {
	for addr, ok := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "0.0.0.0:1": false, ":1": false, "127.0.0.1": false} {
		if err := CheckListen(addr, false); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := CheckListen("0.0.0.0:1", true); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{Listen: "127.0.0.1:0"}); err == nil {
		t.Error("a source without a name and a clock")
	}
}

// FuzzParse: a body is refused, or gives objects that the engine can read.
func FuzzParse(f *testing.F) {
	f.Add(`{"a":1}`, "", "")
	f.Add("{\"a\":1}\n{}", "application/jsonl", "")
	f.Add(`[{"id":"1","source":"s","type":"t","specversion":"1.0"}]`, "application/cloudevents+json", "")
	f.Add(`{"a":1}`, "application/json", "1.0")
	f.Fuzz(func(t *testing.T, body, media, version string) {
		h := nethttp.Header{}
		h.Set("Content-Type", media)
		if version != "" {
			for _, name := range []string{"ce-id", "ce-source", "ce-type", "ce-specversion"} {
				h.Set(name, version)
			}
		}
		events, err := parse(h, []byte(body))
		var no *refusal
		if err != nil {
			if !errors.As(err, &no) || no.code/100 != 4 {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		c := newChecker("json")
		for _, e := range events {
			if err := c.check("event", e.payload); err != nil {
				t.Fatalf("taken: %q: %v", e.payload, err)
			}
		}
	})
}

// What has come of a body takes room while the rest is still to come, and gives it
// back; who is alone may have any.
func TestBodiesTakeRoom(t *testing.T) {
	s := start(t, Config{Buffer: 100_000}, taken)
	read, write := io.Pipe()
	codes := make(chan int)
	go func() {
		code, _, _ := s.postFrom(t, "/v1/events", read)
		codes <- code
	}()
	_, _ = io.WriteString(write, `{"a":"`+strings.Repeat("x", 90_000))
	s.await(func(bytes int) bool { return bytes >= 90_000 })
	other := `{"b":"` + strings.Repeat("x", 20_000) + `"}`
	for _, c := range []struct{ bound, code int }{{100_000, 429}, {400_000, 200}, {50_000, 429}} {
		s.Bound(c.bound)
		if code, _, _ := s.post(t, "/v1/events", other); code != c.code {
			t.Errorf("beside a body that has come in part, with room for %d bytes: %d, want %d", c.bound, code, c.code)
		}
		s.await(func(bytes int) bool { return bytes < 250_000 })
	}
	_, _ = io.WriteString(write, strings.Repeat("x", 90_000)+`"}`)
	_ = write.Close()
	if code := <-codes; code != 200 {
		t.Errorf("alone: %d", code)
	}
	s.await(func(bytes int) bool { return bytes == 0 })
}

// await waits until what requests take is as wanted.
func (s *server) await(wanted func(bytes int) bool) {
	for ok := false; !ok; runtime.Gosched() {
		s.mu.Lock()
		ok = wanted(s.bytes)
		s.mu.Unlock()
	}
}
