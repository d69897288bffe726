// Peers runs the same rules over the same streams, in memory, on cepd and on
// other engines, taking turns in one run, and prints what an event costs each,
// in processor time, as a table:
//
//	go run ./bench/peers
//
// See README.md for what runs how, and docs/performance.md for what the rows
// mean.
package main
