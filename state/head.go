package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// A head is a small file beside the database that is replaced as a whole. It
// says what must be there: a database that has lost what it was given last, or
// everything, does not know it itself.
type head struct {
	Format int `json:"format"`
	// Opened says that the database was made: it must not be made again.
	Opened bool `json:"opened"`
	// Epochs are the markers of those that are kept, the newest first.
	Epochs []Marker `json:"epochs"`
}

func (h *head) encode() []byte {
	text, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("state: the head: %v", err))
	}
	return sealText(append(text, '\n'))
}

// sealText appends a line with the checksum of a text.
func sealText(text []byte) []byte {
	return fmt.Appendf(text, "crc32c %08x\n", crc32.Checksum(text, castagnoli))
}

// decodeHead reads a head. One of another format is refused, whatever else is
// in it.
func decodeHead(text []byte, o *Options) (*head, error) {
	body, check := []byte(nil), ""
	if i := bytes.LastIndex(text, []byte("\ncrc32c ")); i >= 0 {
		body, check = text[:i+1], string(text[i+1:])
	}
	if body == nil || check != fmt.Sprintf("crc32c %08x\n", crc32.Checksum(body, castagnoli)) {
		return nil, &DamagedError{What: "its checksum is wrong", Advice: adviceRestore}
	}
	var only struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(body, &only); err != nil {
		return nil, &DamagedError{What: err.Error(), Advice: adviceRestore}
	}
	if only.Format < 1 || only.Format > Format {
		return nil, &FormatError{What: "format", Have: only.Format, Know: Format}
	}
	h := &head{}
	if err := json.Unmarshal(body, h); err != nil {
		return nil, &DamagedError{What: err.Error(), Advice: adviceRestore}
	}
	for _, m := range h.Epochs {
		if m.Encoding > o.Encoding {
			return nil, &FormatError{What: "encoding of rows", Have: m.Encoding, Know: o.Encoding}
		}
		if m.Semantics > o.Semantics {
			return nil, &FormatError{What: "semantics", Have: m.Semantics, Know: o.Semantics}
		}
	}
	return h, nil
}
