package mqtt

import (
	"io"
	"net"
	"syscall"
	"testing"
)

// However many bytes are to wake a reader, it reads what there is when the
// connection ends.
func TestWakeAt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	wakeAt(ours, chunkBytes)
	raw, err := ours.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT); err != nil || n != chunkBytes {
			t.Errorf("the system wakes at %d bytes: %v", n, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(theirs, "few"); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if got, err := io.ReadAll(ours); string(got) != "few" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	wakeAt(&net.UnixConn{}, 1) // no harm where it is not to be had
	wakeAt(nil, 1)
}
