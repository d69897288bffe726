package mqtt

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/cepd/cepd/internal/mosquitto"
)

// publishEnv makes the test binary a publisher: the broker's address and the
// number of messages. A publisher in the measured process would cost more than
// what is measured.
const publishEnv = "CEPD_TEST_PUBLISH"

// publishAll is that publisher.
func publishAll(task string) {
	var address string
	var n int
	if _, err := fmt.Sscan(task, &address, &n); err != nil {
		panic(err)
	}
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("publisher").SetProtocolVersion(4))
	if token := client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		panic(token.Error())
	}
	defer client.Disconnect(250)
	payload := []byte(`{"ts":"2026-03-01T12:00:00.250Z","device":"pump-0017","temperature":71.25,"vibration":3.125}`)
	tokens := make(chan paho.Token, 1000)
	go func() {
		defer close(tokens)
		for i := range n {
			tokens <- client.Publish("plant/p"+strconv.Itoa(i%1000), 1, false, payload)
		}
	}()
	for token := range tokens {
		token.Wait()
	}
}

// cpu returns the CPU time of this process.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSource has a mosquitto deliver messages of QoS 1, each of which is
// read, put into a file that is synced, as the log does it, and acknowledged, by
// each client; and, for comparison, acknowledged at once by Paho alone, with
// nothing around it.
func BenchmarkSource(b *testing.B) {
	b.Run("native", func(b *testing.B) { benchmarkSource(b, ClientNative) })
	b.Run("paho", func(b *testing.B) { benchmarkSource(b, ClientPaho) })
	b.Run("bare-paho", benchmarkBare)
}

// deliver has another process publish b.N messages, and waits until received is
// closed.
func deliver(b *testing.B, address string, received <-chan struct{}) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), publishEnv+"="+fmt.Sprint(address, " ", b.N))
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatal(err, string(out))
	}
	<-received
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// broker is one that neither drops messages nor waits after twenty.
func benchBroker(b *testing.B) string {
	return mosquitto.Start(b, "max_queued_messages 0", "max_inflight_messages 1000")
}

func benchmarkSource(b *testing.B, client string) {
	address := benchBroker(b)
	testClient = client
	s, err := New(configFor(address))
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
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	received := make(chan struct{})
	go func() {
		defer close(received)
		var group []byte
		for n := 0; n < b.N; {
			batch, err := s.Read(ctx)
			if err != nil {
				b.Error(err)
				return
			}
			group = group[:0]
			for i := range batch.Records {
				group = append(group, batch.Records[i].Payload...)
			}
			if _, err := log.Write(group); err != nil {
				b.Error(err)
			}
			batch.Ack(log.Sync())
			n += len(batch.Records)
		}
	}()
	deliver(b, address, received)
}

func benchmarkBare(b *testing.B) {
	address := benchBroker(b)
	received := make(chan struct{})
	n := 0
	o := paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("bare").SetProtocolVersion(4).SetCleanSession(false)
	o.SetDefaultPublishHandler(func(paho.Client, paho.Message) {
		if n++; n == b.N {
			close(received)
		}
	})
	client := paho.NewClient(o)
	if token := client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		b.Fatal(token.Error())
	}
	defer client.Disconnect(50)
	if token := client.Subscribe("plant/#", 1, nil); !token.WaitTimeout(patience) || token.Error() != nil {
		b.Fatal(token.Error())
	}
	deliver(b, address, received)
}
