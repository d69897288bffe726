package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// small writes three epochs of which two are kept, and returns what they hold,
// by the sequence of their position.
func small(t testing.TB, s *Store) map[uint64]map[string]string {
	t.Helper()
	long := strings.Repeat("long ", partBytes/4)
	for i, rows := range [][]Row{
		{row("a", "one"), row("b", "two"), row("c", long), row("d", "four")},
		{row("a", "five"), row("e", "six")},
		{row("a", "seven"), {Name: []byte("b")}, row("c", "!"+long[1:])},
	} {
		if err := write(s, false, uint64(i+1), rows); err != nil {
			t.Fatal(err)
		}
	}
	return map[uint64]map[string]string{
		2: {"a": "five", "b": "two", "c": long, "d": "four", "e": "six"},
		3: {"a": "seven", "c": "!" + long[1:], "d": "four", "e": "six"},
	}
}

// verdict is what came of opening a damaged store.
type verdict string

const (
	refused verdict = "refused"
	whole   verdict = "as it was"
	older   verdict = "an older epoch"
	partly  verdict = "without damaged rows"
)

// judge holds what was opened to the promise: nothing is silently less.
func judge(s *Store, rec *Recovery, err error, want map[uint64]map[string]string) (verdict, error) {
	if err != nil {
		return refused, nil
	}
	m, ok := s.Newest()
	if !ok {
		return "", errors.New("the store is empty, and nobody says so")
	}
	rows, damaged := map[string]string{}, map[string]bool{}
	for row, err := range s.Rows(m.Epoch) {
		var re *RowError
		switch {
		case errors.As(err, &re):
			damaged[string(re.Name)] = true
		case err != nil:
			return "", err
		default:
			rows[string(row.Name)] = string(row.Value)
		}
	}
	for name, value := range rows {
		if want[m.Position.Seq][name] != value {
			return "", fmt.Errorf("row %q is another one, and nobody says so", name)
		}
	}
	lost := len(want[m.Position.Seq]) - len(rows)
	switch {
	case lost != 0 && len(rec.Damaged) == 0:
		return "", fmt.Errorf("%d rows are missing at position %d, and nobody says so", lost, m.Position.Seq)
	case lost != 0 && len(damaged) < lost:
		return "", fmt.Errorf("%d rows are missing, and only %v are said to be damaged", lost, slices.Sorted(maps.Keys(damaged)))
	case m.Position.Seq != 3 && !rec.Back():
		return "", errors.New("an older epoch is used, and nobody says so")
	case m.Position.Seq != 3:
		return older, nil
	case lost > 0:
		return partly, nil
	}
	return whole, nil
}

// TestEveryByte cuts every stored row and marker off at every byte, flips a bit
// of every byte, and removes each.
func TestEveryByte(t *testing.T) {
	d := &Memory{}
	s, _, err := d.Open(plenty())
	if err != nil {
		t.Fatal(err)
	}
	want := small(t, s)
	found := map[verdict]int{}
	try := func(what string, damage func(m *Memory)) verdict {
		t.Helper()
		m := d.Clone()
		damage(m)
		s, rec, err := m.Open(plenty())
		v, err := judge(s, rec, err, want)
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, rec)
		}
		found[v]++
		return v
	}
	for key, value := range d.rows {
		try(fmt.Sprintf("%q removed", key), func(m *Memory) { delete(m.rows, key) })
		step := 1
		if len(value) > 1000 {
			step = 997
		}
		for i := 0; i < len(value); i += step {
			try(fmt.Sprintf("%q cut off at %d", key, i), func(m *Memory) { m.rows[key] = value[:i] })
			try(fmt.Sprintf("%q flipped at %d", key, i), func(m *Memory) { m.rows[key] = flip(value, i, 1<<(i%8)) })
		}
		for i := range len(key) {
			try(fmt.Sprintf("key %q flipped at %d", key, i), func(m *Memory) {
				delete(m.rows, key)
				m.rows[string(flip([]byte(key), i, 1<<(i%8)))] = value
			})
		}
	}
	for i := range d.text {
		for _, text := range [][]byte{d.text[:i], flip(d.text, i, 1<<(i%8))} {
			if v := try(fmt.Sprintf("head damaged at %d", i), func(m *Memory) { m.text = text }); v != refused {
				t.Fatalf("head damaged at %d: %s, want a refusal", i, v)
			}
		}
	}
	t.Log(found)
	if found[older] == 0 || found[partly] == 0 || found[refused] == 0 {
		t.Error("the damages are too few to say anything")
	}
}

