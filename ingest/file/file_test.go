package file

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
)

// readAll returns what a source delivers, as "place kind payload".
func readAll(t *testing.T, s *Source) ([]string, error) {
	t.Helper()
	var got []string
	for {
		batch, err := s.Read(context.Background())
		if err != nil {
			return got, err
		}
		if len(batch.Records) == 0 {
			t.Fatal("an empty batch")
		}
		for i, r := range batch.Records {
			line := batch.Locate(i)
			if r.Kind != event.KindMessage {
				line += " " + r.Kind.String()
			}
			if r.Payload != nil {
				line += " " + string(r.Payload)
			}
			got = append(got, line)
		}
		batch.Ack(nil)
	}
}

func TestFormats(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, test := range []struct {
		name string
		path string
		text string
		want []string
		err  string
	}{
		{"lines", "f.jsonl", "{\"a\":1}\n{\"a\":2}\n", []string{`f.jsonl:1 {"a":1}`, `f.jsonl:2 {"a":2}`}, ""},
		{"no end", "f", "1\n2", []string{"f:1 1", "f:2 2"}, ""},
		{"blank lines", "f", "\n1\n\n \t\n2\n\n", []string{"f:2 1", "f:5 2"}, ""},
		{"carriage returns", "f", "1\r\n\r\n2\r\n3\r", []string{"f:1 1", "f:3 2", "f:4 3"}, ""},
		{"byte order mark", "f", "\xef\xbb\xbf1\n\xef\xbb\xbf2\n", []string{"f:1 1", "f:2 \xef\xbb\xbf2"}, ""},
		{"part of a mark", "f", "\xef\xbb", []string{"f:1 \xef\xbb"}, ""},
		{"nothing", "f", "", nil, ""},
		{"nothing but blanks", "f", "\n \n", nil, ""},
		{"bad lines are records", "f", "{\n[1\nnonsense\n", []string{"f:1 {", "f:2 [1", "f:3 nonsense"}, ""},
		{"standard input", "-", "1\n", []string{"stdin:1 1"}, ""},
		{"a long line", "f", "1\n" + long + "yz\n3\n", []string{"f:1 1", "f:2 " + long, "f:3 3"}, ""},
		{"a long last line", "f", long + long + long + "yz", []string{"f:1 " + long}, ""},

		{"csv", "f.csv", "device,temp,ok,note\np1,1.50,true,\n\np2,-2e3,True,x y\n",
			[]string{`f.csv:2 {"device":"p1","temp":1.50,"ok":true}`, `f.csv:4 {"device":"p2","temp":-2e3,"ok":"True","note":"x y"}`}, ""},
		{"csv numbers", "f.csv", "a\n007\n+1\n.5\n1.\n0\n-0.0\n1e5\n0x1\n1_000\nNaN\n-\n",
			[]string{`f.csv:2 {"a":"007"}`, `f.csv:3 {"a":"+1"}`, `f.csv:4 {"a":".5"}`, `f.csv:5 {"a":"1."}`, `f.csv:6 {"a":0}`, `f.csv:7 {"a":-0.0}`,
				`f.csv:8 {"a":1e5}`, `f.csv:9 {"a":"0x1"}`, `f.csv:10 {"a":"1_000"}`, `f.csv:11 {"a":"NaN"}`, `f.csv:12 {"a":"-"}`}, ""},
		{"csv quotes", "f.csv", "a,\"b \"\"c\"\"\"\n\"x, \"\"y\"\"\",\"1\"\n\"two\nlines\",2\r\n  \"z\"  ,\"\"\n5\" pipe,x\"y\n",
			[]string{`f.csv:2 {"a":"x, \"y\"","b \"c\"":1}`, `f.csv:3 {"a":"two\nlines","b \"c\"":2}`, `f.csv:5 {"a":"z"}`, `f.csv:6 {"a":"5\" pipe","b \"c\"":"x\"y"}`}, ""},
		{"csv blanks", "f.csv", " a , b\n 1 ,\" x \"\n x y , true\n", []string{`f.csv:2 {"a":1,"b":" x "}`, `f.csv:3 {"a":"x y","b":true}`}, ""},
		{"csv cells", "f.csv", "a,,b\n1\n1,2,3\n1,2,3,\n1,2,3,4\n,,\n",
			[]string{`f.csv:2 {"a":1}`, `f.csv:3 {"a":1,"b":3}`, `f.csv:4 {"a":1,"b":3}`, `f.csv:5 row of csv with 4 cells, but the header has 3: 1,2,3,4`, `f.csv:6 {}`}, ""},
		{"csv open quote", "f.csv", "a,b\n\"x,1\ny,2\n", []string{`f.csv:2 row of csv with a quote that nothing closes: "x,1`, `f.csv:3 {"a":"y","b":2}`}, ""},
		{"csv long open quote", "f.csv", "a\n\"x\n" + long + "\n2\n", []string{`f.csv:2 row of csv with a quote that nothing closes: "x`, `f.csv:3 {"a":"` + long + `"}`, `f.csv:4 {"a":2}`}, ""},
		{"csv bytes", "f.csv", "a\n\xff\\\t\"\n", []string{"f.csv:2 {\"a\":\"\xff\\\\\\t\\\"\"}"}, ""},
		{"csv twice", "f.csv", "\na, a\n1,2\n", nil, `f.csv:2: two columns of the csv header have the name "a"`},
		{"csv header", "f.csv", "a,\"b\n1,2\n", nil, "f.csv:1: the header of csv has a quote that nothing closes"},
		{"csv without rows", "f.csv", "a,b", nil, ""},
		{"tsv", "f.tsv", "a\tb\n1 2\t\" \"\n\t3\n", []string{`f.tsv:2 {"a":"1 2","b":" "}`, `f.tsv:3 {"b":3}`}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, reading := range []struct {
				name string
				from io.Reader
				size int
			}{
				{"at once", strings.NewReader(test.text), 0},
				{"in small chunks", strings.NewReader(test.text), 5},
				{"byte by byte", iotest.OneByteReader(strings.NewReader(test.text)), 0},
				{"with its end", iotest.DataErrReader(strings.NewReader(test.text)), 64},
			} {
				if reading.name == "byte by byte" && len(test.text) > 1000 {
					continue
				}
				s, err := Open(Config{Path: test.path, Reader: reading.from, ChunkBytes: reading.size})
				if err != nil {
					t.Fatal(err)
				}
				got, err := readAll(t, s)
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%.2000s", reading.name, diff)
				}
				if test.err == "" && err != io.EOF || test.err != "" && err.Error() != test.err {
					t.Errorf("%s: got error %v, want %q", reading.name, err, test.err)
				}
				if _, again := s.Read(context.Background()); again != err {
					t.Errorf("%s: the next read has %v", reading.name, again)
				}
			}
		})
	}
}

