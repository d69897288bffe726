package mqtt

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The control packets of MQTT 3.1.1 that a reader sends and receives, by the
// first four bits of their first byte (OASIS, MQTT Version 3.1.1, section 2.2).
const (
	packetConnect     = 1
	packetConnack     = 2
	packetPublish     = 3
	packetPuback      = 4
	packetSubscribe   = 8
	packetSuback      = 9
	packetUnsubscribe = 10
	packetUnsuback    = 11
	packetPingreq     = 12
	packetPingresp    = 13
	packetDisconnect  = 14
)

// maxLengthBytes is how many bytes the length of a packet has at most.
const maxLengthBytes = 4

var (
	errLength   = errors.New("the broker sends a packet whose length has more than four bytes")
	errTooShort = errors.New("the broker sends a packet that ends too early")
)

// header reads the first byte of a packet and its length. n is the length of
// both, 0 if b ends too early.
func header(b []byte) (first byte, length, n int, err error) {
	for i := 1; i < len(b); i++ {
		if i > maxLengthBytes {
			return 0, 0, 0, errLength
		}
		length |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			return b[0], length, i + 1, nil
		}
	}
	if len(b) > maxLengthBytes {
		return 0, 0, 0, errLength
	}
	return 0, 0, 0, nil
}

// appendHeader appends the beginning of a packet of a length.
func appendHeader(b []byte, first byte, length int) []byte {
	b = append(b, first)
	for length >= 0x80 {
		b = append(b, byte(length)|0x80)
		length >>= 7
	}
	return append(b, byte(length))
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// hello is what a client says of itself.
type hello struct {
	clientID, user, password string
	keepAlive                int // seconds
}

// appendConnect appends a packet that asks for a session that is kept.
func appendConnect(b []byte, h hello) []byte {
	flags, length := byte(0), 10+2+len(h.clientID)
	if h.user != "" {
		flags |= 0x80
		length += 2 + len(h.user)
	}
	if h.user != "" && h.password != "" {
		flags |= 0x40
		length += 2 + len(h.password)
	}
	b = appendString(appendHeader(b, packetConnect<<4, length), "MQTT")
	b = append(b, 4, flags) // version 3.1.1
	b = binary.BigEndian.AppendUint16(b, uint16(h.keepAlive))
	b = appendString(b, h.clientID)
	if flags&0x80 != 0 {
		b = appendString(b, h.user)
	}
	if flags&0x40 != 0 {
		b = appendString(b, h.password)
	}
	return b
}

// refusals say what the return codes of a broker mean.
var refusals = [...]string{
	1: "the broker does not speak MQTT 3.1.1",
	2: "the broker refuses the client id",
	3: "the broker is not available",
	4: "the broker refuses user and password",
	5: "the broker does not allow this client",
}

// readConnack reads the broker's answer to a connect.
func readConnack(body []byte) (session bool, err error) {
	if len(body) != 2 {
		return false, errTooShort
	}
	if code := int(body[1]); code >= len(refusals) {
		return false, fmt.Errorf("the broker refuses with code %d", code)
	} else if code > 0 {
		return false, errors.New(refusals[code])
	}
	return body[0]&1 != 0, nil
}

// appendFilters appends a subscribe packet, or an unsubscribe packet if qos is
// nil.
func appendFilters(b []byte, id uint16, filters []string, qos []byte) []byte {
	length := 2
	for _, f := range filters {
		length += 2 + len(f)
	}
	first := byte(packetUnsubscribe<<4 | 2)
	if qos != nil {
		first, length = packetSubscribe<<4|2, length+len(qos)
	}
	b = binary.BigEndian.AppendUint16(appendHeader(b, first, length), id)
	for i, f := range filters {
		b = appendString(b, f)
		if qos != nil {
			b = append(b, qos[i])
		}
	}
	return b
}

func appendPuback(b []byte, id uint16) []byte {
	return append(b, packetPuback<<4, 2, byte(id>>8), byte(id))
}

// publish is a message. Its parts share the memory of the packet.
type publish struct {
	flags   byte // the lower half of the first byte
	id      uint16
	topic   []byte
	payload []byte
}

// qos returns 0, 1 or 2; 3 is malformed.
func (p *publish) qos() byte { return p.flags >> 1 & 3 }

// readPublish reads a message from the body of its packet.
func readPublish(first byte, body []byte) (p publish, err error) {
	p.flags = first & 0xf
	if len(body) < 2 {
		return p, errTooShort
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) < n {
		return p, errTooShort
	}
	p.topic, body = body[2:n], body[n:]
	if p.qos() > 0 {
		if len(body) < 2 {
			return p, errTooShort
		}
		p.id, body = binary.BigEndian.Uint16(body), body[2:]
	}
	p.payload = body
	return p, nil
}
