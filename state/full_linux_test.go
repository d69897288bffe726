package state

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk fills a real file system of 64 MB under a store that is writing.
// A full disk would kill the process; instead writing stops before, and goes on
// when there is room again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("SKIPPED: a file system of 64 MB can be mounted by root only: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	o := Options{Encoding: 1, Semantics: 1, MinFree: 24 << 20, Ballast: 8 << 20}
	s, _, err := Open(filepath.Join(dir, "snapshots"), o)
	if err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 1000)
	rows := func(n int) []Row {
		all := make([]Row, n)
		for i := range all {
			all[i] = row(fmt.Sprintf("row %d", i), value)
		}
		return all
	}
	if err := write(s, false, 1, rows(1000)); err != nil {
		t.Fatal(err)
	}
	e, err := s.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Put(rows(2000)); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	if err := e.Put(rows(3000)); !errors.Is(err, ErrFull) {
		t.Errorf("Put on a full disk: %v, want %v", err, ErrFull)
	}
	if err := e.Abandon(); !errors.Is(err, ErrFull) {
		t.Errorf("Abandon on a full disk: %v, want %v", err, ErrFull)
	}
	fill(t, filler+"2") // where the ballast was
	for range 3 {
		if _, err := s.Begin(false); !errors.Is(err, ErrFull) {
			t.Errorf("Begin on a full disk: %v, want %v", err, ErrFull)
		}
	}
	for _, name := range []string{filler, filler + "2"} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(s, true, 2, rows(3000)); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, rec, err := Open(filepath.Join(dir, "snapshots"), o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rowsOf(s, rec.Chosen)
	want := map[string]string{}
	for _, r := range rows(3000) {
		want[string(r.Name)] = string(r.Value)
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("after all there are %d rows, want %d; %v", len(got), len(want), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 64<<10); len(chunk) > 0; {
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
