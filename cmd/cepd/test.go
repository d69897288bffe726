package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/scenario"
)

// testFlags are the flags of `cepd test`.
type testFlags struct {
	run, output, junit string
	verbose            bool
}

func testCommand(s streams) *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run the tests of rule files",
		Long: `Run the tests that rule files hold under 'tests', in virtual time, on the engine
of 'cepd run'. Each test gives events and lists every alert that must be raised
or cleared; anything else fails it. What differed is shown side by side, with
what the rule did with each event.

Files are read as one set: name the files of the streams too. A directory stands
for the .yaml and .yml files in it.

The exit code is 0 if all tests pass, 1 if one fails or a file has mistakes, and
2 for a wrong command line.`,
		Example: `  cepd test rules/*.yaml
  cepd test --run 'pump|door' -v rules/
  cepd test --junit report.xml rules/`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("test takes rule files that hold tests, such as rules/*.yaml, and got none")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if f.output != "text" && f.output != "json" {
				return usagef("--output is %q; it is text or json", f.output)
			}
			run, err := regexp.Compile(f.run)
			if err != nil {
				return usagef("--run: %w", err)
			}
			files, err := readTests(args)
			if err != nil {
				return err
			}
			return runTests(s, f, run, files)
		},
	}
	c.Flags().StringVar(&f.run, "run", "", "run only tests whose name matches this regular expression")
	c.Flags().StringVarP(&f.output, "output", "o", "text", "text or json")
	c.Flags().StringVar(&f.junit, "junit", "", "write a report in JUnit's XML to this file, too")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print every event, series in full, and every change")
	return c
}

// readTests reads rule files; a directory stands for those in it.
func readTests(args []string) ([]rules.File, error) {
	var patterns []string
	for _, a := range args {
		info, err := os.Stat(a)
		if err != nil || !info.IsDir() {
			patterns = append(patterns, a)
			continue
		}
		found, err := yamlFiles(a)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, found...)
	}
	return config.ReadRules(patterns)
}

// yamlFiles returns the rule files of a directory, sorted.
func yamlFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	var out []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("reading rules: there is no .yaml file in %s", dir)
	}
	return out, nil
}

func runTests(s streams, f testFlags, run *regexp.Regexp, files []rules.File) error {
	set, mistakes := rules.Load(files, rules.Options{ReadTable: config.ReadTable})
	if _, err := fmt.Fprint(s.err, mistakes); err != nil {
		return err
	}
	if !mistakes.OK() {
		return errSilent
	}
	out := bufio.NewWriter(s.out)
	each := func(r *scenario.TestResult) error { return r.WriteText(out, f.verbose) }
	if f.output == "json" {
		each = nil
	}
	report, err := scenario.RunTests(set, run.MatchString, each)
	if err != nil {
		return errors.Join(err, out.Flush())
	}
	report.Without = withoutTests(files, set.Tests)
	if f.output == "json" {
		err = report.WriteJSON(out)
	} else {
		err = writeTestSummary(out, report)
	}
	if err := errors.Join(err, out.Flush()); err != nil {
		return err
	}
	if f.junit != "" {
		if err := writeJUnit(f.junit, report); err != nil {
			return err
		}
	}
	if f.run != "" && len(report.Results) == 0 && len(set.Tests) > 0 {
		return fmt.Errorf("--run %q matches none of the %s", f.run, plural(len(set.Tests), "test"))
	}
	if _, failed := report.Counts(); failed > 0 {
		return errSilent
	}
	return nil
}

// withoutTests names the files that have no tests.
func withoutTests(files []rules.File, tests []*rules.Test) []string {
	var out []string
	for _, f := range files {
		if !slices.ContainsFunc(tests, func(t *rules.Test) bool { return t.File == f.Name }) {
			out = append(out, f.Name)
		}
	}
	return out
}

func writeTestSummary(out *bufio.Writer, report *scenario.TestReport) error {
	for _, name := range report.Without {
		fmt.Fprintf(out, "%s has no tests\n", name)
	}
	passed, failed := report.Counts()
	_, err := fmt.Fprintf(out, "%d passed, %d failed\n", passed, failed)
	return err
}

func writeJUnit(name string, report *scenario.TestReport) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	err = report.WriteJUnit(f)
	return errors.Join(err, f.Close())
}
