package nab

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cepd/cepd/event"
)

// Series is one labelled file of the benchmark.
type Series struct {
	Name    string
	Times   []event.Time
	Values  []float64
	Windows []Window
}

// Window is a labelled anomaly: rows First to Last.
type Window struct{ First, Last int }

// probation is how many rows at the start are not scored.
func (s *Series) probation() int { return min(int(0.15*float64(len(s.Times))), 750) }

// Load reads every labelled series under dir, by name.
func Load(dir string) ([]*Series, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "labels", "combined_windows.json"))
	if err != nil {
		return nil, fmt.Errorf("reading the labels: %w", err)
	}
	var labels map[string][][2]string
	if err := json.Unmarshal(raw, &labels); err != nil {
		return nil, fmt.Errorf("reading the labels: %w", err)
	}
	var all []*Series
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		s, err := load(filepath.Join(dir, "data", name), labels[name])
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		s.Name = name
		all = append(all, s)
	}
	return all, nil
}

func load(path string, windows [][2]string) (*Series, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	s := &Series{}
	first := map[event.Time]int{}
	for i, row := range rows[1:] {
		t, err := parseTime(row[0])
		if err != nil {
			return nil, err
		}
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return nil, err
		}
		if _, seen := first[t]; !seen {
			first[t] = i
		}
		s.Times, s.Values = append(s.Times, t), append(s.Values, v)
	}
	for _, w := range windows {
		from, err := parseTime(w[0])
		if err != nil {
			return nil, err
		}
		to, err := parseTime(w[1])
		if err != nil {
			return nil, err
		}
		a, okA := first[from]
		b, okB := first[to]
		if !okA || !okB {
			return nil, fmt.Errorf("window %v does not begin and end on rows", w)
		}
		s.Windows = append(s.Windows, Window{a, b})
	}
	return s, nil
}

func parseTime(text string) (event.Time, error) {
	text = strings.TrimSpace(text)
	for _, layout := range []string{"2006-01-02 15:04:05.999999999", "2006-01-02 15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return event.FromTime(t)
		}
	}
	return 0, fmt.Errorf("%q is not a time", text)
}
