// Package pool calls functions at the same time, on a fixed number of
// goroutines. The engine, which starts none of its own, is given it to run its
// shards.
package pool
