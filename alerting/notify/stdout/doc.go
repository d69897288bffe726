// Package stdout writes changes of alerts to a stream, usually the standard
// output: a JSON object on each line, or blocks of text for people.
//
// A [Sink] may be used from any number of goroutines; what it writes for one
// change is written in one piece.
package stdout
