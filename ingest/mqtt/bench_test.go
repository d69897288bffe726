package mqtt

import (
	"context"
	"runtime"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/cepd/cepd/internal/mosquitto"
)

// BenchmarkSource has a mosquitto deliver messages of QoS 1, each of which is
// read and acknowledged.
func BenchmarkSource(b *testing.B) {
	address := mosquitto.Start(b)
	cfg := configFor(address)
	s, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	if _, err := s.Read(ctx); err != nil { // source up
		b.Fatal(err)
	}
	for !s.Status().Subscribed {
		runtime.Gosched()
	}
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("publisher").SetProtocolVersion(4))
	if token := client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		b.Fatal(token.Error())
	}
	defer client.Disconnect(50)
	payload := []byte(`{"ts":"2026-03-01T12:00:00.250Z","device":"pump-0017","temperature":71.25,"vibration":3.125}`)
	window := make(chan struct{}, 100) // so that the broker's queue, of 1,000 messages, does not overflow
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for range b.N {
			window <- struct{}{}
			client.Publish("plant/p1", 1, false, payload)
		}
	}()
	for n := 0; n < b.N; {
		batch, err := s.Read(ctx)
		if err != nil {
			b.Fatal(err)
		}
		batch.Ack(nil)
		n += len(batch.Records)
		for range batch.Records {
			<-window
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
