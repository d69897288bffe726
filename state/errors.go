package state

import (
	"errors"
	"fmt"
)

// ErrFull is the kind of error for a disk without room. Nothing was written;
// the call may be made again when there is room.
var ErrFull = errors.New("the disk is full")

// FullError says how much room there is. It is an [ErrFull].
type FullError struct {
	Dir        string
	Free, Need int64 // bytes
}

func (e *FullError) Error() string {
	return fmt.Sprintf("%s: %v: %s free, %s needed", e.Dir, ErrFull, mebibytes(e.Free), mebibytes(e.Need))
}

// Is makes it an [ErrFull].
func (e *FullError) Is(target error) bool { return target == ErrFull }

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// FormatError says that what is stored was written by a newer version. Nothing
// was touched.
type FormatError struct {
	What       string
	Have, Know int
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("the snapshots were written by a newer cepd: their %s has number %d, and this version knows up to %d; run the newer version, or restore a backup that the older one made",
		e.What, e.Have, e.Know)
}

// DamagedError says that what is stored is damaged beyond what could be worked
// around. Nothing was changed.
type DamagedError struct {
	What   string
	Advice string // what to do
}

func (e *DamagedError) Error() string { return e.What + "; " + e.Advice }

const (
	adviceRestore = "restore a backup; or move the snapshots away, and the state is made anew from what the log still has"
	adviceDir     = "name another directory, or an empty one"
)

// RowError says that a stored row is damaged.
type RowError struct {
	Name []byte
	What string
}

func (e *RowError) Error() string { return "the stored row is damaged: " + e.What }
