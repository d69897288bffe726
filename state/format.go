package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/cepd/cepd/event"
)

// Format is the number of the format described here. It is raised when the
// format changes; a store of a higher one is refused.
const Format = 1

// Keys of the database:
//
//	m  epoch              a marker
//	r  name  part  epoch  part of a row; the newest version first
//
// A name is escaped so that names are in order and none is the beginning of
// another: 0 becomes 0 FF, and 0 1 ends it. Numbers are big endian: two bytes
// of a part, eight of an epoch, inverted in keys of rows.
//
// Every value ends in a CRC-32C of its key and all that comes before. The rest
// of a row's begins with its kind:
//
//	value  parts (part 0 only)  bytes
//	gone
const (
	keyMarker = 'm'
	keyRow    = 'r'

	partGone  = 0
	partValue = 1
)

// partBytes is the size of a part of a row. Badger keeps values up to its
// threshold in its tables; of a large row only the parts that have changed are
// written.
const partBytes = 32 << 10

// maxParts bounds the value of a row to 2 GiB.
const maxParts = 1<<16 - 1

// Row is a name and a value. The type has no name of its own, so that whoever
// makes rows need not know of stores.
type Row = struct{ Name, Value []byte }

// Marker says what an epoch is.
type Marker struct {
	Epoch uint64 `json:"epoch"`
	// Base is the last full epoch at or before this one: rows of older ones are void.
	Base uint64 `json:"base"`

	Log       string         `json:"log"`       // id of the log
	Position  event.Position `json:"position"`  // of the last record that the state knows
	RuleSet   string         `json:"rule_set"`  // content hash of the rules in force
	Encoding  int            `json:"encoding"`  // number of the rows' encoding
	Semantics int            `json:"semantics"` // number of what the rules mean
	Taken     event.Time     `json:"taken"`     // by the wall clock, for people to see

	Rows uint64 `json:"rows"` // number of stored parts of rows
	Sum  Sum    `json:"sum"`  // of their hashes
}

// Sum is a sum of hashes mod 2^128: it does not depend on order, and a change
// of one row changes it by a difference.
type Sum struct{ hi, lo uint64 }

func (s *Sum) add(h Sum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, h.lo, 0)
	s.hi, _ = bits.Add64(s.hi, h.hi, carry)
}

func (s *Sum) sub(h Sum) {
	var borrow uint64
	s.lo, borrow = bits.Sub64(s.lo, h.lo, 0)
	s.hi, _ = bits.Sub64(s.hi, h.hi, borrow)
}

// String prints s in 32 hexadecimal digits.
func (s Sum) String() string { return fmt.Sprintf("%016x%016x", s.hi, s.lo) }

// MarshalText prints s as String does.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText printed.
func (s *Sum) UnmarshalText(text []byte) error {
	if len(text) != 32 {
		return errors.New("a sum has 32 hexadecimal digits")
	}
	_, err := fmt.Sscanf(string(text), "%16x%16x", &s.hi, &s.lo)
	return err
}

// hashPart returns the hash of a part under its name, whatever its epoch.
func hashPart(prefix, content []byte) Sum {
	h := sha256.New()
	h.Write(binary.AppendUvarint(nil, uint64(len(prefix))))
	h.Write(prefix)
	h.Write(content)
	sum := h.Sum(nil)
	return Sum{binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:])}
}

// markerKey returns the key of an epoch's marker.
func markerKey(epoch uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyMarker}, epoch)
}

// rowPrefix returns what keys of all parts of a row begin with.
func rowPrefix(name []byte) []byte {
	k := append(make([]byte, 0, len(name)+16), keyRow)
	for _, c := range name {
		if k = append(k, c); c == 0 {
			k = append(k, 0xff)
		}
	}
	return append(k, 0, 1)
}

// partPrefix returns what keys of all versions of a part begin with.
func partPrefix(row []byte, part int) []byte {
	return binary.BigEndian.AppendUint16(bytes.Clone(row), uint16(part))
}

func versionKey(part []byte, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(part), ^epoch)
}

// rowKey is a key of a row, taken apart.
type rowKey struct {
	prefix []byte // of its part
	row    []byte // of the row
	part   int
	epoch  uint64
}

const rowTail = 2 + 8 // part and epoch

func parseRowKey(key []byte) (rowKey, bool) {
	n := len(key) - rowTail
	if n < 3 || key[0] != keyRow || key[n-2] != 0 || key[n-1] != 1 {
		return rowKey{}, false
	}
	return rowKey{
		prefix: key[:n+2], row: key[:n], part: int(binary.BigEndian.Uint16(key[n:])), epoch: ^binary.BigEndian.Uint64(key[n+2:]),
	}, true
}

// rowName returns the name that a row's prefix stands for.
func rowName(row []byte) ([]byte, bool) {
	in := row[1 : len(row)-2]
	name := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		name = append(name, in[i])
		if in[i] == 0 {
			if i++; i == len(in) || in[i] != 0xff {
				return nil, false
			}
		}
	}
	return name, true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal appends the checksum of a key and its content.
func seal(key, content []byte) []byte {
	crc := crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, content)
	return binary.LittleEndian.AppendUint32(bytes.Clone(content), crc)
}

// unseal returns the content under a key, and whether its checksum is right.
func unseal(key, value []byte) ([]byte, bool) {
	n := len(value) - 4
	if n < 0 {
		return nil, false
	}
	crc := crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, value[:n])
	return value[:n], crc == binary.LittleEndian.Uint32(value[n:])
}

// part is the content of one part of a row.
type part struct {
	gone  bool
	parts int // of the row; in part 0 only
	bytes []byte
}

func parsePart(content []byte, number int) (part, bool) {
	if len(content) == 1 && content[0] == partGone {
		return part{gone: true}, true
	}
	if len(content) == 0 || content[0] != partValue {
		return part{}, false
	}
	p := part{bytes: content[1:]}
	if number == 0 {
		n, w := binary.Uvarint(p.bytes)
		if w <= 0 || n == 0 || n > maxParts {
			return part{}, false
		}
		p.parts, p.bytes = int(n), p.bytes[w:]
	}
	return p, true
}

// split returns the contents of the parts of a value.
func split(value []byte) ([][]byte, error) {
	n := max(1, (len(value)+partBytes-1)/partBytes)
	if n > maxParts {
		return nil, fmt.Errorf("a value of %d bytes is too large to be stored", len(value))
	}
	parts := make([][]byte, n)
	for i := range parts {
		content := []byte{partValue}
		if i == 0 {
			content = binary.AppendUvarint(content, uint64(n))
		}
		parts[i] = append(content, value[i*partBytes:min(len(value), (i+1)*partBytes)]...)
	}
	return parts, nil
}

func encodeMarker(m *Marker) []byte {
	content, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("state: marker %d: %v", m.Epoch, err))
	}
	return seal(markerKey(m.Epoch), content)
}

func decodeMarker(key, value []byte) (*Marker, error) {
	content, ok := unseal(key, value)
	if !ok {
		return nil, errors.New("its checksum is wrong")
	}
	m := &Marker{}
	if err := json.Unmarshal(content, m); err != nil {
		return nil, err
	}
	if !bytes.Equal(key, markerKey(m.Epoch)) {
		return nil, fmt.Errorf("it is that of epoch %d", m.Epoch)
	}
	return m, nil
}
