package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	js "github.com/cepd/cepd/internal/jsonschema"
)

// State says what the daemon keeps on disk, and how carefully.
type State struct {
	// Dir is the folder. Empty: nothing outlives the process.
	Dir string
	// Sync says when what was appended to the input log is on the disk: "always",
	// before it is acknowledged; "interval", within SyncInterval; or "never",
	// when the operating system likes. Default always.
	Sync string
	// Snapshot is how often the state is written, if anything changed. Default
	// 30s.
	Snapshot time.Duration
	// History is how long the input log is kept beyond what recovery needs.
	// Default 0: not at all.
	History time.Duration
	// Memory is the bytes that the process may use. Default 0: nine tenths of
	// what its control group allows, if that says something.
	Memory int64
	// MinFree is the bytes of disk that are left to others: with less, nothing
	// more is acknowledged. Default 256 MB.
	MinFree int64
}

// The ways to sync.
const (
	SyncAlways   = "always"
	SyncInterval = "interval"
	SyncNever    = "never"
)

// Bounds of settings, with their reasons.
const (
	minSnapshot = time.Second // more often, the daemon would do little else
	minMemory   = 32 << 20    // less does not hold the program and its buffers
	minMinFree  = 32 << 20    // less does not hold what one snapshot may write
)

func (s *State) ensureDefaults() {
	if s.Sync == "" {
		s.Sync = SyncAlways
	}
	if s.Snapshot == 0 {
		s.Snapshot = 30 * time.Second
	}
	if s.MinFree == 0 {
		s.MinFree = 256 << 20
	}
}

// fields are the keys of `state`.
func (s *State) fields() fields {
	return fields{
		"dir":      text(&s.Dir),
		"sync":     choice(&s.Sync, SyncAlways, SyncInterval, SyncNever),
		"snapshot": duration(&s.Snapshot),
		"history":  zeroOr(&s.History),
		"memory":   size(&s.Memory),
		"min_free": size(&s.MinFree),
	}
}

func (s *State) validate(bad report, missing missingReport) {
	if s.Snapshot < minSnapshot {
		bad("state.snapshot", "%v is less than %v", s.Snapshot, minSnapshot)
	}
	if s.Memory != 0 && s.Memory < minMemory {
		bad("state.memory", "%d bytes are less than 32MB, which is what cepd needs without any state", s.Memory)
	}
	if s.MinFree < minMinFree {
		bad("state.min_free", "%d bytes are less than 32MB, which a snapshot may write", s.MinFree)
	}
	if s.Dir == "" && s.History != 0 {
		missing("state.dir", "state.history", "without state.dir there is no log to keep; write dir: data")
	}
}

// zeroOr reads a length of time, or 0.
func zeroOr(to *time.Duration) set {
	return set{func(r *reader, n ast.Node, path string) {
		if s, ok := scalar(n); ok && s == "0" {
			*to = 0
			return
		}
		duration(to).read(r, n, path)
	}, plainShape(js.Either(js.Matching(durationPattern), js.Integer(0, 0)))}
}

// units are what sizes are written in, as in Prometheus: powers of 1,024.
var units = []struct {
	name  string
	shift int
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"KB", 10}, {"MB", 20}, {"GB", 30}, {"TB", 40}, {"B", 0}}

// size reads a size above zero.
func size(to *int64) set {
	return set{func(r *reader, n ast.Node, path string) {
		s, ok := r.value(n, path)
		if !ok {
			return
		}
		v, err := parseBytes(s)
		if err != nil {
			r.add(n.GetToken(), "%s: %v", path, err)
			return
		}
		*to = v
	}, plainShape(js.Matching(sizePattern))}
}

func parseBytes(s string) (int64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if size := f * float64(int64(1)<<u.shift); err == nil && size >= 1 && size < math.MaxInt64 {
			return int64(size), nil
		}
		break
	}
	advice := ""
	if _, err := strconv.ParseUint(s, 10, 32); err == nil && s != "0" {
		advice = fmt.Sprintf("; write the unit: %sMB", s)
	}
	return 0, fmt.Errorf("%q is no size like 512MB or 2GB%s", s, advice)
}
