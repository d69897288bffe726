package file

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cepd/cepd/ingest"
)

// collect returns all payloads and their places.
func collect(cfg Config) (got []string, err error) {
	s, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	for {
		batch, err := s.Read(context.Background())
		if err != nil {
			return got, err
		}
		for i, r := range batch.Records {
			got = append(got, batch.Locate(i)+" "+string(r.Payload))
		}
	}
}

// collectFreeing is collect for a reader that gives memory back, but holds on to
// some batches before it reads and gives back the oldest.
func collectFreeing(cfg Config, holds int) (got []string, err error) {
	s, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	var held []ingest.Batch
	for {
		batch, err := s.Read(context.Background())
		if err == nil {
			held = append(held, batch)
		}
		for len(held) > 0 && (err != nil || len(held) > holds) {
			for i, r := range held[0].Records {
				got = append(got, held[0].Locate(i)+" "+string(r.Payload))
				copy(r.Payload, bytes.Repeat([]byte{'?'}, len(r.Payload)))
			}
			held[0].Free()
			held[0].Free() // does nothing
			held = held[1:]
		}
		if err != nil {
			return got, err
		}
	}
}

// FuzzChunks reads any bytes in chunks of any size: the same records must come
// out, also if memory is used again.
func FuzzChunks(f *testing.F) {
	for _, text := range []string{"1\n\n2\r\n3", "\xef\xbb\xbfa,b\n\"x\ny\",2\n\"\"\"\",\n", "a\n\"open\nx\n", "a,a\n", "\n\n", "a\n\"x\"y\"\n"} {
		f.Add([]byte(text), uint8(3), true)
		f.Add([]byte(text), uint8(1), false)
		f.Add([]byte(strings.Repeat(text+"\n", 40)), uint8(20), true)
		f.Add([]byte(strings.Repeat(text+"\n", 40)), uint8(60), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint8, isCSV bool) {
		cfg := Config{Path: "f", Format: "jsonl"}
		if isCSV {
			cfg.Format = "csv"
		}
		cfg.Reader = bytes.NewReader(text)
		want, wantErr := collect(cfg)
		cfg.Reader, cfg.ChunkBytes, cfg.BatchRecords = bytes.NewReader(text), int(size)+1, int(size%7)+1
		got, err := collect(cfg)
		if !slices.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%q in chunks of %d: got %q %v, want %q %v", text, size+1, got, err, want, wantErr)
		}
		for _, holds := range []int{0, 1, 5} {
			cfg.Reader = bytes.NewReader(text)
			got, err := collectFreeing(cfg, holds)
			if !slices.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("%q in chunks of %d, with %d batches held: got %q %v, want %q %v", text, size+1, holds, got, err, want, wantErr)
			}
		}
		if isCSV {
			return
		}
		var lines []string
		rest := bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
		for i, line := range strings.Split(string(rest), "\n") {
			if line = strings.TrimSuffix(line, "\r"); strings.Trim(line, " \t") != "" {
				lines = append(lines, fmt.Sprintf("f:%d %s", i+1, line))
			}
		}
		if !slices.Equal(got, lines) {
			t.Fatalf("%q: got %q, want %q", text, got, lines)
		}
	})
}

// FuzzCSV writes cells with the standard library and reads them back.
func FuzzCSV(f *testing.F) {
	f.Add("a|b c|\"q\"|x,y|1.5|true|two\nlines||{\"x\":1}", uint8(3))
	f.Add("-0|1e5|NaN|#|\\N| lead|\\.", uint8(2))
	f.Fuzz(func(t *testing.T, text string, columns uint8) {
		n := int(columns%5) + 1
		cells := strings.Split(text, "|")
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\r") {
			return
		}
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		header := make([]string, n)
		for i := range header {
			header[i] = fmt.Sprint("c", i)
		}
		w.Write(header)
		var want []map[string]any
		for row := range slices.Chunk(cells, n) {
			if strings.TrimSpace(strings.Join(row, "")) == "" {
				continue // a row of blanks may be a blank line
			}
			w.Write(row)
			object := map[string]any{}
			for i, cell := range row {
				if strings.TrimRight(cell, " \t") != cell {
					return // the library does not quote these
				}
				switch {
				case cell == "":
				case cell == "true" || cell == "false":
					object[header[i]] = cell == "true"
				case json.Valid([]byte(cell)) && strings.ContainsAny(cell[:1], "-0123456789") && strings.TrimSpace(cell) == cell:
					object[header[i]] = json.Number(cell)
				default:
					object[header[i]] = cell
				}
			}
			want = append(want, object)
		}
		w.Flush()
		s, err := Open(Config{Path: "f.csv", Reader: &b})
		if err != nil {
			t.Fatal(err)
		}
		for {
			batch, err := s.Read(context.Background())
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range batch.Records {
				d := json.NewDecoder(bytes.NewReader(r.Payload))
				d.UseNumber()
				var got map[string]any
				if err := d.Decode(&got); err != nil {
					t.Fatalf("%q: %v", r.Payload, err)
				}
				if len(want) == 0 || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want[0]) {
					t.Fatalf("got %v, want %v", got, want)
				}
				want = want[1:]
			}
		}
		if len(want) > 0 {
			t.Fatalf("missing: %v", want)
		}
	})
}
