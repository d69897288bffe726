package zone

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"
)

// TestAll loads every zone of the copy, each of which goes by its own name.
func TestAll(t *testing.T) {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	zones := 0
	for _, f := range r.File {
		if f.FileInfo().IsDir() {
			continue
		}
		zones++
		if z, err := Load(f.Name); err != nil || z.String() != f.Name {
			t.Errorf("%s: %v, %v", f.Name, z, err)
		}
	}
	if zones < 500 {
		t.Errorf("%d zones", zones)
	}
}

// TestLoad finds zones in the copy and nowhere else.
func TestLoad(t *testing.T) {
	t.Setenv("ZONEINFO", t.TempDir())
	z, err := Load("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC).In(z)
	if got := at.Format("15:04 MST"); got != "03:00 CEST" {
		t.Errorf("the clocks of Oslo show %s, want 03:00 CEST", got)
	}
	for _, name := range []string{"", "Local", "Europe", "Europe/", "Mars/Olympus", "../Europe/Oslo", "europe/oslo"} {
		if z, err := Load(name); err == nil {
			t.Errorf("%q is %v", name, z)
		}
	}
}

// TestCopy makes a change of the copy one that somebody decides on: the engine's
// number of semantics is raised with it.
func TestCopy(t *testing.T) {
	sum := sha256.Sum256(archive)
	const want = "8f55634d05f8bca1"
	if got := hex.EncodeToString(sum[:8]); got != want {
		t.Errorf("the copy of the tz database has changed: its sum is %s, was %s", got, want)
	}
}
