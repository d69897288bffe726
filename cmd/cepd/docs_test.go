package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// console finds the blocks of the manual that show commands and their output.
var console = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")

// TestDocs runs every command that the manual shows, in the root of the
// project, and wants what it shows: what the command writes to the standard
// output. A line "..." stands for any lines.
func TestDocs(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	names, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, name := range append(names, "README.md", "examples/README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range console.FindAllStringSubmatch(string(text), -1) {
			for _, part := range strings.Split("\n"+block[1], "\n$ ")[1:] {
				line, want, _ := strings.Cut(part, "\n")
				commands++
				checkShown(t, name, line, strings.TrimSuffix(want, "\n"))
			}
		}
	}
	if commands < 3 {
		t.Errorf("the manual shows %d commands", commands)
	}
}

func checkShown(t *testing.T, name, line, want string) {
	t.Helper()
	args := strings.Fields(line)
	if args[0] != "cepd" {
		t.Errorf("%s: %q is no command of cepd", name, line)
		return
	}
	var out, errOut bytes.Buffer
	run(args[1:], strings.NewReader(""), &out, &errOut)
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), `\.\.\.`, `.*`)
	got := strings.TrimSuffix(out.String(), "\n")
	if !regexp.MustCompile(`(?s)^` + pattern + `$`).MatchString(got) {
		t.Errorf("%s: %s prints\n%s%s\nand the manual shows\n%s", name, line, out.String(), errOut.String(), want)
	}
}
