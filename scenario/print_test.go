package scenario

import (
	"strings"
	"testing"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
)

// TestMatchesAsJSON prints what came of messages of all formats: always one line
// of JSON.
func TestMatchesAsJSON(t *testing.T) {
	for _, c := range []struct{ payload, want string }{
		{`{"a": 1}`, `{"a": 1}`},
		{"{\n\t\"a\": 1\n}\n", `{"a":1}`},
		{"\xa1\x61x\x01", `{"x":1}`},
		{"m,t=x f=1i 5", `{"measurement":"m","t":"x","f":1,"timestamp":5}`},
		{"20.5", "20.5"},
		{`on "hold"`, `"on \"hold\""`},
		{"\xa1\x61x", "\"\uFFFDax\""},
	} {
		e := &event.Event{More: &event.Details{Raw: []byte(c.payload)}}
		var out strings.Builder
		if err := NewJSON(&out).Match(&engine.Match{Rule: "r", Steps: []alerting.Step{{Name: "a", Events: []*event.Event{e}}}}); err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(out.String(), `"steps":`); got != `{"a":[`+c.want+"]}}\n" {
			t.Errorf("%q: got %s, want %s", c.payload, got, c.want)
		}
	}
}
