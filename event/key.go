package event

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Groups is the number of key groups. It is fixed for ever: state on disk is
// named by group, so that the number of shards may change.
const Groups = 256

// Group returns the key group of an encoded key.
func Group(key []byte) uint8 { return uint8(xxhash.Sum64(key) >> 56) }

// GroupOf is [Group] of a key that is a string.
func GroupOf(key string) uint8 { return uint8(xxhash.Sum64String(key) >> 56) }

// Errors that [AppendKey] returns. An event with such a key is counted and
// left out, since it belongs to no key.
var (
	ErrKeyMissing = errors.New("a part of the key is missing or null")
	ErrKeyType    = errors.New("a part of the key is no text, number, bool, time or duration")
)

// Tags of encoded parts. They are part of the format of stored state.
const (
	tagFalse    = 1
	tagTrue     = 2
	tagInt      = 3
	tagUint     = 4
	tagDouble   = 5
	tagString   = 6
	tagBytes    = 7
	tagTime     = 8
	tagDuration = 9
)

// AppendKey appends the encoding of a key's parts to dst. The encoding is
// injective and keeps types apart: "1" and 1 are two keys; 1 and 1.0 are one.
// Each part is a tag followed by eight bytes, big endian, or by a length as an
// unsigned varint and as many bytes.
func AppendKey(dst []byte, parts ...Value) ([]byte, error) {
	if len(parts) == 1 && parts[0].Kind() == KindString && parts[0].size() < 1<<7 { // the common case
		return append(append(dst, tagString, byte(parts[0].size())), parts[0].AsString()...), nil
	}
	for _, v := range parts {
		var err error
		if dst, err = appendKeyPart(dst, v); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendKeyPart(dst []byte, v Value) ([]byte, error) {
	switch v.Kind() {
	case KindMissing, KindNull:
		return dst, ErrKeyMissing
	case KindBool:
		return append(dst, byte(tagFalse+v.n)), nil
	case KindInt, KindUint, KindDouble:
		c, _ := canonicalNumber(v)
		k := c.Kind()
		if f := c.AsDouble(); k == KindDouble && f != f {
			c.n = math.Float64bits(math.NaN()) // one NaN of many
		}
		return binary.BigEndian.AppendUint64(append(dst, tagInt+byte(k-KindInt)), c.n), nil
	case KindString:
		return append(binary.AppendUvarint(append(dst, tagString), v.size()), v.AsString()...), nil
	case KindBytes:
		return append(binary.AppendUvarint(append(dst, tagBytes), v.size()), v.AsBytes()...), nil
	case KindTime:
		return binary.BigEndian.AppendUint64(append(dst, tagTime), v.n), nil
	case KindDuration:
		return binary.BigEndian.AppendUint64(append(dst, tagDuration), v.n), nil
	}
	return dst, ErrKeyType
}

var errKeyEncoding = errors.New("not an encoded key")

// DecodeKey returns the parts of an encoded key. Texts share key's memory.
func DecodeKey(key string) ([]Value, error) { return AppendKeyParts(nil, key) }

// AppendKeyParts appends the parts of an encoded key to a list. Texts share
// key's memory.
func AppendKeyParts(parts []Value, key string) ([]Value, error) {
	for len(key) > 0 {
		tag := key[0]
		key = key[1:]
		switch tag {
		case tagFalse, tagTrue:
			parts = append(parts, Bool(tag == tagTrue))
		case tagInt, tagUint, tagDouble, tagTime, tagDuration:
			if len(key) < 8 {
				return nil, errKeyEncoding
			}
			k := KindInt + Kind(tag-tagInt)
			switch tag {
			case tagTime:
				k = KindTime
			case tagDuration:
				k = KindDuration
			}
			parts, key = append(parts, plain(k, binary.BigEndian.Uint64([]byte(key[:8])))), key[8:]
		case tagString, tagBytes:
			n, w := binary.Uvarint([]byte(key[:min(len(key), binary.MaxVarintLen64)]))
			if w <= 0 || n > uint64(len(key)-w) {
				return nil, errKeyEncoding
			}
			v := String(key[w : w+int(n)])
			if tag == tagBytes {
				v = Bytes([]byte(v.AsString()))
			}
			parts, key = append(parts, v), key[w+int(n):]
		default:
			return nil, errKeyEncoding
		}
	}
	return parts, nil
}

// KeyText returns the parts of an encoded key joined by "/", as texts and
// topics show them; the empty text for the key of a rule without `by`.
func KeyText(key string) string {
	parts, err := DecodeKey(key)
	if err != nil {
		return "?"
	}
	texts := make([]string, len(parts))
	for i, v := range parts {
		texts[i] = v.Text()
	}
	return strings.Join(texts, "/")
}
