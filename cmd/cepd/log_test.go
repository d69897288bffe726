package main

import (
	"strings"
	"testing"
	"time"
)

// Durations are logged with their units, in both formats.
func TestLogDurations(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out strings.Builder
		f := logFlags{format: format}
		logger, err := f.logger(streams{err: &out})
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("x", "wait", 90*time.Second)
		if !strings.Contains(out.String(), "1m30s") {
			t.Errorf("%s: %s", format, out.String())
		}
	}
}

// Flags take durations as rules write them.
func TestDurationFlag(t *testing.T) {
	var f durationFlag
	if f.String() != "" {
		t.Errorf("unset: %q", f.String())
	}
	if err := f.Set("7d"); err != nil || f.String() != "7d" || time.Duration(f) != 7*24*time.Hour {
		t.Errorf("7d: %q, %v", f.String(), err)
	}
	if err := f.Set("7 days"); err == nil {
		t.Error("7 days: no error")
	}
}
