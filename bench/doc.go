// Package bench makes the streams that cepd is measured on, by seed, and runs
// the engine over events that are in memory. Its benchmarks put next to each
// figure of cepd the baseline that it is to be held against, so that both come
// from one run:
//
//	make bench
//
// See docs/performance.md for what the rows mean. The programs in peers measure
// other engines on the same streams.
package bench
