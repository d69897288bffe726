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

// Durations that were measured are logged without digits that say nothing.
func TestRoughDurations(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		33_198_951: 33 * time.Millisecond, 9_999_600: 10 * time.Millisecond, 5_300_400: 5300 * time.Microsecond, 1_234_567_890: 1235 * time.Millisecond,
		15_400 * time.Millisecond: 15 * time.Second, 90 * time.Second: 90 * time.Second, 800: 800, 0: 0,
	} {
		if got := rough(d); got != want {
			t.Errorf("%v: %v, not %v", d, got, want)
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
