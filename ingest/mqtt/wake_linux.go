package mqtt

import (
	"crypto/tls"
	"net"
	"syscall"
)

// wakeAt has the system wake this process only when so many bytes have come, or
// when the connection ends. A read still returns whatever there is. Where that
// is not to be had, each piece wakes it.
func wakeAt(conn net.Conn, bytes int) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes)
	})
}