func flip(b []byte, i int, bit byte) []byte {
	b = bytes.Clone(b)
	b[i] ^= bit
	return b
}

// built makes a directory with the small snapshots, as a killed process leaves
// it or as one that was closed does.
func built(t *testing.T, closed bool) (dir string, want map[uint64]map[string]string) {
	t.Helper()
	from := filepath.Join(t.TempDir(), "snapshots")
	s, _, err := Open(from, plenty())
	if err != nil {
		t.Fatal(err)
	}
	want = small(t, s)
	if closed {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return from, want
	}
	dir = t.TempDir()
	copyDir(t, from, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, want
}

func openJudged(t *testing.T, dir string, want map[uint64]map[string]string) (verdict, error) {
	t.Helper()
	s, rec, err := Open(dir, plenty())
	v, wrong := judge(s, rec, err, want)
	if s != nil {
		_ = s.Close()
	}
	if wrong != nil {
		wrong = fmt.Errorf("%w\n%s", wrong, rec)
	}
	return v, wrong
}

// TestMissingFiles removes each file of the directory. What badger does not
// miss is nothing; the rest is noticed.
func TestMissingFiles(t *testing.T) {
	for _, closed := range []bool{false, true} {
		dir, want := built(t, closed)
		found := map[verdict][]string{}
		for _, name := range files(t, dir) {
			to := t.TempDir()
			copyDir(t, dir, to)
			if err := os.Remove(filepath.Join(to, name)); err != nil {
				t.Fatal(err)
			}
			v, err := openJudged(t, to, want)
			if err != nil {
				t.Errorf("closed %t, %s removed: %v", closed, name, err)
			}
			found[v] = append(found[v], name)
			if _, err := os.Stat(filepath.Join(to, name)); err == nil && v == refused && name == manifest {
				t.Errorf("closed %t, %s removed: it was made again", closed, name)
			}
		}
		t.Log(found)
	}
}

// TestFlippedBits flips bits of badger's files by seed, one at a time.
func TestFlippedBits(t *testing.T) {
	found := map[verdict]int{}
	for _, closed := range []bool{false, true} {
		dir, want := built(t, closed)
		var names []string
		bodies := map[string][]byte{}
		for _, name := range files(t, dir) {
			body, _, err := readFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if len(body) > 0 {
				names, bodies[name] = append(names, name), body
			}
		}
		for seed := range int64(100) {
			rng := rand.New(rand.NewSource(seed))
			to := t.TempDir()
			copyDir(t, dir, to)
			name := names[rng.Intn(len(names))]
			at, bit := rng.Intn(len(bodies[name])), byte(1)<<rng.Intn(8)
			if rng.Intn(2) == 0 && len(bodies[name]) > 600 { // most of a file are the parts of one long row
				at = []int{rng.Intn(300), len(bodies[name]) - 1 - rng.Intn(300)}[rng.Intn(2)]
			}
			f, err := os.OpenFile(filepath.Join(to, name), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt([]byte{bodies[name][at] ^ bit}, int64(at))
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			v, err := openJudged(t, to, want)
			if err != nil {
				t.Errorf("closed %t, seed %d, %s flipped at %d: %v", closed, seed, name, at, err)
			}
			found[v]++
		}
	}
	t.Log(found)
}
