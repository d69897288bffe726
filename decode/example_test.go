package decode_test

import (
	"errors"
	"fmt"

	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/event"
)

// A message becomes an event: the fields that rules use, and what the topic
// captures.
func Example() {
	topic, err := decode.ParseTopic("plant/{site}/{device}/telemetry")
	if err != nil {
		fmt.Println(err)
		return
	}
	schema := event.NewSchema("telemetry", nil)
	for _, name := range []string{"device", "temperature", "status"} {
		schema.Use(name)
	}
	decoder, err := decode.New("json", schema, topic.Names()...)
	if err != nil {
		fmt.Println(err)
		return
	}

	captured, ok := topic.Match("plant/oslo/p1/telemetry", nil)
	fmt.Println(topic.Filter(), ok, captured)

	e := event.Event{Schema: schema, Slots: []event.Value{event.String(captured[1])}}
	_, err = decoder.Decode([]byte(`{"temperature":71.5,"device":"mine","rpm":1500,"status":null}`), &e)
	fmt.Println(e.Get("device").Text(), e.Get("temperature").Text(), e.Get("status").Text(), err)

	_, err = decoder.Decode([]byte(`{"temperature":71.5,"Temperature":80}`), &e)
	var reject *decode.Error
	if errors.As(err, &reject) {
		fmt.Printf("%s: %v\n", reject.Reason, reject)
	}
	// Output:
	// plant/+/+/telemetry true [oslo p1]
	// p1 71.5 null <nil>
	// case_folded_name: a name differs in case only from a field that the rules use (at byte 21)
}
