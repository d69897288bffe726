package state

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden directory of the present format anew")

// TestGoldenDirectories reads a directory of every format that there ever was,
// goes on with it, and reads that. A directory of an older format stays as it
// is for ever; that of the present one is written anew, with -rewrite, as long
// as no version was released with it.
func TestGoldenDirectories(t *testing.T) {
	present := filepath.Join("testdata", fmt.Sprint("format-", Format))
	if *rewrite {
		rewriteGolden(t, present)
	}
	for format := 1; format <= Format; format++ {
		dir := filepath.Join("testdata", fmt.Sprint("format-", format))
		text, err := os.ReadFile(dir + ".json")
		if err != nil {
			t.Fatal(err)
		}
		want := map[uint64]map[string]string{}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		d := &badgerDisk{t: t, dir: t.TempDir()}
		copyDir(t, dir, d.dir)
		s, rec, err := d.open(plenty())
		if v, wrong := judge(s, rec, err, want); v != whole || wrong != nil {
			t.Fatalf("format %d: %s, %v, %v", format, v, err, wrong)
		}
		for _, m := range s.Epochs() {
			if got, err := rowsOf(s, m.Epoch); err != nil || !maps.Equal(got, want[m.Position.Seq]) {
				t.Errorf("format %d, epoch %d: %v, %v", format, m.Epoch, err, differ(got, want[m.Position.Seq]))
			}
			if m.Log != "log" || m.RuleSet != "rules" || m.Encoding != 1 || m.Semantics != 1 {
				t.Errorf("format %d: marker %+v", format, m)
			}
		}
		if err := write(s, false, 4, []Row{row("new", "4")}); err != nil {
			t.Fatal(err)
		}
		d.crash()
		if s, rec, err = d.open(plenty()); err != nil {
			t.Fatal(err)
		}
		next := maps.Clone(want[3])
		next["new"] = "4"
		if got, err := rowsOf(s, rec.Chosen); err != nil || !maps.Equal(got, next) {
			t.Errorf("format %d, gone on: %v, %s", format, err, differ(got, next))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func rewriteGolden(t *testing.T, dir string) {
	t.Helper()
	from, want := built(t, true)
	text, err := json.MarshalIndent(want, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.RemoveAll(dir), CopyDir(from, dir, "DISCARD", "LOCK"), os.WriteFile(dir+".json", text, 0o644))
	if err != nil {
		t.Fatal(err)
	}
}
