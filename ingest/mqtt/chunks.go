package mqtt

import "io"

// chunks reads packets from a stream, into memory that those who hold them
// keep.
//
//	chunk: ....... packets ....... | begun packet | free
//	                               from           to
//
// A chunk whose end is reached is left to those who hold packets of it, and
// the packet that has begun in it is copied to the next one.
type chunks struct {
	from     io.Reader
	chunk    []byte
	at, to   int
	skipping int // bytes of a packet that is too long, still to come
}

// maxPacket is how much of a packet is kept: payloads longer than
// [maxPayload] are cut, and the topic has 64 KB at most.
const maxPacket = maxPayload + 64<<10

// next returns the next packet, if all of it has come. Of one that is too long
// only the beginning is returned; cut is what is missing.
func (c *chunks) next() (first byte, body []byte, cut int, ok bool, err error) {
	if c.skipping > 0 {
		n := min(c.skipping, c.to-c.at)
		c.at += n
		c.skipping -= n
		if c.skipping > 0 {
			return 0, nil, 0, false, nil
		}
	}
	first, length, n, err := header(c.chunk[c.at:c.to])
	if n == 0 || err != nil {
		return 0, nil, 0, false, err
	}
	keep := min(length, maxPacket)
	if c.to-c.at < n+keep {
		return 0, nil, 0, false, nil
	}
	body = c.chunk[c.at+n : c.at+n+keep : c.at+n+keep]
	c.at += n + keep
	c.skipping = length - keep
	return first, body, c.skipping, true, nil
}

// fill reads more, waiting for it.
func (c *chunks) fill() error { return c.fillBy(c.from.Read) }

// fillBy reads more with a function that reads.
func (c *chunks) fillBy(read func(b []byte) (int, error)) error {
	if c.to == len(c.chunk) || c.wanted() > len(c.chunk)-c.at {
		next := make([]byte, max(chunkBytes, c.wanted()))
		c.to = copy(next, c.chunk[c.at:c.to])
		c.chunk, c.at = next, 0
	}
	n, err := read(c.chunk[c.to:])
	c.to += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// full reports whether the last reading took as much as there was room for.
func (c *chunks) full() bool { return c.to == len(c.chunk) }

// wanted returns how many bytes the packet has that has begun, as far as it
// will be kept; 1 while nothing is known of it.
func (c *chunks) wanted() int {
	if c.skipping > 0 {
		return 1
	}
	_, length, n, err := header(c.chunk[c.at:c.to])
	if n == 0 || err != nil {
		return c.to - c.at + 1
	}
	return n + min(length, maxPacket)
}
