//go:build unix

package bench

import (
	"syscall"
	"time"
)

// CPUTime returns what the process has used of processors so far. On a machine
// that others use as well it says more than a clock.
func CPUTime() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
