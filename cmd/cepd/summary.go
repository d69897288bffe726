package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/scenario"
)

// summarize says what a replay came to, with everything that was left out, and
// what each rule raised.
func summarize(sum scenario.Summary) string {
	var b strings.Builder
	st := &sum.Stats
	fmt.Fprintf(&b, "%s: %s raised, %d cleared", plural(int(sum.Events), "event"),
		plural(int(st.Raised.Total("")), "alert"), st.Cleared.Total(""))
	if n := st.Emitted.Total(""); n > 0 {
		fmt.Fprintf(&b, ", %s made", plural(int(n), "event"))
	}
	for _, part := range []struct {
		n         int64
		one, many string
	}{
		{st.Rejected.Total(""), "message was no event", "messages were no events"},
		{st.Late.Total(""), "event was late and left out", "events were late and left out"},
		{st.Duplicates.Total(""), "event had come before", "events had come before"},
		{st.NoID.Total(""), "event had no usable id", "events had no usable id"},
		{st.ForgottenIDs.Total(""), "id was forgotten before its time", "ids were forgotten before their time"},
		{st.KeyErrors.Total(""), "event had no usable key", "events had no usable key"},
		{st.Mismatched.Total(""), "field was of another type than declared", "fields were of another type than declared"},
		{st.EvalErrors.Total(""), "expression failed on an event", "expressions failed on an event"},
		{st.Evictions.Total(""), "time a limit made a rule forget", "times a limit made a rule forget"},
	} {
		switch {
		case part.n == 1:
			b.WriteString("\n1 " + part.one)
		case part.n > 1:
			fmt.Fprintf(&b, "\n%d %s", part.n, part.many)
		}
	}
	if len(st.Raised) > 1 { // of one rule the first line says it
		for _, k := range slices.SortedFunc(maps.Keys(st.Raised), func(a, c engine.CounterKey) int { return strings.Compare(a.Name, c.Name) }) {
			fmt.Fprintf(&b, "\n  %s: %d raised, %d cleared", k.Name, st.Raised[k], st.Cleared.Total(k.Name))
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// speed says how fast a replay was.
func speed(events int64, took time.Duration) string {
	if took < time.Millisecond || events == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f s, %.0f events/s\n", took.Seconds(), float64(events)/took.Seconds())
}

// progress shows on a terminal how far a replay is. The returned functions are
// called with the records read so far, and at the end.
func progress(w io.Writer) (at func(records int64), end func()) {
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("replaying"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	return func(records int64) { _ = bar.Set64(records) }, func() { _ = bar.Clear() }
}
