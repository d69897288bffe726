package zone

import (
	"archive/zip"
	"bytes"
	_ "embed" // the copy
	"fmt"
	"io"
	"io/fs"
	"time"
)

//go:embed zoneinfo.zip
var archive []byte

// Load returns the zone of an IANA name such as Europe/Oslo, or UTC. The zone
// of the machine has no name here: a rule means the same everywhere.
func Load(name string) (*time.Location, error) {
	switch name {
	case "", "Local":
		return nil, fmt.Errorf("there is no time zone %q", name)
	case "UTC":
		return time.UTC, nil
	}
	data, err := read(name)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q", name)
	}
	z, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", name, err)
	}
	return z, nil
}

// read returns a file of the archive.
func read(name string) ([]byte, error) {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, err
	}
	for _, f := range r.File {
		if f.Name == name && !f.FileInfo().IsDir() {
			return readAll(f)
		}
	}
	return nil, fs.ErrNotExist
}

func readAll(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
