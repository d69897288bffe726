package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "write the schema anew; review the difference")

// TestSchemaFile compares the schema that is checked in with what the code says.
func TestSchemaFile(t *testing.T) {
	const name = "../schema/cepd.schema.json"
	if *update {
		if err := os.WriteFile(name, Schema(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(Schema())); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestDescriptions holds the descriptions to the keys: each key has one, and
// there are no others.
func TestDescriptions(t *testing.T) {
	walk := func(f fields, path string) {
		for key := range f {
			at := join(path, key)
			if !strings.HasSuffix(descriptions[at], ".") {
				t.Errorf("%s is described by %q, which is no sentence", at, descriptions[at])
			}
		}
	}
	walk((&Config{}).fields(), "")
	walk((&State{}).fields(), "state")
	walk((&Outbox{}).fields(), "outbox")
	walk((&OwnAlerts{}).fields(), "own_alerts")
	for _, typ := range sourceTypes {
		walk((&Source{Type: typ}).fields(), "sources."+typ)
	}
	for _, typ := range sinkTypes {
		walk((&Sink{Type: typ}).fields(), "sinks."+typ)
	}
	if m := regexp.MustCompile(`.*\n.*\n.*"description": "",?\n.*`).Find(Schema()); m != nil {
		t.Errorf("a key is not described:\n%s", m)
	}
	for path, text := range descriptions {
		if quoted, _ := json.Marshal(text); !bytes.Contains(Schema(), quoted) {
			t.Errorf("%s is described, and there is no such key", path)
		}
	}
}

// validator returns what validates a cepd.yaml as an editor does. What is no YAML
// is valid: the schema says nothing of it.
func validator(t *testing.T) func(text string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("cepd.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("cepd.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil || v == nil {
			return nil
		}
		data, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return s.Validate(instance)
	}
}

// TestSchemaAccepts validates the file that has every key, and those of the
// manual.
func TestSchemaAccepts(t *testing.T) {
	valid := validator(t)
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(full)}
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	for _, name := range []string{"../docs/operations.md", "../docs/getting-started.md"} {
		manual, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range block.FindAllStringSubmatch(string(manual), -1) {
			if strings.HasPrefix(b[1], "rules: [") {
				texts = append(texts, b[1])
			}
		}
	}
	if len(texts) < 3 {
		t.Errorf("only %d files", len(texts))
	}
	for _, text := range texts {
		if err := valid(text); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

// TestSchemaRefuses validates files with mistakes of structure.
func TestSchemaRefuses(t *testing.T) {
	valid := validator(t)
	refused := 0
	datadriven.RunTest(t, "testdata/issues", func(t *testing.T, d *datadriven.TestData) string {
		said := d.Expected
		structural := regexp.MustCompile(`unknown key|" is none of|is neither true nor false|is no whole number|is no duration|is no size|has no type`).MatchString(said)
		switch err := valid(d.Input); {
		case err != nil:
			refused++
		case structural:
			t.Errorf("%s: it fits the schema, and the parser says:\n%s\n%s", d.Pos, said, d.Input)
		}
		return said
	})
	if refused < 8 {
		t.Errorf("the schema refuses %d files only", refused)
	}
}
