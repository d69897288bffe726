package notify_test

import (
	"context"
	"fmt"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/state/outbox"
)

// printer is a sink that prints.
type printer struct{}

func (printer) Notify(_ context.Context, d notify.Delivery) error {
	fmt.Println(d.Transition.Change, d.Transition.Summary)
	return nil
}

func ExampleDispatcher() {
	d, err := notify.New(notify.Config{
		Sinks:  []notify.Sink{{Name: "ops", Notifier: printer{}}},
		Outbox: outbox.NewMemory(outbox.Options{}), // lost with the process
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	d.Start()
	err = d.Enqueue(event.Position{Seq: 1}, []notify.Message{
		notify.Changed(alerting.Transition{ID: "1", Fingerprint: "f", Change: alerting.Raised, Summary: "p1 is hot", To: []string{"ops"}}),
		notify.Changed(alerting.Transition{ID: "2", Fingerprint: "f", Change: alerting.Cleared, Summary: "p1 is hot", To: []string{"ops"}}),
	})
	if err != nil {
		fmt.Println(err)
	}
	left := d.Stop(context.Background()) // a real caller gives it a bound
	fmt.Println(len(left), "sinks have not got everything")
	// Output:
	// raised p1 is hot
	// cleared p1 is hot
	// 0 sinks have not got everything
}
