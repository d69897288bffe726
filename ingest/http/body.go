package http

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	nethttp "net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/event"
)

// posted is one event of a request.
type posted struct {
	payload []byte // a JSON object, or a map of CBOR
	id      string // that its sender gave it, if so
}

// readBody reads the body of a request and unpacks it, as far as there is room.
func readBody(w nethttp.ResponseWriter, r *nethttp.Request, limit int, room func(bytes int) error) ([]byte, error) {
	in := io.Reader(nethttp.MaxBytesReader(w, r.Body, int64(limit)))
	switch enc := strings.ToLower(r.Header.Get("Content-Encoding")); enc {
	case "", "identity":
	case "gzip":
		zip, err := gzip.NewReader(in)
		if err != nil {
			return nil, refuse(nethttp.StatusBadRequest, "the body is not gzip, as its Content-Encoding says: %v", err)
		}
		in = zip
	default:
		return nil, refuse(nethttp.StatusUnsupportedMediaType, "Content-Encoding %s is not taken; gzip is", enc)
	}
	body, err := readAll(io.LimitReader(in, int64(limit)+1), r.ContentLength, room)
	var large *nethttp.MaxBytesError
	switch {
	case errors.Is(err, errFull):
		return nil, err
	case errors.As(err, &large), len(body) > limit:
		return nil, refuse(nethttp.StatusRequestEntityTooLarge, "the body is larger than %d bytes; send fewer events at once", limit)
	case err != nil && r.Context().Err() != nil:
		return nil, r.Context().Err()
	case err != nil:
		return nil, refuse(nethttp.StatusBadRequest, "reading the body: %v", err)
	}
	return body, nil
}

// The memory that a body is read into: as much as it says to have, but no more
// than maxAhead, or what has come, ahead of what has come. Who says much and
// sends little takes room from nobody.
const (
	minAhead = 512
	maxAhead = 256 << 10
)

// readAll reads to the end, and asks for room for the memory that it takes. size
// is how long what comes says to be; -1 for unknown.
func readAll(in io.Reader, size int64, room func(bytes int) error) ([]byte, error) {
	var body []byte
	for {
		if len(body) == cap(body) {
			more := max(len(body), minAhead)
			if left := size - int64(len(body)); left >= 0 {
				more = int(min(left+1, int64(max(len(body), maxAhead)))) // one to see the end in
			}
			if err := room(more); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, len(body)+more), body...)
		}
		n, err := in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return body, err
		}
	}
}

// parse finds the events in a body. CloudEvents are told by their headers, lines
// by their type, and CBOR by its type or its first byte; all other bodies are JSON
// values one after the other, whatever their type says, since tools such as curl
// give a type that nobody chose.
func parse(h nethttp.Header, body []byte) ([]posted, error) {
	if h.Get("Ce-Specversion") != "" {
		return binaryCloudEvent(h, body)
	}
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	switch media {
	case "application/cloudevents+json", "application/cloudevents-batch+json":
		return cloudEvents(body)
	case "application/jsonl", "application/x-ndjson", "application/ndjson", "application/jsonlines":
		return lines(body)
	case "application/cbor", "application/cbor-seq":
		return maps(body)
	}
	if decode.IsCBOR(body) {
		return maps(body)
	}
	return values(body, func(string, []byte) (string, error) { return "", nil })
}

// checker checks payloads as the engine will read them.
type checker struct {
	decoder decode.Decoder
	event   event.Event
}

func newChecker(format string) *checker {
	d, err := decode.New(format, event.NewSchema("", []event.Field{}))
	if err != nil {
		panic(fmt.Sprintf("decoder of %s: %v", format, err))
	}
	return &checker{decoder: d}
}

// check says what is wrong with a payload, which where names.
func (c *checker) check(where string, payload []byte) error {
	if _, err := c.decoder.Decode(payload, &c.event); err != nil {
		return refuse(nethttp.StatusBadRequest, "%s: %v", where, err)
	}
	return nil
}

// lines takes an event from each line that is not empty.
func lines(body []byte) ([]posted, error) {
	events := make([]posted, 0, bytes.Count(body, []byte{'\n'})+1)
	c, n := newChecker("json"), 0
	for line := range bytes.Lines(body) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := c.check(fmt.Sprintf("line %d", n), line); err != nil {
			return nil, err
		}
		events = append(events, posted{payload: line})
	}
	return events, nil
}

// maps takes an event from each map of CBOR.
func maps(body []byte) ([]posted, error) {
	var events []posted
	c := newChecker("cbor")
	for len(body) > 0 {
		where := fmt.Sprintf("event %d", len(events)+1)
		payload, rest, err := decode.CutCBOR(body)
		if err != nil {
			return nil, refuse(nethttp.StatusBadRequest, "%s: %v", where, err)
		}
		if err := c.check(where, payload); err != nil {
			return nil, err
		}
		events = append(events, posted{payload: payload})
		body = rest
	}
	return events, nil
}

