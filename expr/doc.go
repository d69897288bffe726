// Package expr compiles CEL expressions over events to typed programs. It is
// the only package that knows the CEL library.
//
// [Compile] parses, checks and compiles one expression against a [Scope],
// which says what the names in it mean; [CompileText] does so for a text with
// `${CEL}` in it. Mistakes come back as [Issue] values with byte offsets into
// the source. A compiled [Program] reads slots of events and never names.
//
// # Evaluation
//
// Almost every expression becomes Go closures over unboxed values, which
// allocate nothing. The rest runs in the CEL library; the two give the same
// results and the same errors. An error that CEL's own && and || do not absorb
// is an [EvalError], which is preallocated and has one of a few reasons.
//
// # Numbers
//
// Where CEL keeps integers and decimals apart, this package mixes them: an
// arithmetic operator over an integer and a decimal computes decimals, one
// over two integers computes integers and fails when the result does not fit.
//
// # Concurrency
//
// A Program is immutable and may be used by any number of goroutines, each
// with a [Frame] of its own. A [Scope], its schemas and its [Aggregates] change
// while expressions are compiled against them, and belong to one goroutine
// until the last is compiled.
package expr