func TestRecords(t *testing.T) {
	now := event.Time(0)
	s, err := Open(Config{
		Reader: strings.NewReader(strings.Repeat("1\n", 5)), Source: "plant", Topic: "a/b", Announce: true, BatchRecords: 2,
		Arrival: func() event.Time { now++; return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []event.Record
	for {
		batch, err := s.Read(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, batch.Records...)
	}
	message := func(at event.Time) event.Record {
		return event.Record{Kind: event.KindMessage, Arrival: at, Source: "plant", Topic: "a/b", Payload: []byte("1")}
	}
	want := []event.Record{
		{Kind: event.KindSourceUp, Source: "plant", Arrival: 1}, message(1), message(1), message(2), message(2), message(3),
		{Kind: event.KindSourceDown, Source: "plant", Arrival: 4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Payloads stay what they were, whatever is read after them.
func TestPayloadsStay(t *testing.T) {
	for _, format := range []string{"jsonl", "csv"} {
		var text strings.Builder
		text.WriteString("a\n")
		for i := range 5000 {
			fmt.Fprintf(&text, "%d\n", i)
		}
		s, err := Open(Config{Reader: iotest.HalfReader(strings.NewReader(text.String())), Format: format, ChunkBytes: 100})
		if err != nil {
			t.Fatal(err)
		}
		var payloads [][]byte
		for {
			batch, err := s.Read(t.Context())
			if err == io.EOF {
				break
			}
			for _, r := range batch.Records {
				payloads = append(payloads, r.Payload)
			}
		}
		if format == "jsonl" {
			payloads = payloads[1:]
		}
		for i, p := range payloads {
			want := strconv.Itoa(i)
			if format == "csv" {
				want = `{"a":` + want + `}`
			}
			if string(p) != want {
				t.Fatalf("%s: record %d is %q, want %q", format, i, p, want)
			}
			if cap(p) != len(p) {
				t.Fatalf("%s: appending to record %d would write over the next one", format, i)
			}
		}
		if len(payloads) != 5000 {
			t.Errorf("%s: %d records", format, len(payloads))
		}
	}
}

func TestFilesAndGzip(t *testing.T) {
	dir := t.TempDir()
	plain, packed := filepath.Join(dir, "a.csv"), filepath.Join(dir, "a.csv.gz")
	text := []byte("a\n1\n2\n")
	var gz bytes.Buffer
	for _, part := range [][]byte{text[:3], text[3:]} { // two members, as `cat a.gz b.gz` makes
		w := gzip.NewWriter(&gz)
		w.Write(part)
		w.Close()
	}
	for path, b := range map[string][]byte{plain: text, packed: gz.Bytes()} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(t, s)
		if want := []string{path + `:2 {"a":1}`, path + `:3 {"a":2}`}; !slices.Equal(got, want) || err != io.EOF {
			t.Errorf("got %q and %v, want %q", got, err, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error("closing twice:", err)
		}
	}
	for name, b := range map[string][]byte{"cut": gz.Bytes()[:gz.Len()-3], "empty": nil, "plain": text} {
		s, err := Open(Config{Path: name + ".gz", Reader: bytes.NewReader(b)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(t, s); err == nil || err == io.EOF || !strings.Contains(err.Error(), "reading "+name+".gz behind line") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := Open(Config{Path: filepath.Join(dir, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	err := Config{Format: "xml", Comma: '"', ChunkBytes: -1}.Validate()
	want := "unknown format \"xml\" of a file; formats are jsonl, csv\n'\"' cannot part the cells of csv\nsizes of chunks and batches cannot be negative"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if _, err := Open(Config{Format: "xml"}); err == nil {
		t.Error("opened")
	}
}

// A read that is cancelled loses nothing, and one that waits ends with Close.
func TestCancelAndClose(t *testing.T) {
	r, w := io.Pipe()
	s, err := Open(Config{Reader: r})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if _, err := s.Read(ctx); err != context.Canceled {
			t.Fatal(err)
		}
	}
	read := func(ctx context.Context) chan string {
		out := make(chan string, 1)
		go func() {
			batch, err := s.Read(ctx)
			if err != nil {
				out <- err.Error()
				return
			}
			out <- string(batch.Records[0].Payload)
		}()
		return out
	}
	ctx, cancel = context.WithCancel(t.Context())
	waiting := read(ctx)
	w.Write([]byte("on")) // has been taken when Write returns
	cancel()
	if got := <-waiting; got != "context canceled" {
		t.Fatal(got)
	}
	waiting = read(t.Context())
	w.Write([]byte("e\ntw"))
	if got := <-waiting; got != "one" {
		t.Fatal(got)
	}
	waiting = read(t.Context())
	s.Close()
	if got := <-waiting; got != ingest.ErrClosed.Error() {
		t.Fatal(got)
	}
	w.Close()
}

func BenchmarkRead(b *testing.B) {
	record := `{"ts":"2026-03-01T12:00:00.250Z","site":"oslo","device":"pump-0017","temperature":71.25,"vibration":3.125,"status":"running"}` + "\n"
	row := "2026-03-01T12:00:00.250Z,oslo,pump-0017,71.25,3.125,running\n"
	const records = 10_000
	for _, bench := range []struct{ format, text string }{
		{"jsonl", strings.Repeat(record, records)},
		{"csv", "ts,site,device,temperature,vibration,status\n" + strings.Repeat(row, records)},
	} {
		b.Run(bench.format, func(b *testing.B) {
			b.SetBytes(int64(len(bench.text)))
			b.ReportAllocs()
			for b.Loop() {
				s, err := Open(Config{Reader: strings.NewReader(bench.text), Format: bench.format})
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for {
					batch, err := s.Read(context.Background())
					if err != nil {
						break
					}
					n += len(batch.Records)
					batch.Free()
				}
				if n != records {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
		})
	}
}

func TestFormatOf(t *testing.T) {
	for path, want := range map[string]string{
		"a.csv": "csv", "a.TSV.gz": "csv", "a.jsonl": "jsonl", "a.ndjson.gz": "jsonl", "a.json": "jsonl",
		"-": "", "events": "", "a.log.gz": "", "a.txt": "",
	} {
		if got := FormatOf(path); got != want {
			t.Errorf("FormatOf(%q) = %q, want %q", path, got, want)
		}
	}
}

// A reader that gives memory back makes the source need next to none.
func TestMemory(t *testing.T) {
	for path, line := range map[string]string{"f.jsonl": `{"a":"some text","b":12345}` + "\n", "f.csv": "some text,12345\n"} {
		const lines = 100_000
		s, err := Open(Config{Path: path, Reader: strings.NewReader("a,b\n" + strings.Repeat(line, lines))})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for {
			b, err := s.Read(context.Background())
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			b.Free()
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 20*lines {
			t.Errorf("%s: %d bytes for a line", path, n/lines)
		}
	}
}
