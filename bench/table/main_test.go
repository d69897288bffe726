package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	in := `goos: linux
BenchmarkMemory/loop-2   3  15603560 ns/op  30.00 cpu-ns/event  32043969 events/s  7 B/op
BenchmarkMemory/cepd-2   3  172576022 ns/op  999.0 cpu-ns/event  2897274 events/s  8 B/op
BenchmarkMemory/cepd-2   3  172576022 ns/op  300.0 cpu-ns/event  2897274 events/s  8 B/op
BenchmarkShards/shards=1 1 5 ns/op 1000 events/s
BenchmarkShards/shards=2 1 5 ns/op 1900 events/s
BenchmarkShards/shards=2 1 5 ns/op 1500 events/s
PASS
`
	var out strings.Builder
	if err := run(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"300     cpu-ns/event  30.0      10.00  1.75 of a loop by hand", "1900    events/s      1000      1.90"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if err := run(strings.NewReader("BenchmarkX 1 what ns/op"), &out); err == nil {
		t.Error("a figure that is no number was read")
	}
}
