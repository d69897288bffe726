// Package wal is the input log: the one place that decides the order of
// everything.
//
// Its user defines the interface that it needs. What every implementation
// promises:
//
//   - Append gives each record the next position and sets it in the record.
//     Positions of one log go up by one, without gaps, from sequence 1.
//   - A batch is in the log as a whole or not at all. After an error the
//     positions that it would have had are free again.
//   - When Append of a durable log returns, the batch survives a loss of
//     power; only then may it be acknowledged to its source, or evaluated.
//   - Append is called by one goroutine at a time.
//
// [Log] is the log in a state directory: segment files with records of a compact
// form, each group of them made durable by one fdatasync. Package segment says
// what survives what, and how damage is told from what a crash leaves. A log has
// an identity, made with its directory, from which the ids of alerts follow.
//
// [Memory] is the log of a daemon without a state directory: it keeps its
// promises about order, and none about power.
package wal
