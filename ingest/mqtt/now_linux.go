package mqtt

import (
	"io"
	"net"
	"os"
	"syscall"
)

// plain returns the socket of a connection that has nothing between it and us,
// nil for others: what is read and written at once there needs neither a timer
// nor another goroutine.
func plain(conn net.Conn) syscall.RawConn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readNow reads what has come. Where that is nothing, its error is
// [os.ErrDeadlineExceeded].
func readNow(raw syscall.RawConn, b []byte) (n int, err error) {
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, failed = again(syscall.Read, fd, b)
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case failed == syscall.EAGAIN:
		return 0, os.ErrDeadlineExceeded
	case failed != nil:
		return 0, os.NewSyscallError("read", failed)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// writeNow writes as much as there is room for.
func writeNow(raw syscall.RawConn, b []byte) (n int, err error) {
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, failed = again(syscall.Write, fd, b)
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case failed == syscall.EAGAIN:
		return 0, nil
	case failed != nil:
		return 0, os.NewSyscallError("write", failed)
	}
	return n, nil
}

// again calls a function until no signal interrupts it.
func again(f func(int, []byte) (int, error), fd uintptr, b []byte) (n int, err error) {
	for {
		if n, err = f(int(fd), b); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}
