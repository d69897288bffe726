package main

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

// cpuTime returns what all threads of a process have used of processors so far,
// those that have ended too.
func cpuTime(pid int) (time.Duration, error) {
	const sched = 2 // which clock of the process, as in clock_getcpuclockid(3)
	var t syscall.Timespec
	clock := uintptr(^pid<<3 | sched)
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0); err != 0 {
		return 0, fmt.Errorf("the processor time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}
