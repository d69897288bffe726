//go:build !linux

package mqtt

import (
	"net"
	"os"
	"syscall"
)

// plain returns nil: other systems have other ways.
func plain(net.Conn) syscall.RawConn { return nil }

// readNow and writeNow are not called.
func readNow(syscall.RawConn, []byte) (int, error)  { return 0, os.ErrDeadlineExceeded }
func writeNow(syscall.RawConn, []byte) (int, error) { return 0, nil }
