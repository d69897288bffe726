package jsonschema

import (
	"bytes"
	"encoding/json"
	"maps"
)

// Schema is a schema, keyword by keyword.
type Schema map[string]any

// Document returns a whole schema as indented JSON, whose keys are in order.
func Document(id, title string, root Schema, definitions map[string]Schema) []byte {
	doc := maps.Clone(root)
	doc["$schema"] = "http://json-schema.org/draft-07/schema#"
	doc["$id"], doc["title"] = id, title
	if len(definitions) > 0 {
		doc["definitions"] = definitions
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		panic("jsonschema: " + err.Error()) // it holds maps, lists, texts and numbers
	}
	return b.Bytes()
}

// Text is any text but the empty one.
func Text() Schema { return Schema{"type": "string", "minLength": 1} }

// Matching is a text that a regular expression finds something in.
func Matching(pattern string) Schema { return Schema{"type": "string", "pattern": pattern} }

// Enum is one of some words.
func Enum(words ...string) Schema { return Schema{"type": "string", "enum": words} }

// Boolean is true or false.
func Boolean() Schema { return Schema{"type": "boolean"} }

// Integer is a whole number between two bounds.
func Integer(least, most int) Schema {
	return Schema{"type": "integer", "minimum": least, "maximum": most}
}

// Number is a number that is not below a bound.
func Number(least float64) Schema { return Schema{"type": "number", "minimum": least} }

// Scalar is a text, a number, true or false.
func Scalar() Schema { return Schema{"type": []string{"string", "number", "boolean"}, "minLength": 1} }

// Any is anything.
func Any() Schema { return Schema{} }

// Null is nothing.
func Null() Schema { return Schema{"type": "null"} }

// List is a list.
func List(of Schema) Schema { return Schema{"type": "array", "items": of} }

// Listed is one of a kind, or a list of at least one.
func Listed(of Schema) Schema {
	list := List(of)
	list["minItems"] = 1
	return Either(of, list)
}

// Either is what one of some schemas allows.
func Either(of ...Schema) Schema { return Schema{"anyOf": of} }

// Map is a mapping from names that match a pattern; empty for any.
func Map(names string, to Schema) Schema {
	s := Schema{"type": "object", "additionalProperties": to}
	if names != "" {
		s["propertyNames"] = Schema{"pattern": names}
	}
	return s
}

// Ref is a definition of the document.
func Ref(name string) Schema { return Schema{"$ref": "#/definitions/" + name} }

// Object is a mapping of known keys. Those that are none of them must be as
// others says; nil for none.
func Object(properties map[string]Schema, required []string, others Schema) Schema {
	s := Schema{"type": "object", "properties": properties, "additionalProperties": others != nil}
	if len(others) > 0 { // else anything will do
		s["additionalProperties"] = others
	}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// Described returns a schema with a text that editors show.
func Described(s Schema, text string) Schema {
	if _, ref := s["$ref"]; ref { // draft-07 reads nothing beside a reference
		return Schema{"allOf": []Schema{s}, "description": text}
	}
	out := maps.Clone(s)
	out["description"] = text
	return out
}
