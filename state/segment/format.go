package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
)

// Format is the version of the format of files that this package writes, and the
// newest that it reads.
const Format = 1

const (
	headerSize = 72
	groupSize  = 40
	recordSize = 16
	suffix     = ".seg"
	fileMagic  = "cepdsegm"
	groupMagic = "CEPG"
	kindLength = 8
)

// maxGroup bounds the bytes of a group.
const maxGroup = math.MaxInt32

// The flags of a mark.
const (
	markClosed    = 1 << iota // the log was closed
	markContinued             // there is a file after this one
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// fileName returns the name of the file whose first record has a number.
func fileName(first uint64) string { return fmt.Sprintf("%020d%s", first, suffix) }

// parseName is the inverse of fileName.
func parseName(name string) (first uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && first > 0
}

// header is the beginning of a file.
type header struct {
	kind    string
	version uint32
	first   uint64
	salt    uint64
	prev    link
}

// link is what a file says of the one before it; zero in the first one.
type link struct {
	first uint64
	size  uint64
	hash  uint64
}

func (h *header) encode() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, fileMagic...)
	b = le.AppendUint32(b, Format)
	b = le.AppendUint32(b, 0)
	b = append(b, h.kind...)
	b = append(b, make([]byte, kindLength-len(h.kind))...)
	b = le.AppendUint32(b, h.version)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, h.first)
	b = le.AppendUint64(b, h.salt)
	b = le.AppendUint64(b, h.prev.first)
	b = le.AppendUint64(b, h.prev.size)
	b = le.AppendUint64(b, h.prev.hash)
	le.PutUint32(b[12:], headerSum(b))
	return b
}

// headerSum returns the checksum of a file's header, which leaves itself out.
func headerSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:headerSize])
}

// errNewer says that a format is of a newer program.
var errNewer = errors.New("newer")

// decodeHeader reads the header of a file. A newer format is told before
// anything else is believed.
func decodeHeader(b []byte) (header, error) {
	if len(b) < headerSize {
		return header{}, fmt.Errorf("the file ends within its header of %d bytes", headerSize)
	}
	if string(b[:8]) != fileMagic {
		return header{}, errors.New("the file does not begin like a segment")
	}
	if v := le.Uint32(b[8:]); v > Format {
		return header{}, fmt.Errorf("%w: %d", errNewer, v)
	}
	if le.Uint32(b[12:]) != headerSum(b) {
		return header{}, errors.New("the header does not match its checksum")
	}
	return header{
		kind:    string(bytes.TrimRight(b[16:16+kindLength], "\x00")),
		version: le.Uint32(b[24:]),
		first:   le.Uint64(b[32:]),
		salt:    le.Uint64(b[40:]),
		prev:    link{le.Uint64(b[48:]), le.Uint64(b[56:]), le.Uint64(b[64:])},
	}, nil
}

// group is the header of a group or mark.
type group struct {
	first  uint64 // number of its first record; of a mark, that of the record to come
	synced uint64 // offset up to which fdatasync had returned
	count  uint32
	length uint32 // of the records
	body   uint32 // checksum of the records
	flags  uint32
}

func (g *group) encode(b []byte, salt uint32) {
	copy(b, groupMagic)
	le.PutUint64(b[8:], g.first)
	le.PutUint64(b[16:], g.synced)
	le.PutUint32(b[24:], g.count)
	le.PutUint32(b[28:], g.length)
	le.PutUint32(b[32:], g.body)
	le.PutUint32(b[36:], g.flags)
	le.PutUint32(b[4:], crc32.Update(salt, castagnoli, b[8:groupSize]))
}

// decodeGroup reads the header of a group.
func decodeGroup(b []byte, salt uint32) (g group, ok bool) {
	if len(b) < groupSize || string(b[:4]) != groupMagic || le.Uint32(b[4:]) != crc32.Update(salt, castagnoli, b[8:groupSize]) {
		return group{}, false
	}
	return group{
		first: le.Uint64(b[8:]), synced: le.Uint64(b[16:]), count: le.Uint32(b[24:]),
		length: le.Uint32(b[28:]), body: le.Uint32(b[32:]), flags: le.Uint32(b[36:]),
	}, true
}

// saltSum makes of a file's salt what its checksums begin with.
func saltSum(salt uint64) uint32 {
	return crc32.Checksum(le.AppendUint64(nil, salt), castagnoli)
}

// records calls f for each record in the body of a group, and says what is
// wrong with the first one that is not as it was written.
func (g *group) records(body []byte, salt uint32, f func(seq uint64, data []byte) error) error {
	for i := range uint64(g.count) {
		if len(body) < recordSize {
			return damage("record %d is not whole", g.first+i)
		}
		n := le.Uint32(body)
		if uint64(n) > uint64(len(body)-recordSize) {
			return damage("record %d is not whole", g.first+i)
		}
		end := recordSize + int(n)
		if le.Uint32(body[4:]) != recordSum(body[:end], salt) {
			return damage("record %d does not match its checksum", g.first+i)
		}
		if seq := le.Uint64(body[8:]); seq != g.first+i {
			return damage("record %d says that it is record %d", g.first+i, seq)
		}
		if f != nil {
			if err := f(g.first+i, body[recordSize:end:end]); err != nil {
				return err
			}
		}
		body = body[end:]
	}
	if len(body) > 0 {
		return damage("%d bytes follow the last record of a group", len(body))
	}
	return nil
}

// recordSum returns the checksum of a record: of its length, number and bytes.
func recordSum(b []byte, salt uint32) uint32 {
	return crc32.Update(crc32.Update(salt, castagnoli, b[:4]), castagnoli, b[8:])
}

// layOut appends a group to b, complete but for its checksums.
func layOut(b []byte, first uint64, n int, encode func(i int, dst []byte) []byte) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, groupSize)...)
	for i := range n {
		at := len(b)
		b = append(b, make([]byte, recordSize)...)
		b = encode(i, b)
		if len(b)-start > maxGroup {
			return b[:start], fmt.Errorf("a group of more than %d bytes cannot be logged", maxGroup)
		}
		le.PutUint32(b[at:], uint32(len(b)-at-recordSize))
		le.PutUint64(b[at+8:], first+uint64(i))
	}
	g := group{first: first, count: uint32(n), length: uint32(len(b) - start - groupSize)}
	g.encode(b[start:], 0)
	return b, nil
}

// sum fills in the checksums of the groups that layOut made, for a place in a
// file.
func sum(b []byte, salt uint32, synced uint64) {
	for len(b) > 0 {
		g := group{first: le.Uint64(b[8:]), synced: synced, count: le.Uint32(b[24:]), length: le.Uint32(b[28:]), flags: le.Uint32(b[36:])}
		body := b[groupSize : groupSize+int(g.length)]
		for rest := body; len(rest) > 0; {
			end := recordSize + int(le.Uint32(rest))
			le.PutUint32(rest[4:], recordSum(rest[:end], salt))
			rest = rest[end:]
		}
		g.body = crc32Body(body, salt)
		g.encode(b, salt)
		b = b[groupSize+len(body):]
	}
}

// crc32Body returns the checksum of the records of a group.
func crc32Body(body []byte, salt uint32) uint32 { return crc32.Update(salt, castagnoli, body) }
