package decode

import "github.com/cepd/cepd/event"

type jsonDecoder struct{}

func newJSON(schema *event.Schema, captured []string) *jsonDecoder { return &jsonDecoder{} }

func (d *jsonDecoder) Decode(payload []byte, e *event.Event) (int, error) { return 0, nil }

type valueDecoder struct{ jsonDecoder }

func newValue(schema *event.Schema, captured []string) *valueDecoder { return &valueDecoder{} }
