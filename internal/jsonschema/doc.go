// Package jsonschema writes schemas of draft-07 of JSON Schema, by which
// editors complete and check YAML.
//
// A [Schema] is what encoding/json makes of it. The functions make the few
// kinds of schemas that rule files and cepd.yaml need. All values are plain;
// nothing here is safe for changes by several goroutines.
package jsonschema
