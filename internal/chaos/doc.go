// Package chaos holds no code, only a test that kills the real program at random
// moments under load, and compares what its receivers got with what a run in
// peace would have told them. `make chaos` runs it for long.
package chaos
