// Package doctor looks at what a cepd.yaml names - brokers, receivers, folders -
// from where cepd runs, and says what stands in the way of its promises and
// what to do about it.
//
// It takes nothing over: it connects with client ids of its own, so that a cepd
// that runs keeps its session, and it posts to no receiver. Only a probe, which
// is to be asked for, publishes: to a topic of its own below cepd/doctor/.
//
// [Examine] is called from one goroutine; it starts others, which have ended
// when it returns.
package doctor
