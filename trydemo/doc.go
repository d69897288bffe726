// Package trydemo is `cepd try`: a broker, a few dozen simulated freezers, and
// the daemon that `cepd run` runs, in one process on the loopback interface,
// with rules in a folder that can be edited while it runs.
//
// The freezers live in a time of their own that runs faster than ours. What
// they do follows from a seed, so that every run tells the same story: a
// compressor fails, its freezer gets too warm and is repaired, a door is left
// open.
//
// [Run] starts everything and stops it before it returns; it is called by one
// goroutine.
package trydemo
