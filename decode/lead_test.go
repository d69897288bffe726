package decode

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
)

// decoded is what a decoder makes of a payload, as a text.
func decoded(d Decoder, payload []byte) string {
	e := event.Event{Slots: make([]event.Value, 12)}
	for i := range e.Slots { // of the last event
		e.Slots[i] = event.String("stale")
	}
	missed, err := d.Decode(bytes.Clone(payload), &e)
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	for i := range e.Slots {
		fmt.Fprintf(&b, "%s %s, ", e.Slots[i].Kind(), e.Slots[i].Text())
	}
	return fmt.Sprintf("%s%d mismatched", b.String(), missed)
}

// checkSequence decodes payloads one after the other, and each by itself with a
// decoder that has seen nothing.
func checkSequence(t *testing.T, schema *event.Schema, payloads [][]byte) {
	t.Helper()
	taught, _ := New("json", schema)
	for i, payload := range payloads {
		fresh, _ := New("json", schema)
		if got, want := decoded(taught, payload), decoded(fresh, payload); got != want {
			t.Fatalf("payload %d, %q, behind %q:\ngot  %s\nwant %s", i, payload, payloads[:i], got, want)
		}
	}
}

// TestPredicted changes messages that a decoder has seen often, one place after
// the other.
func TestPredicted(t *testing.T) {
	schema := schemaOf(oracleFields, "b", "i", "u", "d", "s", "t", "p", "l", "m", "a", "K", "été")
	for _, message := range []string{
		reading,
		`{"a":1,"d":2.5,"s":"text","x":{"y":1,"zz":"q"},"a name of more than sixteen bytes":[{"v":1},{"v":2}],"t":"2026-03-01T12:00:00Z"}`,
		`{ "a" : -1 , "d" : 1e3 , "s" : "" , "b" : true , "p" : "1h" , "u" : 12345678901234567890 , "K" : null }`,
		"{\n  \"a\": 1,\n  \"a name that is so long that no lead is\": 2,\n  \"s\": \"\u00e9\"\n}",
	} {
		payloads := [][]byte{[]byte(message), []byte(message)}
		for at := range len(message) + 1 {
			for _, odd := range []string{"", " ", "\t\n", `"`, `\`, "\x00", "\xff", ",", ":", "{", "}", "]", "0", "1", "-", "e1", "x", `"x":1,`, `,"x":1`} {
				payloads = append(payloads, []byte(message[:at]+odd+message[at:]))
				if at < len(message) {
					payloads = append(payloads, []byte(message[:at]+odd+message[at+1:]))
				}
				payloads = append(payloads, []byte(message[:at]))
			}
			payloads = append(payloads, []byte(message))
		}
		checkSequence(t, schema, payloads)
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(payloads), func(i, j int) { payloads[i], payloads[j] = payloads[j], payloads[i] })
		checkSequence(t, schema, payloads)
	}
}

// TestLead has messages that write the same names in several ways, so that what
// is remembered is given up and learnt again.
func TestLead(t *testing.T) {
	schema := schemaOf(oracleFields, "a", "s")
	var payloads [][]byte
	for i := range 20 * maxStrangers {
		blank := strings.Repeat(" ", i/maxStrangers*i%7)
		name := strings.Repeat("n", i/(3*maxStrangers)*11)
		payloads = append(payloads, fmt.Appendf(nil, `{%s"a"%s:%s%d%s,%s"%s":true,"s":%s"x"}`, blank, blank, blank, i, blank, blank, name, blank))
	}
	checkSequence(t, schema, payloads)
	for i := range payloads {
		checkSequence(t, schema, [][]byte{payloads[i], payloads[len(payloads)-1-i], payloads[i]})
	}
}

// TestManySlots decodes into slots that hold what the last event left there, for
// numbers of fields around that of a set's bits, with and without captured ones.
func TestManySlots(t *testing.T) {
	for _, n := range []int{1, 2, 63, 64, 65, 130} {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprint("f", i))
		}
		for _, captured := range [][]string{nil, {"f0"}, {names[n-1]}} {
			d, err := New("json", schemaOf(nil, names...), captured...)
			if err != nil {
				t.Fatal(err)
			}
			e := event.Event{Slots: make([]event.Value, n)}
			for round := range 4 * n {
				for i := range e.Slots {
					e.Slots[i] = event.String("stale")
				}
				payload, want := []byte(`{"other":1`), map[string]string{}
				for i, name := range names {
					if (i+round)%3 == 0 {
						payload = fmt.Appendf(payload, `,"%s":"%d"`, name, round)
						want[name] = fmt.Sprint(round)
					} else if (i+round)%7 == 0 {
						payload = fmt.Appendf(payload, `,"unknown%d%d":1`, i, round) // leaves the trie at last
					}
				}
				for _, name := range captured {
					want[name] = "stale"
				}
				if _, err := d.Decode(append(payload, '}'), &e); err != nil {
					t.Fatal(err)
				}
				for i, name := range names {
					if got := e.Slots[i].Text(); got != cmp.Or(want[name], "?") {
						t.Fatalf("%d fields, %v captured: %s of %s is %s, want %s", n, captured, name, payload, got, want[name])
					}
				}
			}
		}
	}
}

// FuzzSequence decodes payloads, parted by zeros, with one decoder and with one
// decoder each.
func FuzzSequence(f *testing.F) {
	f.Add([]byte(strings.Join(oracleSeeds, "\x00")))
	f.Add([]byte(strings.Repeat(reading+"\x00", 3) + strings.ReplaceAll(reading, ":", " : ") + "\x00" + reading[:100] + "\x00" + strings.Replace(reading, "oslo", `os\u006co`, 1)))
	f.Add([]byte(`{"a":1,"s":"x"}` + "\x00" + `{"a":1 ,"s":"x"}` + "\x00" + `{"a":1,"s": "x"}` + "\x00" + `{"a":1,"s":"x" }` + "\x00" + `{"a":1,"a":"x"}` + "\x00" + `{"s":1,"a":"x"}`))
	schema := schemaOf(oracleFields, "b", "i", "u", "d", "s", "t", "p", "l", "m", "a", "K", "été")
	f.Fuzz(func(t *testing.T, data []byte) {
		checkSequence(t, schema, bytes.Split(data, []byte{0}))
	})
}

// FuzzTimes decodes times behind others, most of which are read with the minute
// that the last one had.
func FuzzTimes(f *testing.F) {
	for _, s := range []string{"2026-03-01T12:00:00Z", "2026-03-01T12:00:59.5Z", "2026-03-01T12:00:00.12345678Z", "2026-03-01T12:00:00.123456789Z", "2026-03-01T12:00:00.1234567890Z",
		"2026-03-01T12:00:00.Z", "2026-03-01T12:00:60Z", "2026-03-01T12:00:0:Z", "2026-03-01T12:00:00+01:00", "2026-03-01T12:00:00.1z", "2026-03-01T12:00:00,1Z", "2026-03-01T12:00 00Z", "2026-03-01T12:00", "2026-03-01T12:00:00.1\u0305Z"} {
		f.Add(s, "2026-03-01T12:00:01.25Z")
	}
	schema := schemaOf(oracleFields, "t")
	f.Fuzz(func(t *testing.T, s, before string) {
		d, _ := New("json", schema)
		for _, text := range []string{before, s, before, s, s} {
			for _, format := range []string{`{"t":"%s","x":"something that is longer than a time"}`, `{"x":1,"t":"%s"}`} {
				checkAgainstOracle(t, d, schema, fmt.Appendf(nil, format, text))
			}
		}
	})
}
