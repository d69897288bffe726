package text_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify/internal/sample"
	"github.com/cepd/cepd/alerting/notify/text"
	"github.com/cepd/cepd/event"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func TestText(t *testing.T) {
	raised, cleared, plain := sample.Raised(), sample.Cleared(), sample.Plain()
	hostile := sample.Plain()
	hostile.Rule, hostile.AtEnd = "odd", false
	key, _ := event.AppendKey(nil, event.String("p\x1b[2J1"))
	hostile.Key, hostile.Summary = string(key), "wiped\x1b]0;title\a\u202e"
	hostile.Labels = []alerting.Label{{Name: "room", Value: "a=b c"}, {Name: "zone", Value: ""}}
	hostile.Evidence[0].Events[0].More = &event.Details{Raw: []byte(`{"x":"\u001b[31m"}`)}
	long := sample.Plain()
	long.AtEnd = false
	long.Evidence[0].Name = "hot"
	e := long.Evidence[0].Events[0]
	for range 9 {
		next := *e
		next.More, next.Time = nil, e.Time.Add(20*60*60*1e9)
		long.Evidence[0].Events = append(long.Evidence[0].Events, &next)
		e = &next
	}

	var got []byte
	add := func(title string, tr alerting.Transition, o text.Options) {
		got = append(got, "# "+title+"\n"...)
		got = text.Append(got, &tr, o)
	}
	add("a raise and its clear", raised, text.Options{})
	add("", cleared, text.Options{})
	add("an alert without a key, and its payload", plain, text.Options{})
	add("what a device sends cannot move the cursor", hostile, text.Options{})
	add("the first and the last of many events, over several days", long, text.Options{Events: 3})
	add("no evidence", raised, text.Options{NoEvidence: true})
	add("colours", raised, text.Options{Color: true})
	add("", cleared, text.Options{Color: true})
	event := sample.Derived()
	got = append(got, "# a derived event, and in colours\n"...)
	got = text.AppendDerived(got, &event, text.Options{})
	got = text.AppendDerived(got, &event, text.Options{Color: true})
	out := strings.ReplaceAll(string(got), "\x1b", "ESC")

	const file = "testdata/blocks.txt"
	if *rewrite {
		if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
