package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 2:
		err = serve(args[0], args[1])
	case len(args) == 4 && args[0] == "mqtt":
		var events, results int
		if _, err = fmt.Sscan(args[2]+" "+args[3], &events, &results); err == nil {
			err = subscribe(args[1], events, results)
		}
	default:
		err = errors.New("usage: ekuiper WORKLOAD STREAM.csv, or ekuiper mqtt ADDRESS EVENTS RESULTS")
	}
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
}

// serve goes over a stream once for each line of input that says so.
func serve(workload, file string) error {
	rows, err := readRows(file)
	if err != nil {
		return err
	}
	s, err := startServer(map[string]string{})
	defer s.stop()
	if err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	m := newMemory(workload, rows, s, func() {
		runtime.GC()
		fmt.Println("start")
		in.Scan() // go
	})
	for in.Scan() {
		if err := m.pass(); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return in.Err()
}
