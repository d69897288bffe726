// Package file appends changes of alerts and derived events to files: a JSON
// object on each line.
//
// The name of a file is made of the rule's name and the day, in UTC and by
// event time, of what is written; so a late event goes to the file of its own
// day. Folders are made as they are needed.
//
// # What is safe when
//
// A line is handed to the operating system in one write before the delivery is
// confirmed. It then outlives this process. With SyncAlways it is also synced to
// the disk before that, and outlives a loss of power; with SyncNever a file is
// synced when it is closed only. A line that was written in part is taken back,
// and one that a crash cut off is left on a line of its own, so that no other is
// damaged. The sink is a [notify.Keeper]: the outbox notes how long each file was
// when a delivery was marked as sent, and after a crash files are cut to that, so
// that no line is there twice. A loss of power may take lines that were not synced.
//
// A file that was moved or removed meanwhile is made anew within a second.
// One process writes to a file: two would damage each other's repairs.
//
// A [Sink] may be used from any number of goroutines.
package file
