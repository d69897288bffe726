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
	switch args[0] {
	case "telemetry":
		fmt.Fprintln(out, "ms,device,temperature,vibration,status")
		for _, r := range bench.Telemetry(n, bench.Devices, 1) {
			fmt.Fprintf(out, "%d,%s,%g,%g,%s\n", r.Time/1e6, r.Device, r.Temperature, r.Vibration, r.Status)
		}
	case "trades":
		fmt.Fprintln(out, "ms,name,price")
		for _, t := range bench.Trades(n, bench.Names, 1) {
			fmt.Fprintf(out, "%d,%s,%g\n", t.Time/1e6, t.Name, t.Price)
		}
	default:
		return usage
	}
	return out.Flush()
}
