package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// refusing is a receiver that takes nothing.
type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, errors.New("down") }

// A state directory of which a part is missing is refused, whatever part, and
// at once, although a sink is down: the rest does not make up for it.
func TestMissingParts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	rig := func() *rig {
		return newRigWith(t, tooHot, func(o *Options) {
			o.Config.State.Dir, o.Config.State.MinFree = dir, 32<<20
			o.Stdout, o.StopTimeout, o.Log = refusing{}, time.Millisecond, nil
		})
	}
	r := rig()
	r.start(t)
	r.source.feed(time.Now(), reading("p1", 85))
	r.effect(t)
	r.stop(t)
	away := filepath.Join(t.TempDir(), "away")
	for _, c := range []struct{ part, want string }{
		{logDir, "log is missing or empty, and other parts of"},
		{outboxDir, "outbox is missing or empty, and other parts of"},
		{rulesDir, "is missing, the rules that the log or a snapshot names"},
		{formatFile, "FORMAT is missing"},
		{logDir + "/id", "the ids of alerts follow from it"},
	} {
		part := filepath.Join(dir, c.part)
		if err := os.Rename(part, away); err != nil {
			t.Fatal(err)
		}
		before := listing(t, dir)
		next := rig()
		if err := next.Start(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("without %s: %v", c.part, err)
		}
		if d := cmp.Diff(before, listing(t, dir)); d != "" && c.part != rulesDir {
			t.Errorf("without %s: files were changed: %.300s", c.part, d)
		}
		next.stop(t)
		if err := errors.Join(os.RemoveAll(part), os.Rename(away, part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, snapshotDir)); err != nil {
		t.Fatal(err)
	}
	r = rig()
	r.start(t) // the log leads to the same
	if got := r.metric(t, `cepd_alerts_firing{rule="too-hot"}`); got != "1" {
		t.Errorf("without snapshots %q alerts fire", got)
	}
	r.stop(t)
}
