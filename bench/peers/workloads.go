package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/cepd/cepd/bench"
	"github.com/cepd/cepd/event"
)

// workload is a row of the table: a stream and rules over it.
type workload struct {
	name   string // as the programs of the peers know it
	what   string // as the table says it
	stream *stream
	rules  string // cepd's, without the stream
	// unlike are the peers that have no way to ask for the same results.
	unlike []string
}

// stream is events as each engine takes them. The first half is to get warm on.
type stream struct {
	declared string // for cepd
	payloads [][]byte
	csv      []byte // for the others
}

const readings = `
streams:
  readings:
    time: e.ts
    watermark: {lag: 0s}
    fields: {ts: timestamp, msg_id: string, site: string, device: string, temperature: double, vibration: double, pressure: double, status: string, fw: string}
rules:
`

const trades = `
streams:
  trades:
    time: e.ts
    watermark: {lag: 0s}
    fields: {ts: timestamp, id: int, kind: string, name: string, volume: int, price: double}
rules:
`

// telemetry returns so many readings and one that comes a minute later, so that
// the windows of all others end.
func telemetry(n int) *stream {
	all := bench.Telemetry(n, bench.Devices, 1)
	all = append(all, bench.Reading{Time: all[n-1].Time.Add(time.Minute), Device: "end", Status: "running"})
	s := &stream{declared: readings, csv: []byte(bench.ReadingsCSV + "\n")}
	for i := range all {
		all[i].Time -= all[i].Time % event.Time(time.Millisecond) // as precise as the peers have it
		s.payloads = append(s.payloads, all[i].AppendJSON(nil))
		s.csv = append(all[i].AppendCSV(s.csv), '\n')
	}
	return s
}

func stockTrades(n, names int) *stream {
	all := bench.Trades(n, names, 1)
	s := &stream{declared: trades, csv: []byte(bench.TradesCSV + "\n")}
	for i := range all {
		s.payloads = append(s.payloads, all[i].AppendJSON(nil))
		s.csv = append(all[i].AppendCSV(s.csv), '\n')
	}
	return s
}

const stopRule = `  - name: stop
    from: readings%s
    by: e.device
    pattern: hot -> spike -> stop
    define:
      hot: e.temperature > 80
      spike: e.vibration > 2
      stop: e.status == "stopped" && e.temperature < hot.temperature
    within: 5m
    skip: %s
    limits: {runs: 1000000}
    emit: {device: key, x: hot.temperature}
`

const abcRule = `  - name: abc
    from: trades
    pattern: a -> b -> c
    define:
      a: e.name == "S01"
      b: e.name == "S02"
      c: e.name == "S03"
    within: 1s
    skip: %s
    limits: {runs: 1000000}
    emit: {name: a.name, x: a.price}
`

// workloads returns all rows, over so many events each.
func workloads(n int) []workload {
	pumps, few, many := telemetry(n), stockTrades(n, bench.Names), stockTrades(n, 100)
	var hundred strings.Builder
	for i := range 100 {
		fmt.Fprintf(&hundred, "  - {name: r%02d, from: trades, where: 'e.name == \"S%02d\" && e.volume > 990', emit: {name: e.name, x: e.volume}}\n", i, i)
	}
	sequence, past := []string{"ekuiper"}, []string{"ekuiper", "siddhi"}
	return []workload{
		{"filter", "a filter, `temperature > 80`", pumps,
			"  - {name: hot, from: readings, where: e.temperature > 80, emit: {device: e.device, x: e.temperature}}\n", nil},
		{"rules", "100 filters, each for trades of one name and a volume", many, hundred.String(), nil},
		{"window", "count, mean and maximum by device and minute", pumps,
			"  - {name: mean, from: readings, by: e.device, window: {tumbling: 1m}, emit: {device: key, n: count(), mean: avg(e.temperature), top: max(e.temperature)}}\n", nil},
		{"sequence", "three steps by device, the last linked, every match", pumps, fmt.Sprintf(stopRule, "", "none"), sequence},
		{"sequence-filtered", "the same behind a filter by hand", pumps,
			fmt.Sprintf(stopRule, "\n    where: e.temperature > 80 || e.vibration > 2 || e.status == \"stopped\"", "none"), sequence},
		{"sequence-past", "the same without the filter, one match per story", pumps, fmt.Sprintf(stopRule, "", "past_last"), past},
		{"trades", "three steps of trades within 1,000, one key, every match", few, fmt.Sprintf(abcRule, "none"), sequence},
		{"trades-past", "the same, one match per story", few, fmt.Sprintf(abcRule, "past_last"), past},
	}
}
