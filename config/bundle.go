package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cepd/cepd/rules"
)

// Bundle is everything that a rule set is compiled from: rule files, the files
// of their tables, and what of cepd.yaml they refer to. It compiles to the same
// set whatever has become of the files since.
type Bundle struct {
	Files  []rules.File
	Tables []TableFile
	// Sources, Topicless, Sinks and AlertsOnly are as in [rules.Options].
	Sources, Topicless, Sinks, AlertsOnly []string
	Own                                   *rules.Own // see [rules.Set]
}

// TableFile is the file of a table, and how a rule file calls it.
type TableFile struct {
	RuleFile, Name string
	File           rules.File
}

// LoadBundle reads and compiles the rule files of c, as LoadRules does, and
// returns what they were compiled from.
func (c *Config) LoadBundle() (*Bundle, *rules.Set, *rules.Report, error) { return c.loadBundle(true) }

// loadBundle looks for the sources and sinks that rules name only if they are
// known.
func (c *Config) loadBundle(known bool) (*Bundle, *rules.Set, *rules.Report, error) {
	if report := c.missingRules(); !report.OK() {
		return nil, nil, report, nil
	}
	files, err := ReadRules(c.Rules)
	if err != nil {
		return nil, nil, nil, err
	}
	b := &Bundle{Files: files, Own: c.own()}
	holds := map[string]string{}
	for _, s := range c.Sources {
		b.Sources = append(b.Sources, s.Name)
		if s.Topicless() {
			b.Topicless = append(b.Topicless, s.Name)
		}
		if s.Type == "file" {
			holds[s.Name] = s.File.Holds()
		}
	}
	for _, s := range c.Sinks {
		b.Sinks = append(b.Sinks, s.Name)
		if s.AlertsOnly() {
			b.AlertsOnly = append(b.AlertsOnly, s.Name)
		}
	}
	set, report := b.compile(known, holds, func(ruleFile, name string) (rules.File, error) {
		if f, err := b.readTable(ruleFile, name); err == nil {
			return f, nil
		}
		f, err := ReadTable(ruleFile, name)
		if err == nil {
			b.Tables = append(b.Tables, TableFile{ruleFile, name, f})
		}
		return f, err
	})
	return b, set, report, nil
}

// Compile compiles what the bundle holds, and reads nothing else.
func (b *Bundle) Compile() (*rules.Set, *rules.Report) { return b.compile(true, nil, b.readTable) }

// compile looks whether formats of streams fit their sources only where it is told
// what files hold: what was in force once has passed.
func (b *Bundle) compile(known bool, holds map[string]string, readTable func(ruleFile, name string) (rules.File, error)) (*rules.Set, *rules.Report) {
	return rules.Load(b.Files, rules.Options{
		NeedSource: known, Sources: b.Sources, Topicless: b.Topicless, Sinks: b.Sinks, AlertsOnly: b.AlertsOnly, Files: holds, Own: b.Own, ReadTable: readTable,
	})
}

// readTable returns the file of a table that the bundle holds.
func (b *Bundle) readTable(ruleFile, name string) (rules.File, error) {
	for _, t := range b.Tables {
		if t.RuleFile == ruleFile && t.Name == name {
			return t.File, nil
		}
	}
	return rules.File{Name: name}, fmt.Errorf("the kept rules hold no file %s", name)
}

// bundleFormat is raised when the encoding of bundles changes.
const bundleFormat = 1

// bundleHead is the first line of an encoded bundle. The bytes of the files
// follow it, one after the other.
type bundleHead struct {
	Format    int         `json:"cepd_rules"`
	Files     []fileHead  `json:"files"`
	Tables    []tableHead `json:"tables,omitempty"`
	Sources   []string    `json:"sources,omitempty"`
	Topicless []string    `json:"topicless,omitempty"`
	Sinks     []string    `json:"sinks,omitempty"`
	Alerts    []string    `json:"alerts_only,omitempty"`
	Own       *rules.Own  `json:"own,omitempty"`
}

type fileHead struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

type tableHead struct {
	RuleFile string `json:"rule_file"`
	Called   string `json:"called"`
	fileHead
}

// Encode returns the bundle as bytes, and their hash, which names it.
func (b *Bundle) Encode() (data []byte, hash string) {
	head := bundleHead{Format: bundleFormat, Sources: b.Sources, Topicless: b.Topicless, Sinks: b.Sinks, Alerts: b.AlertsOnly, Own: b.Own}
	var body []byte
	for _, f := range b.Files {
		head.Files = append(head.Files, fileHead{f.Name, len(f.Data)})
		body = append(body, f.Data...)
	}
	for _, t := range b.Tables {
		head.Tables = append(head.Tables, tableHead{t.RuleFile, t.Name, fileHead{t.File.Name, len(t.File.Data)}})
		body = append(body, t.File.Data...)
	}
	line, err := json.Marshal(head)
	if err != nil {
		panic(fmt.Sprintf("config: encoding a bundle: %v", err)) // texts and numbers only
	}
	data = append(append(line, '\n'), body...)
	return data, BundleHash(data)
}

// BundleHash returns the hash that names an encoded bundle.
func BundleHash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// DecodeBundle reads what Encode has returned.
func DecodeBundle(data []byte) (*Bundle, error) {
	line, body, ok := bytes.Cut(data, []byte{'\n'})
	var head bundleHead
	if err := json.Unmarshal(line, &head); err != nil || !ok {
		return nil, errors.Join(errors.New("reading kept rules: no head"), err)
	}
	if head.Format != bundleFormat {
		return nil, fmt.Errorf("reading kept rules: their format is %d, and this cepd reads %d", head.Format, bundleFormat)
	}
	b := &Bundle{Sources: head.Sources, Topicless: head.Topicless, Sinks: head.Sinks, AlertsOnly: head.Alerts, Own: head.Own}
	file := func(h fileHead) rules.File {
		if h.Size < 0 || h.Size > len(body) {
			ok = false
			return rules.File{}
		}
		f := rules.File{Name: h.Name, Data: body[:h.Size:h.Size]}
		body = body[h.Size:]
		return f
	}
	for _, h := range head.Files {
		b.Files = append(b.Files, file(h))
	}
	for _, h := range head.Tables {
		b.Tables = append(b.Tables, TableFile{h.RuleFile, h.Called, file(h.fileHead)})
	}
	if !ok || len(body) > 0 {
		return nil, errors.New("reading kept rules: head and length do not agree")
	}
	return b, nil
}
