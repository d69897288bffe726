// Package faults makes series of measurements with labelled faults, by seed: the
// same seed gives the same numbers. It is a stick to measure detectors with that
// nobody can have tuned to a corpus, and a source of data for demonstrations.
//
// A series has a shape that normal operation has (noise, a season, a machine that
// is on and off, bursts, a wandering level), a step from a second to an hour, and
// faults as sensors and processes have them: a spike, a drift, a stuck value, noise,
// a level shift, a lost season, a slow leak.
package faults
