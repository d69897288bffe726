// Package rules reads rule files: YAML in which every expression is CEL, to a
// checked and compiled [Set] that the engine runs.
//
// The stages are files, in reading order. tree.go turns YAML into nodes that
// know where each byte of their text stands in the file; scalar.go does so for
// one text, and repair.go explains what YAML itself refuses and reads on after
// it. stream.go, rule.go, pattern.go and alert.go compile nodes, with every
// key of the language declared in keys.go. issue.go and report.go collect and
// print what is wrong.
//
// # Mistakes
//
// [Load] finds all mistakes of all files in one go. Each [Issue] has a file,
// line and column, the line itself, and says what to write instead. Errors
// leave no Set; warnings never stop one.
//
// # Time and goroutines
//
// The package has no clock and reads no files: it is a function from bytes to
// a Set. A Set is immutable and may be shared by any number of goroutines.
package rules
