package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/cepd/cepd/bench/overmqtt"
)

// peer is another engine.
type peer struct {
	name  string // in names of benchmarks
	title string // in the table
}

var peers = []peer{{"siddhi", "Siddhi 5.1"}, {"flink", "Flink CEP 2.3"}, {"ekuiper", "eKuiper 1.14"}}

// warm is how often each engine goes over a stream before it is measured.
const warm = 5

func main() {
	overmqtt.Main() // where this process is one of that section
	dir := flag.String("dir", "bench/peers", "where pom.xml is")
	count := flag.Int("count", 5, "passes that are measured, of which the table takes the least")
	events := flag.Int("events", 400_000, "events of each stream, of which the second half is measured")
	only := flag.String("only", "", "the workload to run, or mqtt, if not all")
	name := flag.String("o", "", "a file to write to as well")
	flag.Parse()
	out := io.Writer(os.Stdout)
	if *name != "" {
		f, err := os.Create(*name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		out = io.MultiWriter(os.Stdout, f) // closed by the end of the process
	}
	if err := run(out, *dir, *only, *count, *events); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer, dir, only string, count, events int) error {
	programs := build(out, dir)
	if len(programs) == 0 {
		return nil
	}
	if only == "mqtt" {
		return overMQTT(out, programs["ekuiper"], count)
	}
	var rows []row
	for _, w := range workloads(events) {
		if only != "" && w.name != only {
			continue
		}
		r, err := measure(out, w, programs, dir, count)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		rows = append(rows, r)
	}
	fmt.Fprintln(out)
	printTable(out, rows)
	if only != "" {
		return disagreements(rows)
	}
	fmt.Fprintln(out)
	return errors.Join(disagreements(rows), overMQTT(out, programs["ekuiper"], count))
}

// measure runs one workload on all engines in turn.
func measure(out io.Writer, w workload, programs map[string]command, dir string, count int) (row, error) {
	csv := filepath.Join(dir, "target", "stream.csv")
	if err := os.WriteFile(csv, w.stream.csv, 0o666); err != nil {
		return row{}, err
	}
	cepd, err := newSelf(w)
	if err != nil {
		return row{}, err
	}
	names, runners := []string{"cepd"}, []runner{cepd}
	for _, p := range peers {
		command := programs[p.name]
		if command == nil || slices.Contains(w.unlike, p.name) {
			continue
		}
		r, err := newProgram(command(w.name, csv), len(w.stream.payloads))
		if err != nil {
			return row{}, err
		}
		defer r.close()
		names, runners = append(names, p.name), append(runners, r)
	}
	r := row{workload: w, best: map[string]result{}}
	failed := map[string]bool{}
	for pass := range warm + count {
		for i, name := range names {
			if failed[name] {
				continue
			}
			got, err := runners[i].pass()
			if err != nil {
				if name == "cepd" {
					return row{}, err
				}
				fmt.Fprintf(out, "FAILED: %s on %s: %v\n", name, w.name, err)
				failed[name] = true
				delete(r.best, name)
				continue
			}
			if pass < warm {
				continue
			}
			fmt.Fprintf(out, "BenchmarkPeers/%s/%s 1 %d ns/op %.1f cpu-ns/event %d results\n", w.name, name, got.wall.Nanoseconds(), got.perEvent(), got.results)
			if best, ok := r.best[name]; !ok || got.cpu < best.cpu {
				r.best[name] = got
			}
		}
	}
	return r, nil
}

// disagreements is an error where a peer gave other results than cepd.
func disagreements(rows []row) error {
	var errs []error
	for _, r := range rows {
		for _, p := range peers {
			if got, ok := r.best[p.name]; ok && !got.agrees(r.best["cepd"]) {
				errs = append(errs, fmt.Errorf("%s: %s gave %d results that add up to %v, cepd %d and %v", r.name, p.name, got.results, got.sum, r.best["cepd"].results, r.best["cepd"].sum))
			}
		}
	}
	return errors.Join(errs...)
}
