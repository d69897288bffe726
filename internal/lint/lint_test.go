package lint

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/cepd/cepd"

// goFile is one parsed file of the module.
type goFile struct {
	pkg  string // path of its package within the module
	name string // path of the file within the module
	test bool
	ast  *ast.File
	fset *token.FileSet
	src  []byte
}

func (f goFile) imports(t *testing.T) []string {
	var out []string
	for _, s := range f.ast.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			t.Fatalf("%s: import %s: %v", f.name, s.Path.Value, err)
		}
		out = append(out, p)
	}
	return out
}

func (f goFile) at(p token.Pos) string { return f.fset.Position(p).String() }

// load parses every Go file of the module but those under testdata. A folder
// with a go.mod is another module.
func load(t *testing.T) []goFile {
	t.Helper()
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	var files []goFile
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == "." {
				return nil
			}
			base := d.Name()
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil || base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(fset, rel, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, goFile{path.Dir(rel), rel, strings.HasSuffix(rel, "_test.go"), parsed, fset, src})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestLayers keeps the arrows between packages, and those to other modules.
func TestLayers(t *testing.T) {
	seen := map[string]bool{} // packages, and modules that one of them imports
	for _, f := range load(t) {
		seen[f.pkg] = true
		allowed, listed := imports[f.pkg]
		if !listed {
			t.Errorf("%s: package %s is not in the table of layers; say there what it may import", f.name, f.pkg)
			continue
		}
		if f.test {
			continue
		}
		for _, p := range f.imports(t) {
			if own, ok := strings.CutPrefix(p, module+"/"); ok {
				if !slices.Contains(strings.Fields(allowed), own) {
					t.Errorf("%s: package %s may not import %s", f.name, f.pkg, own)
				}
			} else if strings.Contains(strings.Split(p, "/")[0], ".") {
				seen[checkForeign(t, f, p)] = true
			}
		}
	}
	for pkg := range imports {
		if !seen[pkg] {
			t.Errorf("the table of layers lists %s, which does not exist", pkg)
		}
	}
	for mod := range foreign {
		if !seen[mod] {
			t.Errorf("the table of foreign modules lists %s, which no package imports", mod)
		}
	}
}

// checkForeign checks an import from elsewhere and returns its module.
func checkForeign(t *testing.T, f goFile, imported string) string {
	for mod, users := range foreign {
		if imported == mod || strings.HasPrefix(imported, mod+"/") {
			if !slices.Contains(strings.Fields(users), f.pkg) {
				t.Errorf("%s: %s is for %s alone", f.name, imported, users)
			}
			return mod
		}
	}
	t.Errorf("%s: %s is not in the table of foreign modules; say there who may use it", f.name, imported)
	return imported
}

// TestTableHasNoCycle makes sure that the table itself points down only.
func TestTableHasNoCycle(t *testing.T) {
	const onPath, done = 1, 2
	state := map[string]int{}
	var visit func(pkg string, trail []string)
	visit = func(pkg string, trail []string) {
		switch state[pkg] {
		case onPath:
			t.Errorf("cycle: %s", strings.Join(append(trail, pkg), " -> "))
			return
		case done:
			return
		}
		state[pkg] = onPath
		for _, next := range strings.Fields(imports[pkg]) {
			if _, ok := imports[next]; !ok {
				t.Errorf("%s may import %s, which is not in the table", pkg, next)
			}
			visit(next, append(trail, pkg))
		}
		state[pkg] = done
	}
	for pkg := range imports {
		visit(pkg, nil)
	}
}

// TestCoreIsPure keeps clocks, goroutines, locks, files and chance out of the
// packages that decide.
func TestCoreIsPure(t *testing.T) {
	for _, f := range load(t) {
		if f.test || !slices.Contains(core, f.pkg) {
			continue
		}
		for _, p := range f.imports(t) {
			if p != "net/netip" && p != exempt[f.name] && slices.ContainsFunc(banned, func(b string) bool { return p == b || strings.HasSuffix(b, "/") && strings.HasPrefix(p, b) }) {
				t.Errorf("%s: the core may not import %s", f.name, p)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: the core starts no goroutine", f.at(n.Pos()))
			case *ast.SelectStmt, *ast.ChanType:
				t.Errorf("%s: the core has no channel", f.at(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && slices.Contains(bannedCalls[x.Name], n.Sel.Name) {
					t.Errorf("%s: the core does not use %s.%s", f.at(n.Pos()), x.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestDocs wants a doc.go with a package comment in every package, or, in a
// package that tests share, the comment.
func TestDocs(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range load(t) {
		if !f.test {
			documented[f.pkg] = documented[f.pkg] || f.ast.Doc != nil && (path.Base(f.name) == "doc.go" || strings.Contains(f.pkg, "/internal/"))
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no doc.go with a comment", pkg)
		}
	}
}

// TestFiles bounds the size of a file and finds words of unfinished work.
func TestFiles(t *testing.T) {
	unfinished := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b|\bfor ` + `now\b`)
	for _, f := range load(t) {
		if n := bytes.Count(f.src, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d: it has two subjects", f.name, n, maxLines)
		}
		for i, line := range strings.Split(string(f.src), "\n") {
			if w := unfinished.FindString(line); w != "" {
				t.Errorf("%s:%d: says %q; finish it or leave it out", f.name, i+1, w)
			}
		}
	}
}
