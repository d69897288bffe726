package main

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/lf-edge/ekuiper/pkg/api"
	"github.com/lf-edge/ekuiper/pkg/modules"
)

const sourceSettings = "default: {qos: 1, server: \"tcp://%s\", protocolVersion: \"3.1.1\"}\n"

// subscribe filters what a broker has, until so many messages have led to so many
// results. It talks as the package overmqtt says.
func subscribe(address string, events, results int) error {
	sink := &hotSink{all: make(chan struct{}), probed: make(chan struct{}, 1), want: int64(results)}
	modules.RegisterSink("hot", func() api.Sink { return sink })
	s, err := startServer(map[string]string{"mqtt_source.yaml": fmt.Sprintf(sourceSettings, address)})
	defer s.stop()
	if err != nil {
		return err
	}
	err = s.begin(`CREATE STREAM events (device STRING, temperature FLOAT) WITH (TYPE="mqtt", DATASOURCE="plant/#", FORMAT="json")`, object{
		"sql":     "SELECT device, temperature FROM events WHERE temperature > 80",
		"actions": []any{object{"hot": object{}}},
		// The source drops what finds the buffers full, so they hold everything.
		"options": object{"sendError": false, "bufferLength": events},
	})
	if err != nil {
		return err
	}
	if err := sink.probe(address); err != nil {
		return err
	}
	const taken = "_filter_0_records_in_total"
	first, err := s.count(taken)
	if err != nil {
		return err
	}
	before := cpuTime()
	fmt.Println("ready")
	<-sink.all
	for n := 0; n < first+events; time.Sleep(time.Millisecond) { // what comes behind the last result
		if n, err = s.count(taken); err != nil {
			return err
		}
		if err := s.check(); err != nil {
			return err
		}
	}
	used := cpuTime() - before
	fmt.Println("done", int64(used), sink.n.Load())
	return s.call(http.MethodDelete, "/rules/rule", nil, nil)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it does not fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// hotSink counts results.
type hotSink struct {
	n      atomic.Int64
	want   int64
	all    chan struct{} // is closed when they are there
	probed chan struct{}
}

func (*hotSink) Configure(map[string]any) error { return nil }
func (*hotSink) Open(api.StreamContext) error   { return nil }
func (*hotSink) Close(api.StreamContext) error  { return nil }

func (s *hotSink) Collect(_ api.StreamContext, batch any) error {
	for _, result := range batch.([]map[string]any) {
		if result["device"] == "probe" {
			s.probed <- struct{}{}
		} else if s.n.Add(1) == s.want {
			close(s.all)
		}
	}
	return nil
}

// probe publishes a hot reading again and again until it comes out. Nothing else
// says when a rule has subscribed.
func (s *hotSink) probe(address string) error {
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("probe"))
	if t := client.Connect(); t.Wait() && t.Error() != nil {
		return t.Error()
	}
	defer client.Disconnect(250)
	for began := time.Now(); time.Since(began) < patience; {
		if t := client.Publish("plant/probe/probe", 1, false, `{"device":"probe","temperature":100.0}`); t.Wait() && t.Error() != nil {
			return t.Error()
		}
		select {
		case <-s.probed:
			return nil
		case <-time.After(time.Second):
		}
	}
	return fmt.Errorf("eKuiper does not subscribe")
}
