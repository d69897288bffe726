// Package stdout writes changes of alerts and derived events to a stream,
// usually the standard output: a JSON object on each line, or text for people.
//
// A [Sink] may be used from any number of goroutines; what it writes for one
// of them is written in one piece.
package stdout
