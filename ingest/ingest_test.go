package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/ingest/file"
	"github.com/cepd/cepd/state/wal"
)

// The owner of a source appends what it reads to the log, and acknowledges it
// when it is there.
func Example() {
	var source ingest.Source
	source, err := file.Open(file.Config{
		Path:   "readings.csv",
		Reader: strings.NewReader("device,temp\np1,71.5\n\np2,80\n"),
		Source: "plant",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	var log wal.Memory
	for {
		batch, err := source.Read(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err = log.Append(batch.Records)
		batch.Ack(err)
		for i, r := range batch.Records {
			fmt.Printf("%s %s from %s: %s\n", r.Pos, r.Kind, batch.Locate(i), r.Payload)
		}
	}
	// Output:
	// 0:1 message from readings.csv:2: {"device":"p1","temp":71.5}
	// 0:2 message from readings.csv:4: {"device":"p2","temp":80}
}

func TestLocate(t *testing.T) {
	b := ingest.Batch{Records: []event.Record{{Source: "plant", Topic: "a/b"}, {Source: "plant"}}}
	if got := b.Locate(0) + ", " + b.Locate(1); got != "plant a/b, plant" {
		t.Error(got)
	}
	b.Where = func(i int) string { return fmt.Sprint("line ", i) }
	if got := b.Locate(1); got != "line 1" {
		t.Error(got)
	}
}
