//go:build unix

package state

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var kills = flag.Int("kills", 8, "how often TestKill kills")

// writerDir, in the environment, makes the test binary a process that writes
// epochs until it is killed.
const writerDir = "CEPD_STATE_TEST_WRITER"

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
	s, _, err := Open(dir, plenty())
	if err != nil {
		return err
	}
	m, _ := s.Newest()
	fmt.Println("open", m.Position.Seq)
	for seq := m.Position.Seq + 1; ; seq++ {
		if err := write(s, false, seq, epochRows(seq)); err != nil {
			return err
		}
		fmt.Println("committed", seq)
	}
}

// TestKill kills a process that writes epochs, at random moments: what it said
// that it had committed is there, whole, and at most one epoch more.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "snapshots")
	rng := rand.New(rand.NewSource(1))
	model := map[string]string{}
	seq := uint64(0)
	for round := range *kills {
		said := killWriter(t, dir, time.Duration(rng.Intn(300))*time.Millisecond)
		s, rec, err := Open(dir, plenty())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		m, _ := s.Newest()
		if rec.Back() || len(rec.Damaged) > 0 || m.Position.Seq < said || m.Position.Seq > said+1 {
			t.Fatalf("round %d: epoch %d is there and %d was committed:\n%s", round, m.Position.Seq, said, rec)
		}
		for seq < m.Position.Seq {
			seq++
			for _, r := range epochRows(seq) {
				if delete(model, string(r.Name)); r.Value != nil {
					model[string(r.Name)] = string(r.Value)
				}
			}
		}
		if m.Epoch > 0 {
			if got, err := rowsOf(s, m.Epoch); err != nil || !maps.Equal(got, model) {
				t.Fatalf("round %d: %v, %s", round, err, differ(got, model))
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d epochs in %d rounds", seq, *kills)
	if seq < uint64(*kills)/2 {
		t.Error("too few epochs to say anything")
	}
}

// killWriter starts a process that writes, kills it a while after it has opened
// the store, and returns the last sequence that it said it had committed.
func killWriter(t *testing.T, dir string, after time.Duration) (said uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	timer := (*time.Timer)(nil)
	for lines.Scan() {
		var what string
		if _, err := fmt.Sscan(lines.Text(), &what, &said); err != nil {
			t.Fatalf("the writer says %q", lines.Text())
		}
		if timer == nil {
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	return said
}
