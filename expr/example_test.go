package expr_test

import (
	"fmt"

	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
)

func Example() {
	schema := event.NewSchema("telemetry", []event.Field{
		{Name: "temperature", Type: event.TypeDouble},
		{Name: "status", Type: event.TypeString},
	})
	scope := &expr.Scope{Event: schema, Self: -1}
	condition, issues := expr.Compile(`e.temperature > 80 && e.status != "off"`, scope, expr.WantBool)
	if issues != nil {
		fmt.Println(issues)
		return
	}
	text, _ := expr.CompileText("${e.status} at ${e.temperature} degrees", scope)

	// The schema now has a slot for each field that is used.
	e := &event.Event{Schema: schema, Slots: []event.Value{event.Double(80.5), event.String("on")}}
	frame := &expr.Frame{Event: e}
	ok, err := condition.Bool(frame)
	fmt.Println(ok, err)
	out, _ := text.Append(nil, frame)
	fmt.Println(string(out))

	// A field that the event lacks makes a condition false, with the reason.
	e.Slots[0] = event.Missing
	ok, err = condition.Bool(frame)
	fmt.Println(ok, err)
	// Output:
	// true <nil>
	// on at 80.5 degrees
	// false no such field
}

// A mistake has its place in the source, and mostly says what to write instead.
func ExampleIssue() {
	schema := event.NewSchema("telemetry", []event.Field{{Name: "temperature", Type: event.TypeDouble}})
	src := "e.temprature > 80"
	_, issues := expr.Compile(src, &expr.Scope{Event: schema, Self: -1}, expr.WantBool)
	for _, i := range issues {
		fmt.Printf("%s: %s, %s\n", src[i.Offset:i.End], i.Message, i.Advice)
	}
	// Output:
	// temprature: an event of telemetry has no field `temprature`, did you mean `temperature`?
}
