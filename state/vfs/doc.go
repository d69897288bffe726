// Package vfs is the little that cepd asks of a file system: what the log and
// the outbox write goes through an [FS], so that tests can fill it, break it and
// take its power away.
//
//   - [OS] is the file system of the machine.
//   - [Mem] is one in memory. [Mem.Crash] does to it what a loss of power may do:
//     what was not synced is lost, whole or in parts, names included.
//   - [NewFault] makes chosen operations of another file system fail.
//   - [NewOverlay] shows another file system and keeps changes to itself.
//
// The rules that those who write must keep are POSIX's, not those of one file
// system: contents are durable after [File.Sync], and a name that was made,
// changed or removed is durable after [FS.SyncDir] of its directory. After a Sync
// that failed nobody knows what is on the disk, and another Sync that succeeds
// proves nothing: Linux forgets the pages that it could not write.
package vfs
