package decode

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cepd/cepd/event"
)

// reading is what a sensor sends: 206 bytes, 8 fields.
const reading = `{"ts":"2026-03-01T12:00:00.250Z","msg_id":"6f1c2a9e-77aa-4b1c-9f0e-2d6f5c1b8a34","site":"oslo","device":"pump-0017","temperature":71.25,"vibration":3.125,"status":"running","fw":"4.12.1-rc.2+build.88.abcd"}`

var readingFields = []event.Field{
	{Name: "ts", Type: event.TypeTimestamp}, {Name: "msg_id", Type: event.TypeString},
	{Name: "site", Type: event.TypeString}, {Name: "device", Type: event.TypeString},
	{Name: "temperature", Type: event.TypeDouble}, {Name: "vibration", Type: event.TypeDouble},
	{Name: "status", Type: event.TypeString}, {Name: "fw", Type: event.TypeString},
}

func schemaOf(declared []event.Field, used ...string) *event.Schema {
	s := event.NewSchema("test", declared)
	for _, name := range used {
		if _, ok := s.Use(name); !ok {
			panic(name)
		}
	}
	return s
}

func BenchmarkDecode(b *testing.B) {
	for _, bench := range []struct {
		name     string
		declared []event.Field
		used     []string
	}{
		{"three", readingFields, []string{"device", "temperature", "status"}},
		{"three_dynamic", nil, []string{"device", "temperature", "status"}},
		{"three_with_time", readingFields, []string{"ts", "device", "temperature"}},
		{"none", readingFields, nil},
		{"all", readingFields, []string{"ts", "msg_id", "site", "device", "temperature", "vibration", "status", "fw"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			d, err := New("json", schemaOf(bench.declared, bench.used...))
			if err != nil {
				b.Fatal(err)
			}
			payload := []byte(reading)
			var e event.Event
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(payload, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("encoding_json_struct", func(b *testing.B) {
		payload := []byte(reading)
		b.SetBytes(int64(len(payload)))
		b.ReportAllocs()
		for b.Loop() {
			var r struct {
				Device      string  `json:"device"`
				Temperature float64 `json:"temperature"`
				Status      string  `json:"status"`
			}
			if err := json.Unmarshal(payload, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json_map", func(b *testing.B) {
		payload := []byte(reading)
		b.SetBytes(int64(len(payload)))
		b.ReportAllocs()
		for b.Loop() {
			var m map[string]any
			if err := json.Unmarshal(payload, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDecodeMixed decodes messages of several shapes, and with names
// that never come twice.
func BenchmarkDecodeMixed(b *testing.B) {
	shapes := [][]byte{
		[]byte(reading),
		[]byte(`{"device":"pump-0017","status":"stopped"}`),
		[]byte(`{"ts":"2026-03-01T12:00:00.250Z","device":"pump-0017","temperature":71.25,"pos":{"lat":59.9,"lon":10.7},"tags":["a","b"]}`),
	}
	fresh := make([][]byte, 10_000)
	for i := range fresh {
		n := strconv.Itoa(i)
		fresh[i] = []byte(`{"device":"pump-0017","a` + n + `":1,"b` + n + `":2,"c` + n + `":3,"temperature":71.25}`)
	}
	for _, bench := range []struct {
		name     string
		payloads [][]byte
	}{{"three_shapes", shapes}, {"fresh_names", fresh}} {
		b.Run(bench.name, func(b *testing.B) {
			d, _ := New("json", schemaOf(nil, "device", "temperature", "status"))
			var e event.Event
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := d.Decode(bench.payloads[i%len(bench.payloads)], &e); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// BenchmarkDecodeStream decodes messages of a stream, whose values differ in
// length now and then, so that a processor cannot know all of it beforehand.
func BenchmarkDecodeStream(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	payloads := make([][]byte, 8192)
	for i := range payloads {
		at = at.Add(time.Duration(random.IntN(2_000_000)))
		payloads[i] = fmt.Appendf(nil, `{"ts":"%s","msg_id":"m-%08d","site":"plant-%d","device":"pump-%05d","temperature":%.2f,"vibration":%.3f,"pressure":%.2f,"status":"running","fw":"2.4.1"}`,
			at.Format(time.RFC3339Nano), i, random.IntN(8), random.IntN(10_000), 40+30*random.Float64(), random.Float64(), 3+random.Float64())
	}
	fields := append([]event.Field{{Name: "pressure", Type: event.TypeDouble}}, readingFields...)
	d, err := New("json", schemaOf(fields, "ts", "device", "temperature", "vibration", "status"))
	if err != nil {
		b.Fatal(err)
	}
	var e event.Event
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(payloads[i&8191], &e); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkDecodeShapes decodes messages as other senders write them, each a
// stream whose values differ from message to message.
func BenchmarkDecodeShapes(b *testing.B) {
	random := rand.New(rand.NewPCG(2, 1))
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	word := func(most int) string { return "abcdefghijklmnopqrstuvwxyz0123456789 -_/"[:1+random.IntN(most)] }
	number := func() string {
		return strconv.FormatFloat((random.Float64()-0.3)*math.Pow10(random.IntN(4)), 'f', random.IntN(4), 64)
	}
	for _, bench := range []struct {
		name    string
		message func() string
	}{
		{"short", func() string {
			return fmt.Sprintf(`{"temperature":%.1f,"humidity":%d}`, 20+5*random.Float64(), 40+random.IntN(20))
		}},
		{"lengths", func() string { // all of them differ
			return fmt.Sprintf(`{"ts":"%s","device":"%s","site":"%s","temperature":%s,"vibration":%s,"status":"%s","fw":"%s"}`,
				at.Format(time.RFC3339Nano), word(30), word(12), number(), number(), word(8), word(20))
		}},
		{"epoch", func() string { // Unix milliseconds, places, whole numbers
			return fmt.Sprintf(`{"time":%d,"device":"pump-%05d","lat":%.6f,"lon":%.6f,"temperature":%.8f,"count":%d,"status":"running"}`,
				at.UnixMilli(), random.IntN(10_000), 59+random.Float64(), -10-random.Float64(), 70+random.Float64(), random.IntN(100_000))
		}},
		{"blanks", func() string { // as Python writes it
			return fmt.Sprintf(`{"ts": "%s", "device": "pump-%05d", "temperature": %.2f, "vibration": %.3f, "status": "running", "ok": true, "error": null}`,
				at.Format(time.RFC3339Nano), random.IntN(10_000), 40+30*random.Float64(), random.Float64())
		}},
		{"nested", func() string {
			return fmt.Sprintf(`{"ts":"%s","device":"pump-%05d","position":{"lat":%.4f,"lon":%.4f},"values":[%.2f,%.2f,%.2f,%d],"status":"running","tags":["a","bc",{"x":1}]}`,
				at.Format(time.RFC3339Nano), random.IntN(10_000), 59+random.Float64(), 10+random.Float64(), random.Float64(), 10*random.Float64(), 100*random.Float64(), random.IntN(1000))
		}},
		{"escapes", func() string {
			return fmt.Sprintf(`{"ts":"%s","device":"pump\/%05d","path":"C:\\data\\%s","text":"caf\u00e9 \"%s\"","name":"größe %s","status":"läuft","temperature":%.2f}`,
				at.Format(time.RFC3339Nano), random.IntN(10_000), word(10), word(10), word(10), 40+30*random.Float64())
		}},
		{"text", func() string {
			return fmt.Sprintf(`{"ts":"%s","device":"pump-%05d","level":"info","message":"%s","trace":"%032x"}`,
				at.Format(time.RFC3339Nano), random.IntN(10_000), strings.Repeat(word(40), 1+random.IntN(4)), random.Uint64())
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			payloads := make([][]byte, 1024)
			for i := range payloads {
				at = at.Add(time.Duration(random.IntN(2_000_000)))
				payloads[i] = []byte(bench.message())
			}
			d, err := New("json", schemaOf(readingFields, "ts", "device", "temperature", "vibration", "status"))
			if err != nil {
				b.Fatal(err)
			}
			var e event.Event
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(payloads[i&1023], &e); err != nil {
					b.Fatalf("%s: %v", payloads[i&1023], err)
				}
				i++
			}
		})
	}
}
