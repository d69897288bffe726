package segment

import (
	"errors"
	"fmt"
)

// ErrCorrupt is the kind of every [CorruptError].
var ErrCorrupt = errors.New("corrupt")

// ErrVersion is the kind of every [VersionError].
var ErrVersion = errors.New("newer format")

// ErrClosed is returned after [Log.Close].
var ErrClosed = errors.New("the log is closed")

// ErrReadOnly is returned by what would change a log that was opened for reading.
var ErrReadOnly = errors.New("the log is open for reading only")

// CorruptError says that something is not as it was written, or is missing.
type CorruptError struct {
	File    string // where
	Offset  int64
	Problem string // what is wrong there
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: damaged at byte %d: %s. It held what was acknowledged: restore it from a copy, and check the disk. "+
		"`cepd state verify` says what else is damaged; no file was changed", e.File, e.Offset, e.Problem)
}

// Is makes errors.Is find [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// VersionError says that a file is of a newer program. No file was changed.
type VersionError struct {
	File    string
	Version uint32 // of the file
	Known   uint32 // the newest that this program reads
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s: has format %d, and this cepd reads formats up to %d: start the newer cepd that wrote it; no file was changed", e.File, e.Version, e.Known)
}

// Is makes errors.Is find [ErrVersion].
func (e *VersionError) Is(target error) bool { return target == ErrVersion }

// damageError is what is wrong with a record, before anybody knows where it is.
type damageError string

func (e damageError) Error() string { return string(e) }

func damage(format string, args ...any) error { return damageError(fmt.Sprintf(format, args...)) }
