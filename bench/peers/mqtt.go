package main

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"

	"github.com/cepd/cepd/bench/overmqtt"
	"github.com/cepd/cepd/internal/mosquitto"
)

// reader is a row of the table over MQTT.
type reader struct {
	name  string // in names of benchmarks
	title string // in the table
	cost  overmqtt.Cost
}

// overMQTT has cepd and eKuiper read a broker in turn, each with a filter, and
// prints what a message costs them.
func overMQTT(out io.Writer, ekuiper command, rounds int) error {
	if ekuiper == nil {
		fmt.Fprintln(out, "SKIPPED: over MQTT, without eKuiper")
		return nil
	}
	hot := overmqtt.Hot()
	readers := []reader{
		{name: "filter-native", title: "cepd, `sync: always`"},
		{name: "filter-paho", title: "the same with `client: paho`"},
		{name: "filter-native-memory", title: "cepd without a state directory"},
		{name: "filter-paho-memory", title: "the same with `client: paho`"},
	}
	var subscribers []overmqtt.Subscriber
	for _, r := range readers {
		subscribers = append(subscribers, overmqtt.Role(r.name))
	}
	readers = append(readers, reader{name: "ekuiper", title: "eKuiper 1.14, which keeps nothing"})
	subscribers = append(subscribers, func(address, _ string) *exec.Cmd {
		return ekuiper("mqtt", address, strconv.Itoa(overmqtt.Events), strconv.Itoa(hot))
	})
	costs, err := overmqtt.Compare(rounds, subscribers)
	if errors.Is(err, mosquitto.ErrNotInstalled) {
		fmt.Fprintln(out, "SKIPPED: over MQTT:", err)
		return nil
	}
	if err != nil {
		return err
	}
	for i, c := range costs {
		readers[i].cost = c
		fmt.Fprintf(out, "BenchmarkPeersMQTT/%s 1 %.1f cpu-ns/event %.0f events/s %d results\n", readers[i].name, c.CPU, c.Rate, c.Results)
		if c.Results != hot {
			return fmt.Errorf("%s gave %d results of %d", readers[i].name, c.Results, hot)
		}
	}
	fmt.Fprintln(out)
	printReaders(out, readers)
	return nil
}
