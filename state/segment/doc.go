// Package segment is an append-only log of byte strings in segment files. The
// input log and the outbox are made of it.
//
// # What it promises
//
//   - Records get the sequence numbers 1, 2, 3, … without gaps, across restarts.
//   - A group is in the log as a whole or not at all. When [Log.Append] returns
//     nil with [Always], the group survives a loss of power. After an error its
//     numbers are free again.
//   - [Open] cuts off what a crash left unfinished and says so. Whatever else is
//     not as it was written is a [CorruptError], with the file and the place;
//     then no file is touched. A file of a newer format is a [VersionError].
//   - An fdatasync that failed is never called again. What it was to cover is
//     written anew into a new file.
//   - A disk that is full undoes the group. [vfs.IsFull] tells such an error, and
//     the next Append tries again.
//
// # Files
//
// A file is called by the sequence number of its first record. Numbers are
// little endian.
//
//	file     header, then groups and marks
//	header   magic "cepdsegm", format u32, crc u32, kind [8]byte, version u32, 0 u32,
//	         first u64, salt u64, and of the file before: first u64, size u64, hash u64
//	group    magic "CEPG", crc u32, first u64, synced u64, count u32, length u32,
//	         body u32, flags u32, then count records of length bytes in all
//	record   length u32, crc u32, sequence u64, bytes
//	mark     a group without records
//
// Checksums are CRC32C and begin with the file's salt, a random number, so that
// neither old blocks of the disk nor bytes that a sender made up look like groups
// of this file. The crc of a header covers that header, body the records, and the
// crc of a record what follows it. The hash is xxhash64 of the file up to size:
// what comes after size in a file that is not the last one was given up and does
// not count.
//
// # Recovery
//
// The synced of a group is the offset in the file up to which fdatasync had
// returned when the group was written. Where the last file holds something that
// is no group, a valid header behind it whose synced lies behind it too proves
// that it once was one, and has been acknowledged: that is corruption. Without
// such a header it is a torn tail, and is cut off. What follows the last header
// that proves something has perhaps not reached the disk, although it can be
// read; it is written again in place, and synced, before anybody uses it.
//
// A new file is written under another name and renamed when it is whole, so that
// a bad header of a file is always corruption. When it is in use, a mark at the
// end of the file before it says so: a last file with such a mark has lost its
// successor. [Log.Close] writes a mark too, so that the next Open knows that
// nothing is missing; see [Recovery.Clean].
//
// # Goroutines
//
// All methods may be called from any goroutine. Those that write wait for each
// other; reading waits for nobody.
package segment