// values takes an event from each JSON object, whether they follow each other
// or stand in an array. identify finds the name that a sender gave one.
func values(body []byte, identify func(where string, payload []byte) (string, error)) ([]posted, error) {
	var events []posted
	c := newChecker("json")
	add := func(payload []byte) error {
		where := fmt.Sprintf("event %d", len(events)+1)
		if err := c.check(where, payload); err != nil {
			return err
		}
		id, err := identify(where, payload)
		events = append(events, posted{payload, id})
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		var value json.RawMessage
		if err := d.Decode(&value); errors.Is(err, io.EOF) {
			return events, nil
		} else if err != nil {
			rest := bytes.TrimLeft(body[d.InputOffset():], " \t\r\n") // begins with what is wrong
			line := 1 + bytes.Count(body[:len(body)-len(rest)], []byte{'\n'})
			return nil, refuse(nethttp.StatusBadRequest, "event %d, on line %d: no JSON: %v", len(events)+1, line, err)
		}
		if value[0] != '[' {
			if err := add(value); err != nil {
				return nil, err
			}
			continue
		}
		var list []json.RawMessage
		if err := json.Unmarshal(value, &list); err != nil {
			return nil, refuse(nethttp.StatusBadRequest, "event %d: no JSON: %v", len(events)+1, err)
		}
		for _, v := range list {
			if err := add(v); err != nil {
				return nil, err
			}
		}
	}
}

// cloudEvents takes CloudEvents in structured mode, one or a batch. The event
// is the whole object: its data are in e.data.
func cloudEvents(body []byte) ([]posted, error) {
	return values(body, func(where string, payload []byte) (string, error) {
		var ce struct{ ID, Source, Type, Specversion string }
		if err := json.Unmarshal(payload, &ce); err != nil {
			return "", refuse(nethttp.StatusBadRequest, "%s is no CloudEvent: %v", where, err)
		}
		for _, a := range []struct{ name, value string }{
			{"specversion", ce.Specversion}, {"id", ce.ID}, {"source", ce.Source}, {"type", ce.Type},
		} {
			if a.value == "" {
				return "", refuse(nethttp.StatusBadRequest, "%s is no CloudEvent: it has no %s", where, a.name)
			}
		}
		return cloudID(where, ce.Source, ce.ID)
	})
}

// cloudID returns the name of a CloudEvent: source and id together are unique.
func cloudID(where, source, id string) (string, error) {
	if len(source)+len(id) > 4*maxIDBytes {
		return "", refuse(nethttp.StatusBadRequest, "%s: source and id have more than %d bytes", where, 4*maxIDBytes)
	}
	return source + " " + id, nil
}

// binaryCloudEvent takes a CloudEvent in binary mode and gives it the form of
// structured mode, so that rules read both alike.
func binaryCloudEvent(h nethttp.Header, body []byte) ([]posted, error) {
	ce := map[string]any{}
	for name, values := range h {
		if attr, ok := strings.CutPrefix(strings.ToLower(name), "ce-"); ok {
			value, err := url.PathUnescape(values[0])
			if err != nil {
				return nil, refuse(nethttp.StatusBadRequest, "header %s: %v", name, err)
			}
			ce[attr] = value
		}
	}
	for _, name := range []string{"id", "source", "type"} {
		if v, _ := ce[name].(string); v == "" {
			return nil, refuse(nethttp.StatusBadRequest, "no CloudEvent: it has no header ce-%s", name)
		}
	}
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if media != "" {
		ce["datacontenttype"] = media
	}
	switch {
	case len(body) == 0:
	case slices.Contains([]string{"", "application/json"}, media) || strings.HasSuffix(media, "+json"):
		if !json.Valid(body) {
			return nil, refuse(nethttp.StatusBadRequest, "the data are no JSON, as their type says")
		}
		ce["data"] = json.RawMessage(body)
	case strings.HasPrefix(media, "text/"):
		ce["data"] = string(body)
	default:
		ce["data_base64"] = base64.StdEncoding.EncodeToString(body)
	}
	payload, err := json.Marshal(ce) // sorts the names
	if err != nil {
		return nil, refuse(nethttp.StatusBadRequest, "no CloudEvent: %v", err)
	}
	if err := newChecker("json").check("the CloudEvent", payload); err != nil {
		return nil, err
	}
	id, err := cloudID("the CloudEvent", ce["source"].(string), ce["id"].(string))
	return []posted{{payload, id}}, err
}
