package rules

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/cepd/cepd/event"
)

// TestSchemaFile compares the schema that is checked in with what the code says.
func TestSchemaFile(t *testing.T) { golden(t, "../schema/rules.schema.json", string(Schema())) }

// TestSchemaKeys holds the schema to the keys that the parser knows, and to
// saying something about each.
func TestSchemaKeys(t *testing.T) {
	described := properties()
	all := slices.Concat(places, testPlaces)
	refs := map[string]bool{}
	for _, p := range all {
		if refs[p.ref()] {
			t.Errorf("two mappings are called %s", p.ref())
		}
		refs[p.ref()] = true
		var keys []string
		for _, k := range described[p] {
			if slices.Contains(keys, k.key) {
				t.Errorf("%s: `%s` is described twice", p.name, k.key)
			}
			keys = append(keys, k.key)
			if !strings.HasSuffix(k.text, ".") && !strings.HasSuffix(k.text, ",") {
				t.Errorf("%s: `%s` is described by %q, which is no sentence", p.name, k.key, k.text)
			}
		}
		for _, k := range p.keys {
			if !slices.Contains(keys, k) {
				t.Errorf("%s: `%s` is not in the schema", p.name, k)
			}
		}
		for _, k := range slices.Concat(keys, required[p]) {
			if !slices.Contains(p.keys, k) {
				t.Errorf("%s: `%s` is in the schema, and the parser does not know it", p.name, k)
			}
		}
		delete(described, p)
	}
	for p := range described {
		t.Errorf("%s is described, and is not in the list of mappings", p.name)
	}
}

// schema compiles the schema.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("rules.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("rules.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fitsSchema validates a rule file as an editor does. It is nil also where the file is
// no YAML, of which the schema says nothing.
func fitsSchema(s *jsonschema.Schema, text []byte) (isYAML bool, err error) {
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return false, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return false, nil
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return false, nil
	}
	return true, s.Validate(instance)
}

// TestSchemaAccepts validates every example, every file of the manual, and the
// rules of `cepd try`.
func TestSchemaAccepts(t *testing.T) {
	s := schema(t)
	files := 0
	for _, pattern := range []string{"../examples/rules/*.yaml", "../trydemo/files/*.yaml", "../docs/examples/failing-test.yaml", "testdata/contract/*.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if filepath.Base(name) == "cepd.yaml" {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fitsSchema(s, text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			files++
		}
	}
	manual, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range block.FindAllStringSubmatch(string(manual), -1) {
		text := b[2]
		switch b[1] {
		case "yaml":
		case "yaml rule":
			text = fragment(text)
		default:
			continue
		}
		if _, err := fitsSchema(s, []byte(text)); err != nil {
			t.Errorf("docs/rules.md: %v\n%s", err, text)
		}
		files++
	}
	if files < 30 {
		t.Errorf("only %d files", files)
	}
}

// structural finds mistakes that need no understanding of expressions.
var structural = regexp.MustCompile("has no key `|takes `key: value` lines|is a list, and this is|is one of [a-z]|must be a duration|must be a whole number|" +
	"must be between|the rule has no name|is not a duration|a `let` cannot be called|belongs to a rule with `(pattern|window)`|`window` does not say of which kind")

// beyond are files with such mistakes that the schema cannot see: it asks what
// stands where, and not what it means.
var beyond = []string{
	"table-absent.yaml", // the names of tables
	"window-and-pattern.yaml",
}

// TestSchemaRefuses validates files with mistakes of structure.
func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	names, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		said, err := os.ReadFile(strings.TrimSuffix(name, ".yaml") + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		isYAML, err := fitsSchema(s, text)
		if err != nil {
			refused++
		}
		if m := structural.FindString(string(said)); m != "" && isYAML && err == nil && !slices.Contains(beyond, filepath.Base(name)) {
			t.Errorf("%s fits the schema, and the parser says: %s", name, said)
		}
	}
	t.Logf("the schema refuses %d of %d files", refused, len(names))
	if refused < 30 {
		t.Errorf("the schema refuses %d files only", refused)
	}
}

// TestSchemaDurations holds the pattern of durations to what is read.
func TestSchemaDurations(t *testing.T) {
	pattern := regexp.MustCompile(durationPattern)
	for _, text := range []string{"500ms", "5m", "1h30m", "7d", "1.5s", "0", "2w", "1us", "3ns", "", "5", "m", "5 m", "5min", "-5m", "1h 30m", "abc"} {
		d, err := event.ParseDuration(strings.TrimSpace(text))
		if want := err == nil && d >= 0; pattern.MatchString(text) != want {
			t.Errorf("%q: the schema takes it is %t, want %t", text, !want, want)
		}
	}
}

// TestModelines wants the schema named in the first line of every example, where
// editors look for it.
func TestModelines(t *testing.T) {
	names := []string{"../trydemo/files/freezers.yaml"}
	for _, dir := range []string{"../examples/rules", "../docs/examples"} {
		files, err := filepath.Glob(dir + "/*.yaml")
		if err != nil || len(files) == 0 {
			t.Fatal("no examples in", dir, err)
		}
		names = append(names, files...)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		at, ok := strings.CutPrefix(first, "# yaml-language-server: $schema=")
		if !ok || at != SchemaID && filepath.Join(filepath.Dir(name), at) != filepath.Clean("../schema/rules.schema.json") {
			t.Errorf("%s begins with %q", name, first)
		}
	}
}
