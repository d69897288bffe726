package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cepd/cepd/rules"
)

// LoadRules reads and compiles the rule files of c, and checks the sources and
// sinks that they name. Mistakes in them are in the report, and leave no set;
// the error is about files that cannot be read.
func (c *Config) LoadRules() (*rules.Set, *rules.Report, error) {
	_, set, report, err := c.LoadBundle()
	return set, report, err
}

// Check reads a cepd.yaml and the rules that it names, and reports the mistakes of
// both: those of cepd.yaml first. Where it has some, sources and sinks that rules
// name are only looked for if none of them is wrong. There is a set if there are
// no mistakes; the error is about files that cannot be read.
func Check(file string, src []byte, getenv func(string) (string, bool)) (*Config, *rules.Set, *rules.Report, error) {
	c, r := parse(file, src, getenv)
	if len(r.issues) == 0 {
		set, report, err := c.LoadRules()
		return c, set, report, err
	}
	report := &rules.Report{Issues: r.issues, Errors: len(r.issues)}
	if len(c.Rules) == 0 || r.breaks("rules") {
		return c, nil, report, nil
	}
	_, _, more, err := c.loadBundle(!r.breaks("sources") && !r.breaks("sinks"))
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			report.Issues = append(report.Issues, rules.Issue{Severity: rules.Error, Message: line})
			report.Errors++
		}
		return c, nil, report, nil
	}
	report.Issues = append(report.Issues, more.Issues...)
	report.Errors, report.Warnings, report.Omitted = report.Errors+more.Errors, more.Warnings, more.Omitted
	return c, nil, report, nil
}

// missingRules reports the names and patterns that no file matches, at their
// places in cepd.yaml.
func (c *Config) missingRules() *rules.Report {
	report := &rules.Report{}
	for i, place := range c.rulePlaces[:min(len(c.rulePlaces), len(c.Rules))] {
		if _, err := RuleFiles(c.Rules[i : i+1]); err != nil {
			place.Message = err.Error()
			report.Issues = append(report.Issues, place)
			report.Errors++
		}
	}
	return report
}

// ReadRules reads the rule files that names and patterns stand for, sorted by
// name, each once. A name or pattern that no file matches is an error, so that
// a misspelt one is not a daemon without rules.
func ReadRules(patterns []string) ([]rules.File, error) {
	names, err := RuleFiles(patterns)
	if err != nil {
		return nil, err
	}
	var files []rules.File
	var errs []error
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading rules: %w", err))
			continue
		}
		files = append(files, rules.File{Name: name, Data: data})
	}
	return files, errors.Join(errs...)
}

// ReadTable reads the file of a table for [rules.Options]: its name is relative
// to the folder of the rule file.
func ReadTable(ruleFile, name string) (rules.File, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(ruleFile), name)
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no file %s", name)
	}
	return rules.File{Name: name, Data: data}, err
}

// RuleFiles returns the names of the files that [ReadRules] reads.
func RuleFiles(patterns []string) ([]string, error) {
	var names []string
	var errs []error
	for _, p := range patterns {
		if info, err := os.Stat(p); err == nil { // also a name that would be a pattern
			if info.IsDir() {
				errs = append(errs, fmt.Errorf("rules: %s is a directory; name its files, such as %s", p, filepath.Join(p, "*.yaml")))
				continue
			}
			names = append(names, p)
			continue
		}
		found, err := filepath.Glob(p)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("rules: %q is no pattern: %w", p, err))
		case len(found) == 0:
			errs = append(errs, fmt.Errorf("rules: there is no file %s", p))
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	return slices.Compact(names), errors.Join(errs...)
}
