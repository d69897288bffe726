//go:build !linux

package mqtt

import "net"

// wakeAt does nothing: on other systems a read, too, may wait for so many bytes.
func wakeAt(net.Conn, int) {}
