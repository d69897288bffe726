// Command cepd watches streams of events with rules and raises alerts. See
// `cepd help`, and testdata/script for what each command does with what.
package main
