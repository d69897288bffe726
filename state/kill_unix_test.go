//go:build unix

package state

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var kills = flag.Int("kills", 8, "how often TestKill kills")

// writerDir, in the environment, makes the test binary a process that writes
// epochs until it is killed; with killAt it kills itself before an operation on
// the database, by number, and writes no more than a few epochs.
const (
	writerDir = "CEPD_STATE_TEST_WRITER"
	killAt    = "CEPD_STATE_TEST_KILL_AT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		fmt.Println(writeEpochs(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// epochRows returns the rows that change with an epoch, which follow from its
// sequence: about 1 MB, so that memory tables are full after some of them.
func epochRows(seq uint64) []Row {
	rng := rand.New(rand.NewSource(int64(seq)))
	rows := make([]Row, 0, 500)
	for _, n := range rng.Perm(2000)[:500] {
		r := row(fmt.Sprintf("row %d", n), fmt.Sprintf("%d %s", seq, strings.Repeat("x", rng.Intn(4000))))
		if rng.Intn(10) == 0 {
			r.Value = nil
		}
		rows = append(rows, r)
	}
	return rows
}

// writeEpochs goes on where a store is, and prints each sequence that it has
// committed.
func writeEpochs(dir string) error {
	o, last := plenty(), uint64(math.MaxUint64)
	if at, err := strconv.Atoi(os.Getenv(killAt)); err == nil {
		last = 4
		o.Fault = func(string) error {
			if at--; at == 0 {
				return errors.Join(syscall.Kill(os.Getpid(), syscall.SIGKILL), errors.New("still alive"))
			}
			return nil
		}
	}
	s, _, err := Open(dir, o)
	if err != nil {
		return err
	}
	m, _ := s.Newest()
	fmt.Println("open", m.Position.Seq)
	for seq := m.Position.Seq + 1; seq <= last; seq++ {
		if err := write(s, seq == 3, seq, epochRows(seq)); err != nil {
			return err
		}
		fmt.Println("committed", seq)
	}
	fmt.Println("done", last)
	return nil
}

// written is what a store must hold that writeEpochs wrote.
type written struct {
	seq   uint64
	model map[string]string
}

// goOn takes in the epochs up to a sequence.
func (w *written) goOn(seq uint64, fullAt uint64) {
	for w.seq < seq {
		if w.seq++; w.model == nil || w.seq == fullAt {
			w.model = map[string]string{}
		}
		for _, r := range epochRows(w.seq) {
			if delete(w.model, string(r.Name)); r.Value != nil {
				w.model[string(r.Name)] = string(r.Value)
			}
		}
	}
}

// check opens a store after a kill: what was said to be committed is there,
// whole, and at most one epoch more.
func (w *written) check(dir string, said, fullAt uint64) error {
	s, rec, err := Open(dir, plenty())
	if err != nil {
		return err
	}
	m, _ := s.Newest()
	if rec.Back() || len(rec.Damaged) > 0 || m.Position.Seq < said || m.Position.Seq > said+1 {
		return fmt.Errorf("epoch %d is there and %d was committed:\n%s", m.Position.Seq, said, rec)
	}
	w.goOn(m.Position.Seq, fullAt)
	if m.Epoch > 0 {
		if got, err := rowsOf(s, m.Epoch); err != nil || !maps.Equal(got, w.model) {
			return fmt.Errorf("%v, %s", err, differ(got, w.model))
		}
	}
	return s.Close()
}

// TestKill kills a process that writes epochs, at random moments.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "snapshots")
	rng := rand.New(rand.NewSource(1))
	var w written
	most := 300 * time.Millisecond // more where an epoch takes longer than that
	for round := 0; round < *kills || w.seq < uint64(*kills)/2; round++ {
		before, after := w.seq, time.Duration(rng.Int63n(int64(most)))
		said, _ := runWriter(t, dir, "", func(cmd *exec.Cmd) { time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) })
		if err := w.check(dir, said, 3); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if w.seq == before {
			most += most / 2
		}
	}
	t.Logf("%d epochs", w.seq)
}

// TestKillAtEveryOperation lets a process kill itself before the first operation
// on the database, the second, and so on, until it comes to its end.
func TestKillAtEveryOperation(t *testing.T) {
	for n := 1; ; n++ {
		dir := filepath.Join(t.TempDir(), "snapshots")
		said, done := runWriter(t, dir, fmt.Sprint(n), func(*exec.Cmd) {})
		if err := new(written).check(dir, said, 3); err != nil {
			t.Fatalf("killed before operation %d: %v", n, err)
		}
		if done {
			if n < 20 {
				t.Errorf("only %d operations", n)
			}
			return
		}
	}
}

// runWriter starts a process that writes, tells opened when it has opened the
// store, and returns the last sequence that it said it had committed, and
// whether it came to its end.
func runWriter(t *testing.T, dir, at string, opened func(*exec.Cmd)) (said uint64, done bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerDir+"="+dir, killAt+"="+at)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var what string
		var seq uint64
		_, _ = fmt.Sscan(lines.Text(), &what, &seq)
		switch what {
		case "open":
			said = seq
			opened(cmd)
		case "committed":
			said = seq
		case "done":
			done = true
		case "<nil>": // that is how it ends
		default:
			t.Fatalf("the writer says %q", lines.Text())
		}
	}
	_ = cmd.Wait() // it was killed
	return said, done
}
