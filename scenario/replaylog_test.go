package scenario

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cepd/cepd/alerting/notify/text"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
)

// records is a log.
type records []event.Record

func (r records) First() event.Position { return r[0].Pos }

func (r records) Read(after event.Position, f func(*event.Record) error) error {
	for i := range r {
		if r[i].Pos.Compare(after) > 0 {
			if err := f(&r[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

const quiet = `
streams:
  doors: {source: plant, topic: "doors/{door}", fields: {open: bool}}
rules:
  - name: ajar
    from: doors
    by: e.door
    when: e.open
    for: 30s
    alert: {summary: "${key} is open"}
`

// A log is read as it was: with topics, with its clock, and at its positions,
// wherever it begins and however it is cut into batches. Its rules and tables give
// way to those of the replay.
func TestReplayLog(t *testing.T) {
	start := event.Time(1_772_366_400_000_000_000)
	for _, first := range []uint64{1, 1000} {
		var log records
		add := func(after event.Duration, r event.Record) {
			r.Pos, r.Arrival = event.Position{Seq: first + uint64(len(log))}, start.Add(after*1e9)
			log = append(log, r)
		}
		message := func(after event.Duration, door, payload string) {
			add(after, event.Record{Kind: event.KindMessage, Source: "plant", Topic: "doors/" + door, Payload: []byte(payload)})
		}
		add(0, event.Record{Kind: event.KindStart})
		add(0, event.Record{Kind: event.KindRuleSet, Payload: []byte("rules of that time")})
		add(0, event.Record{Kind: event.KindSourceUp, Source: "plant"})
		message(1, "a", `{"open":true}`)
		add(2, event.Record{Kind: event.KindTables, Payload: []byte("tables of that time")})
		add(3, event.Record{Kind: event.KindRuleSet, Payload: []byte("other rules of that time")})
		message(5, "b", `{"open":tr`)
		message(6, "c", `{"open":true}`)
		add(40, event.Record{Kind: event.KindTick})
		message(50, "a", `{"open":false}`)
		for _, size := range []int{0, 1, 3} {
			var out bytes.Buffer
			var rejected []string
			sum, err := Replay(t.Context(), Options{
				Rules: loadSet(t, "quiet.yaml", quiet), Log: log, BatchRecords: size, Print: NewText(&out, text.Options{}),
				Rejected: func(where string, _ engine.Reject) { rejected = append(rejected, where) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := sum.Stats.Events.Total("doors"); n != 3 {
				t.Errorf("batches of %d: %d events", size, n)
			}
			if got, want := strings.Join(rejected, ", "), fmt.Sprintf("0:%d plant doors/b", first+6); got != want {
				t.Errorf("batches of %d: rejected %q, want %q", size, got, want)
			}
			for _, want := range []string{"2026-03-01T12:00:31Z  RAISED   warning  ajar  a", "2026-03-01T12:00:36Z  RAISED   warning  ajar  c", "2026-03-01T12:00:50Z  CLEARED  warning  ajar  a"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("from %d in batches of %d: no %q in\n%s", first, size, want, out.String())
				}
			}
		}
	}
}

const hotCBOR = `
streams:
  telemetry: {source: plant, topic: "{device}", format: cbor, time: e.ts, late: warehouse}
rules:
  - name: hot
    from: telemetry
    by: e.device
    when: e.temp > 80
    alert: {summary: "${key} is at ${e.temp}", evidence: all}
  - name: up
    from: telemetry
    by: e.device
    pattern: low -> high
    define: {low: e.temp < 80, high: e.temp > 80}
    within: 1h
    emit: {device: key}
`

// What came as CBOR is shown as JSON, wherever an event is shown; and a file that
// stands in for its source has JSON.
func TestCBOR(t *testing.T) {
	log := records{{Kind: event.KindStart}, {Kind: event.KindRuleSet}, {Kind: event.KindSourceUp, Source: "plant"}}
	for _, payload := range []string{
		"\xa2\x62ts\xc1\x1a\x69\xa4\x2a\x40\x64temp\x18\x46",
		"\xa3\x62ts\xc1\x1a\x69\xa4\x2a\x41\x64temp\xf9\x55\x48\x62id\x42\x01\x02",
		"\xa3\x62ts\xc1\x1a\x69\xa4\x2a\x40\x64temp\x18\x46\x01\x02",
	} {
		log = append(log, event.Record{Kind: event.KindMessage, Source: "plant", Topic: "p1", Payload: []byte(payload)})
	}
	for i := range log {
		log[i].Pos, log[i].Arrival = event.Position{Seq: uint64(i + 1)}, 1_772_366_400_000_000_000
	}
	set := loadSet(t, "hot.yaml", hotCBOR)
	shown := `{"ts":"2026-03-01T12:00:01Z","temp":84.5,"id":"AQI="}`
	for _, c := range []struct {
		name string
		run  func(out *bytes.Buffer) error
		want []string
	}{
		{"replay", func(out *bytes.Buffer) error {
			_, err := Replay(t.Context(), Options{Rules: set, Log: log, Print: NewJSON(out)})
			return err
		}, []string{
			`"evidence":[{"events":[{"time":"2026-03-01T12:00:01Z","temp":84.5,"ts":"2026-03-01T12:00:01Z","id":"AQI="}]}]`,
			`{"kind":"late","stream":"telemetry","time":"2026-03-01T12:00:00Z","event":{"device":"p1","ts":"2026-03-01T12:00:00Z","temp":70,"1":2}}`,
		}},
		{"matches", func(out *bytes.Buffer) error {
			_, err := Replay(t.Context(), Options{Rules: set, Log: log, Matches: true, Print: NewJSON(out)})
			return err
		}, []string{`"high":[` + shown + `]`}},
		{"matches for people", func(out *bytes.Buffer) error {
			_, err := Replay(t.Context(), Options{Rules: set, Log: log, Matches: true, Print: NewText(out, text.Options{})})
			return err
		}, []string{"    high  " + shown + "\n"}},
		{"explain", func(out *bytes.Buffer) error {
			_, err := Explain(t.Context(), Options{Rules: set, Log: log}, "hot", "", out)
			return err
		}, []string{"p1  " + shown + "\n    `when` holds"}},
		{"a file", func(out *bytes.Buffer) error {
			in := readingsOf(t, "-", `{"ts":"2026-03-01T12:00:01Z","device":"p2","temp":84.5}`)
			_, err := Replay(t.Context(), Options{Rules: set, Stream: "telemetry", Source: in, Print: NewJSON(out)})
			return err
		}, []string{`"summary":"p2 is at 84.5"`}},
	} {
		var out bytes.Buffer
		if err := c.run(&out); err != nil {
			t.Fatal(c.name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %s in\n%s", c.name, want, out.String())
			}
		}
	}
}
