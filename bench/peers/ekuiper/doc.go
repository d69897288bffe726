// Ekuiper runs eKuiper for the program in the folder above, as a module of its
// own, so that nothing of it is among what cepd is built from:
//
//	ekuiper WORKLOAD STREAM.csv
//	ekuiper mqtt ADDRESS EVENTS RESULTS
//
// The first goes over a stream in memory, with the talk of Peer.java; the second
// reads a broker, with that of the package overmqtt. Where one cannot go on it says
// "failed" and why.
//
// eKuiper is its own server, with settings in files and rules over HTTP. What is
// registered beside it is a source that has all rows in memory, and sinks that
// count.
package main
