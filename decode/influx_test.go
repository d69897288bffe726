package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cepd/cepd/event"
)

// TestInflux writes lines as the objects that they stand for. The first are
// those of the protocol's reference.
func TestInflux(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`weather,location=us-midwest temperature=82 1465839830100400200`, `{"measurement":"weather","location":"us-midwest","temperature":82.0,"timestamp":1465839830100400200}`},
		{`myMeasurement,tag1=value1,tag2=value2 fieldKey="fieldValue" 1556813561098000000`, `{"measurement":"myMeasurement","tag1":"value1","tag2":"value2","fieldKey":"fieldValue","timestamp":1556813561098000000}`},
		{`m fieldKey=1.0`, `{"measurement":"m","fieldKey":1.0}`},
		{`m a=1,b=-1.234456e+78,c=.5,d=3.`, `{"measurement":"m","a":1.0,"b":-1.234456e+78,"c":0.5,"d":3.0}`},
		{`m i=12485903i,n=-7i,u=18446744073709551615u`, `{"measurement":"m","i":12485903,"n":-7,"u":18446744073709551615}`},
		{`m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=FALSE`, `{"measurement":"m","a":true,"b":true,"c":true,"d":true,"e":true,"f":false,"g":false}`},
		{`my\ Measurement,tag\ Key=tag\,Value,t\=2=x\=y fi\,eld="string \"value\" with, = and \\"`, `{"measurement":"my Measurement","tag Key":"tag,Value","t=2":"x=y","fi,eld":"string \"value\" with, = and \\"}`},
		{`my=Measurement f="a\b"`, `{"measurement":"my=Measurement","f":"a\\b"}`},
		{"m  f=\"two\nlines\"  5 \r\n", `{"measurement":"m","f":"two\nlines","timestamp":5}`},
		{`m,emoji=🍭 f="😀<&>"`, `{"measurement":"m","emoji":"🍭","f":"😀\u003c\u0026\u003e"}`},
		{"m f=1 -5", `{"measurement":"m","f":1.0,"timestamp":-5}`},

		{"", "empty at 0"},
		{" \n", "empty at 0"},
		{"# a comment", "syntax at 0"},
		{"m", "syntax at 1"},
		{"m f", "syntax at 3"},
		{"m f=", "syntax at 4"},
		{"m f=x", "syntax at 4"},
		{"m f=1x", "syntax at 4"},
		{"m f=0x10", "syntax at 4"},
		{"m f=1_000", "syntax at 4"},
		{"m f=1.5i", "syntax at 4"},
		{"m f=-1u", "syntax at 4"},
		{"m f=99999999999999999999i", "syntax at 4"},
		{"m f=NaN", "nan at 4"},
		{"m f=1e999", "number_range at 4"},
		{`m f="open`, "syntax at 4"},
		{`m f="a"b`, "syntax at 7"},
		{"m,t f=1", "syntax at 3"},
		{"m,t= f=1", "syntax at 4"},
		{"m,=x f=1", "syntax at 2"},
		{",t=x f=1", "syntax at 0"},
		{"m f=1,", "syntax at 6"},
		{"m f=1 now", "syntax at 6"},
		{"m f=1 1 2", "syntax at 6"},
		{"m f=1\nm f=2", "syntax at 5"},
		{"m f=1 1\nm f=2 2", "syntax at 7"},
		{"m\nm f=1", "syntax at 1"},
		{"m f=\xff", "invalid_utf8 at 0"},
		{"m f=" + strings.Repeat("1", MaxPayload), "too_large at 262144"},
	} {
		var l influxLine
		got, err := l.object([]byte(c.line))
		var reject *Error
		if errors.As(err, &reject) {
			got = fmt.Appendf(nil, "%s at %d", reject.Reason, reject.Offset)
		}
		if string(got) != c.want {
			t.Errorf("%.60q\ngot  %s\nwant %s\n(%v)", c.line, got, c.want, err)
		}
	}
}

// TestInfluxEvent decodes lines into the fields of events.
func TestInfluxEvent(t *testing.T) {
	schema := schemaOf([]event.Field{{Name: "site"}, {Name: "temp", Type: event.TypeDouble}, {Name: "on", Type: event.TypeBool}, {Name: "timestamp", Type: event.TypeInt}},
		"site", "temp", "on", "timestamp")
	d, err := New("influx", schema, "site")
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{Slots: []event.Value{event.String("captured"), {}, {}, {}}}
	missed, err := d.Decode([]byte("weather,site=oslo temp=82,on=1i 17"), &e)
	if err != nil || missed != 1 || e.Slots[0].Text() != "captured" || e.Slots[1].Text() != "82" || !e.Slots[2].IsMissing() || e.Slots[3].Text() != "17" {
		t.Error(e.Slots, missed, err)
	}
	first := e.Slots[1]
	if _, err := d.Decode([]byte("weather temp=1,temp=2"), &e); err == nil || err.(*Error).Reason != ReasonDuplicateName {
		t.Error(err)
	}
	if first.Text() != "82" {
		t.Error("an event changes with the next payload")
	}
}

// FuzzInflux wants an object of every line, or a reason.
func FuzzInflux(f *testing.F) {
	for _, seed := range []string{`w,l=o t=82,h=t 14`, `m\ n,a\,b=c\=d f="a\"b\\",g=1i,h=2u,i=-.5e3 -1`, "m f=1\nm f=2", `m f="`, `m,`, "#"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var l influxLine
		object, err := l.object(line)
		if err != nil {
			var reject *Error
			if !errors.As(err, &reject) || reject.Offset < 0 || reject.Offset > len(line) || reject.Message == "" {
				t.Fatalf("%q: bad error %#v", line, err)
			}
			return
		}
		var fields map[string]any
		if err := json.Unmarshal(object, &fields); err != nil || fields[influxMeasurement] == nil {
			t.Fatalf("%q: %s: %v", line, object, err)
		}
		// The same line again, with blanks behind it, is the same.
		object = bytes.Clone(object)
		if again, err := l.object(append(bytes.TrimRight(line, " \r\n"), " \r\n"...)); err != nil || !bytes.Equal(again, object) {
			t.Fatalf("%q: %s, and with blanks behind it %s, %v", line, object, again, err)
		}
	})
}
