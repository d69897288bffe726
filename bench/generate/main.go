package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"

	"github.com/cepd/cepd/bench"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	usage := fmt.Errorf("usage: generate telemetry|trades EVENTS")
	if len(args) != 2 {
		return usage
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 0 {
		return usage
	}
	out := bufio.NewWriter(os.Stdout)
	var line []byte
	write := func(appendTo func(b []byte) []byte) {
		line = append(appendTo(line[:0]), '\n')
		out.Write(line) // the first error is Flush's as well
	}
	switch args[0] {
	case "telemetry":
		fmt.Fprintln(out, bench.ReadingsCSV)
		for _, r := range bench.Telemetry(n, bench.Devices, 1) {
			write(r.AppendCSV)
		}
	case "trades":
		fmt.Fprintln(out, bench.TradesCSV)
		for _, t := range bench.Trades(n, bench.Names, 1) {
			write(t.AppendCSV)
		}
	default:
		return usage
	}
	return out.Flush()
}
