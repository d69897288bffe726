// Ekuiper runs eKuiper for the program in the folder above, as a module of its
// own, so that nothing of it is among what cepd is built from:
//
//	ekuiper WORKLOAD STREAM.csv
//
// It goes over a stream in memory, with the talk of Peer.java. Where it cannot go
// on it says "failed" and why.
//
// eKuiper is its own server, with settings in a file and rules over HTTP. What is
// registered beside it is a source that has all rows in memory and a sink that
// counts.
package main
