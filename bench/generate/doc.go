// Generate writes a stream of the benchmarks as CSV, for programs that are not
// written in Go:
//
//	go run ./bench/generate telemetry 500000 > telemetry.csv
package main
