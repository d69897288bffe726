package vfs

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// TestOverlay does the same to an overlay and to a file system of its own: both
// look alike, and what lies below the overlay is as it was.
func TestOverlay(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		base, plain := NewMem(), NewMem()
		for _, fs := range []FS{base, plain} {
			for n := range 4 {
				if err := errors.Join(fs.MkdirAll("dir"), WriteFile(fs, fmt.Sprint("dir/", n), fmt.Append(nil, "content of ", n))); err != nil {
					t.Fatal(err)
				}
			}
		}
		before, over := look(t, base), NewOverlay(base)
		for range 30 {
			from, to, kind, text := fmt.Sprint("dir/", rng.IntN(6)), fmt.Sprint("dir/", rng.IntN(6)), rng.IntN(5), fmt.Sprint(rng.IntN(1000))
			var errs [2]error
			for i, fs := range []FS{over, plain} {
				errs[i] = change(fs, kind, from, to, text)
			}
			if (errs[0] == nil) != (errs[1] == nil) {
				t.Fatalf("seed %d, operation %d on %s: %v, without overlay %v", seed, kind, from, errs[0], errs[1])
			}
		}
		if got, want := look(t, over), look(t, plain); !maps.Equal(got, want) {
			t.Fatalf("seed %d: the overlay has %v, want %v", seed, got, want)
		}
		if got := look(t, base); !maps.Equal(got, before) {
			t.Fatalf("seed %d: below the overlay there is %v, want %v", seed, got, before)
		}
	}
}

func change(fs FS, kind int, from, to, text string) error {
	switch kind {
	case 0:
		return fs.Remove(from)
	case 1:
		if from == to {
			return nil
		}
		return fs.Rename(from, to)
	case 2:
		return WriteFile(fs, from, []byte(text))
	case 3:
		f, err := fs.Create(from)
		if err != nil {
			return err
		}
		return f.Close()
	}
	f, err := fs.OpenWrite(from)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(text), 2)
	return errors.Join(err, f.Truncate(4), f.Close())
}

func look(t *testing.T, fs FS) map[string]string {
	t.Helper()
	files, err := fs.List("dir")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, info := range files {
		data, err := ReadFile(fs, "dir/"+info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(data)) != info.Size {
			t.Errorf("%s has %d bytes, and List says %d", info.Name, len(data), info.Size)
		}
		all[info.Name] = string(data)
	}
	return all
}
