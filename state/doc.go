// Package state keeps snapshots of the engine's state on disk, in epochs, so
// that a restart need not read the whole log. It is the only user of badger.
//
// A snapshot is rows: names and values that mean nothing here. An epoch is what
// one snapshot wrote, the rows that changed, and a marker, written last, that
// says which position of the log it belongs to. The rows of an epoch are those
// that it wrote and, of all other names, those of the epochs before:
//
//	            epoch 6 (position 1000)    epoch 7 (position 1800)
//	pump-1      pump-1 @6                  pump-1 @7
//	pump-2      pump-2 @3                  pump-2 @3
//	pump-3      pump-3 @5                  gone @7
//
// Two epochs are kept. A version of a row that neither needs is removed.
//
// # What is promised
//
//   - What is opened is an epoch as it was committed, whole: the newest such.
//     Rows of a snapshot that was not committed are removed first.
//   - Nothing is silently less. Each row has a checksum; a marker has the number
//     of rows and the sum of their hashes, and a file beside the database names
//     the epochs that must be there. What is damaged is worked around with an
//     older epoch, whose part of the log is kept, or reported row by row; or else
//     [Open] fails, and says what to do.
//   - A format that is not known is refused before anything is touched.
//   - Nothing is written where the disk has no room for it; see [ErrFull].
//
// [Memory] keeps the same promises in memory, and can crash and fail on demand:
// it shares all code with the real one but what badger does.
//
// # Use
//
// [Open] is followed by [Store.Rows] for the engine's state, and then, for each
// snapshot, by [Store.Begin], [Epoch.Put] as often as need be, and
// [Epoch.Commit] or [Epoch.Abandon]. A Store may be used by one goroutine at a
// time; its calls wait for the disk.
package state
