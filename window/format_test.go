package window

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
)

var rewriteFormat = flag.Bool("rewrite-format", false, "write testdata/format-1 anew")

// TestFormat reads states that were stored before, and wants the same bytes
// written today. If they differ, stored state is lost: raise the version and
// keep the old file.
func TestFormat(t *testing.T) {
	const file = "testdata/format-1"
	var b strings.Builder
	specs := fuzzSpecs(t)
	for _, spec := range specs {
		fmt.Fprintf(&b, "%x\n", formatState(spec).AppendBinary(nil))
	}
	if *rewriteFormat {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(stored) != b.String() {
		t.Errorf("the bytes of a state have changed")
	}
	for i, line := range strings.Fields(string(stored)) {
		data, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ReadState(specs[i], event.NewReader(data))
		if err != nil {
			t.Errorf("%v: %v", specs[i], err)
		} else if !bytes.Equal(s.AppendBinary(nil), data) {
			t.Errorf("%v: what is read is not what was written", specs[i])
		}
	}
	if _, err := ReadState(specs[0], event.NewReader([]byte{99})); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("another version is read: %v", err)
	}
}

func formatState(spec *Spec) *State {
	s := NewState(spec)
	var out Out
	args := make([]event.Value, len(everyKind))
	for n := range 38 {
		at := event.Time(n) * second / 3
		for k := range args {
			args[k] = []event.Value{event.Int(int64(n)), event.Double(float64(n) / 4), event.Uint(uint64(n)), event.Missing}[n%4]
		}
		s.Advance(at, &out)
		s.Add(at, at, event.Position{Seq: uint64(n + 1)}, args, &out)
	}
	return s
}
