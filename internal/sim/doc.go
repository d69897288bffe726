// Package sim lives through lives of a daemon, one for each seed: a broker, a
// log, an engine, snapshots, an outbox and sinks, in one goroutine and with a
// clock of its own, on a disk in memory from which it takes the power, which it
// fills, and whose operations it lets fail. What a seed decides comes again with
// the seed.
//
// It drives [durable.Engine], the log and the outbox as package daemon does, and
// in any order that the daemon's goroutines could have: a group is appended while
// the one before has not taken effect, acknowledgements come late or on a
// connection that is gone, a snapshot is written between steps, a sink confirms
// what nobody notes any more.
//
// # What must hold, for every seed
//
//   - What was acknowledged is in the log, and nothing that was in the log is
//     lost or changed (I1, I2).
//   - A snapshot at a position is what all records up to there come to, row for
//     row (I3), whatever the number of shards.
//   - The ids that sinks got are those that the records of the log give in one
//     run without a failure (I4).
//   - What they say is what the same messages give without any failure: nothing
//     lost, nothing twice.
//   - Each sink hears of a raise and its clear in turn, each once by its id, and
//     of none again once it is durable that it knows (I13).
//   - No watermark goes back (I7).
//   - The log is never cut past the oldest snapshot that is kept (I6).
package sim
