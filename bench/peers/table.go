package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// row is what the engines took for a workload, each the pass that took least.
type row struct {
	workload
	best map[string]result // by name of the engine
}

// printTable prints the table of docs/performance.md.
func printTable(out io.Writer, rows []row) {
	fmt.Fprint(out, "| workload | results | cepd |")
	for _, p := range peers {
		fmt.Fprintf(out, " %s |", p.title)
	}
	fmt.Fprintln(out, "\n| --- | --- | --- |"+strings.Repeat(" --- |", len(peers)))
	for _, r := range rows {
		own := r.best["cepd"]
		fmt.Fprintf(out, "| %s | %s | %s |", r.what, thousands(own.results), nanoseconds(own.perEvent()))
		for _, p := range peers {
			fmt.Fprintf(out, " %s |", cell(r.best[p.name], own))
		}
		fmt.Fprintln(out)
	}
}

// printReaders prints the table over MQTT of docs/performance.md, of which the last
// row is what the others are held against.
func printReaders(out io.Writer, readers []reader) {
	peer := readers[len(readers)-1].cost
	fmt.Fprintln(out, "| over MQTT | processor time for a message | of which eKuiper takes | messages a second | of eKuiper's |\n| --- | --- | --- | --- | --- |")
	for _, r := range readers {
		fmt.Fprintf(out, "| %s | %s | %.1f times | %s | %.1f times |\n", r.title, nanoseconds(r.cost.CPU), peer.CPU/r.cost.CPU, thousands(int64(r.cost.Rate)), r.cost.Rate/peer.Rate)
	}
}

// cell says what a peer took, and how much of what cepd took.
func cell(got, own result) string {
	switch {
	case got.events == 0:
		return "–"
	case !got.agrees(own):
		return fmt.Sprintf("other results: %s", thousands(got.results))
	}
	ratio := got.perEvent() / own.perEvent()
	digits := 1
	if ratio >= 10 {
		digits = 0
	}
	return fmt.Sprintf("%s, %s times", nanoseconds(got.perEvent()), strconv.FormatFloat(ratio, 'f', digits, 64))
}

func nanoseconds(x float64) string { return thousands(int64(x+0.5)) + " ns" }

// thousands writes a number that is not negative with commas.
func thousands(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
