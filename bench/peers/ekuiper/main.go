package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ekuiper WORKLOAD STREAM.csv")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
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
	s, err := startServer()
	if s != nil {
		defer s.stop()
	}
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
