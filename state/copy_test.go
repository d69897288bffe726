package state

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// TestOpenCopy: a copy is opened as the directory would be, and that is not
// touched, not even where a crash has left something to mend.
func TestOpenCopy(t *testing.T) {
	dir, want := built(t, false)
	before := contents(t, dir)
	s, rec, err := OpenCopy(dir, filepath.Join(t.TempDir(), "copy"), plenty())
	if v, wrong := judge(s, rec, err, want); v != whole || wrong != nil {
		t.Errorf("%s, %v", v, wrong)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !maps.Equal(before, contents(t, dir)) {
		t.Error("files were touched")
	}
	if _, _, err := OpenCopy(filepath.Join(dir, "nothing"), t.TempDir(), plenty()); err == nil {
		t.Error("a directory that is not there was opened")
	}
}

func TestCopyDir(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(from, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "a/y", "a/b/z", "a/LOCK"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(from, "holes"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("end"), 10<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := CopyDir(from, to, "LOCK"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "a/y", "a/b/z", "holes"} {
		want, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != string(want) {
			t.Errorf("%s has %d bytes, want %d; %v", name, len(got), len(want), err)
		}
	}
	if _, err := os.Stat(filepath.Join(to, "a", "LOCK")); err == nil {
		t.Error("what was to be left out is there")
	}
	if err := CopyDir(from, to); err == nil {
		t.Error("a directory that is not empty was copied to")
	}
}
