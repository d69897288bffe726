package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/cepd/cepd/alerting/notify/format"
	"github.com/cepd/cepd/event"
	js "github.com/cepd/cepd/internal/jsonschema"
	"github.com/cepd/cepd/rules"
)

// reader walks the YAML of one file, fills the values that a table of keys
// points to, and collects mistakes with their places.
type reader struct {
	getenv func(string) (string, bool)
	issues []rules.Issue
	places map[string]*token.Token // of each key that was there, by its path such as sources.plant.url

	templates map[string]ast.Node // texts with expressions in them, by the path of their key

	path   string          // of the key that is being read
	broken map[string]bool // paths of the settings that a mistake is about
}

// set reads the value of one key, and says what may stand there.
type set struct {
	read func(r *reader, n ast.Node, path string)
	is   shape
}

// fields says for each key of an object what reads its value.
type fields map[string]set

func newReader(getenv func(string) (string, bool)) *reader {
	return &reader{getenv: getenv, places: map[string]*token.Token{}, templates: map[string]ast.Node{}, broken: map[string]bool{}}
}

// add reports a mistake in what is being read.
func (r *reader) add(t *token.Token, format string, args ...any) {
	r.issues = append(r.issues, issue(t, fmt.Sprintf(format, args...)))
	r.broken[r.path] = true
}

// breaks reports whether there is a mistake in a setting, in a part of it, or in
// what it is a part of.
func (r *reader) breaks(path string) bool {
	for b := range r.broken {
		if b == "" || b == path || strings.HasPrefix(b, path+".") || strings.HasPrefix(path, b+".") {
			return true
		}
	}
	return false
}

// follows reports whether a problem may be there only because of a mistake that is
// reported already: what could not be read counts as left out.
func (r *reader) follows(p Problem) bool {
	if p.about != "" {
		return r.breaks(p.about)
	}
	for b := range r.broken {
		part, below := strings.CutPrefix(b, p.Path+".")
		switch key := part[strings.LastIndexByte(part, '.')+1:]; {
		case b == "" || b == p.Path || strings.HasPrefix(p.Path, b+"."):
			return true
		case below && (key == "type" || key == "format" || strings.Contains(p.Message, key)):
			return true
		}
	}
	return false
}

// parse returns the file's only document, nil if there is none or it cannot be
// read.
func (r *reader) parse(src []byte) ast.Node {
	f, err := parser.ParseBytes(src, 0)
	if err != nil {
		var ye yaml.Error
		if errors.As(err, &ye) {
			r.add(ye.GetToken(), "%s", ye.GetMessage())
		} else {
			r.add(nil, "%v", err)
		}
		return nil
	}
	docs := slices.DeleteFunc(f.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(docs) > 1 {
		r.issues = append(r.issues, issue(docs[1].GetToken(), "a second YAML document; cepd.yaml is one"))
	}
	if len(docs) == 0 {
		return nil
	}
	return docs[0].Body
}

// object reads a mapping whose keys are known.
func (r *reader) object(n ast.Node, path string, known fields) {
	r.entries(n, path, func(key string, kt *token.Token, v ast.Node) {
		f, ok := known[key]
		if !ok {
			r.add(kt, "unknown key %q%s%s", key, in(path), suggest(key, known))
			if near := nearest(key, slices.Sorted(maps.Keys(known))); near != "" {
				r.broken[join(path, near)] = true
			}
			return
		}
		f.read(r, v, join(path, key))
	})
}

// entries calls f for each entry of a mapping, once for each key.
func (r *reader) entries(n ast.Node, path string, f func(key string, kt *token.Token, v ast.Node)) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	case nil, *ast.NullNode:
		return
	default:
		r.add(n.GetToken(), "%s is %s; it takes keys and values", orFile(path), kindOf(n))
		return
	}
	seen := map[string]bool{}
	around := r.path
	defer func() { r.path = around }()
	for _, v := range values {
		kt := v.Key.GetToken()
		key, ok := scalar(v.Key)
		r.path = join(path, key)
		if !ok {
			r.add(kt, "a key must be a plain name")
			continue
		}
		if seen[key] {
			r.add(kt, "%q stands here twice", key)
			continue
		}
		seen[key] = true
		r.places[join(path, key)] = kt
		f(key, kt, v.Value)
	}
}

// scalar returns the text of a scalar as it was written.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// value returns the text of a scalar with its variables expanded, and false if
// there is none; what is wrong is reported.
func (r *reader) value(n ast.Node, path string) (string, bool) {
	if n == nil || n.Type() == ast.NullType {
		r.add(r.places[path], "%s has no value", path)
		return "", false
	}
	s, ok := scalar(n)
	if !ok {
		r.add(n.GetToken(), "%s is %s; it takes a single value", path, kindOf(n))
		return "", false
	}
	s, err := expand(s, r.getenv)
	if err != nil {
		r.add(n.GetToken(), "%s: %v", path, err)
		return "", false
	}
	return s, true
}

// text reads a text.
func text(to *string) set {
	return set{func(r *reader, n ast.Node, path string) {
		if s, ok := r.value(n, path); ok {
			*to = s
		}
	}, scalarShape}
}

// template reads a text in which ${...} is an expression, and no variable of the
// environment.
func template(to *string) set {
	return set{func(r *reader, n ast.Node, path string) {
		s, ok := scalar(n)
		if !ok || strings.TrimSpace(s) == "" {
			r.add(r.places[path], "%s is no text; write it on the lines below %s: |", path, path[strings.LastIndexByte(path, '.')+1:])
			return
		}
		*to, r.templates[path] = s, n
	}, plainShape(js.Text())}
}

// choice reads one of a few words.
func choice(to *string, words ...string) set {
	return set{func(r *reader, n ast.Node, path string) {
		s, ok := r.value(n, path)
		switch {
		case !ok:
		case !slices.Contains(words, s):
			advice := ""
			switch near := nearest(s, words); {
			case near != "":
				advice = "; did you mean `" + near + "`?"
			case slices.Equal(words, sinkTypes) && slices.Contains(format.Names(), s):
				advice = "; write type: webhook, and format: " + s
			}
			r.add(n.GetToken(), "%s: %q is none of %s%s", path, s, strings.Join(words, ", "), advice)
		default:
			*to = s
		}
	}, wordShape(words...)}
}

// boolean reads true or false.
func boolean(to *bool) set {
	return set{func(r *reader, n ast.Node, path string) {
		s, ok := r.value(n, path)
		switch {
		case !ok:
		case s != "true" && s != "false":
			r.add(n.GetToken(), "%s: %q is neither true nor false", path, s)
		default:
			*to = s == "true"
		}
	}, plainShape(js.Boolean())}
}

// integer reads a whole number from min to max.
func integer[T ~int | ~byte](to *T, min, max int) set {
	return set{func(r *reader, n ast.Node, path string) {
		s, ok := r.value(n, path)
		if !ok {
			return
		}
		i, err := strconv.Atoi(s)
		if err != nil || i < min || i > max {
			r.add(n.GetToken(), "%s: %q is no whole number from %d to %d", path, s, min, max)
			return
		}
		*to = T(i)
	}, plainShape(js.Integer(min, max))}
}

// duration reads a length of time above zero.
func duration(to *time.Duration) set {
	return set{func(r *reader, n ast.Node, path string) {
		s, ok := r.value(n, path)
		if !ok {
			return
		}
		d, err := event.ParseDuration(s)
		if err != nil || d <= 0 {
			advice := ""
			if _, err := strconv.ParseUint(s, 10, 32); err == nil && s != "0" {
				advice = "; write the unit: " + s + "s or " + s + "m"
			}
			r.add(n.GetToken(), "%s: %q is no duration like 15s, 1m30s or 2h%s", path, s, advice)
			return
		}
		*to = d
	}, plainShape(js.Matching(durationPattern))}
}

// address reads a URL. Mistakes do not show it, since it may hold a password.
func address(to *string, schemes ...string) set {
	return set{func(r *reader, n ast.Node, path string) {
		s, ok := r.value(n, path)
		if !ok {
			return
		}
		u, err := url.Parse(s)
		if err != nil || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" {
			advice := ""
			if better := otherSchemes[strings.ToLower(beforeColon(s))]; slices.Contains(schemes, better) {
				advice = "; write " + better + ":// in place of " + beforeColon(s) + "://"
			}
			r.add(n.GetToken(), "%s is no URL that starts with %s://%s", path, strings.Join(schemes, ":// or "), advice)
			return
		}
		*to = s
	}, plainShape(js.Matching("^(" + strings.Join(schemes, "|") + ")://."))}
}

// otherSchemes are the names that other programs have for schemes of ours.
var otherSchemes = map[string]string{
	"tcp": "mqtt", "mqtt+tcp": "mqtt", "ssl": "mqtts", "tls": "mqtts", "mqtt+ssl": "mqtts", "mqtt+tls": "mqtts",
}

func beforeColon(s string) string {
	scheme, _, _ := strings.Cut(s, "://")
	return scheme
}

// texts reads a list of texts, or a single one.
func texts(to *[]string) set {
	return set{func(r *reader, n ast.Node, path string) {
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			if s, ok := r.value(n, path); ok {
				*to = []string{s}
			}
			return
		}
		for _, v := range seq.Values {
			if s, ok := r.value(v, path); ok {
				*to = append(*to, s)
			}
		}
	}, listShape}
}

// table reads a mapping from any names to texts.
func table(to *map[string]string) set {
	return set{func(r *reader, n ast.Node, path string) {
		*to = map[string]string{}
		r.entries(n, path, func(key string, _ *token.Token, v ast.Node) {
			if s, ok := r.value(v, join(path, key)); ok {
				(*to)[key] = s
			}
		})
	}, tableShape}
}

// object reads an object of its own.
func object(known fields) set {
	return set{func(r *reader, n ast.Node, path string) { r.object(n, path, known) }, known.schema}
}

// negated reads the opposite of true or false.
func negated(to *bool) set {
	value := !*to
	b := boolean(&value)
	return set{func(r *reader, n ast.Node, path string) {
		b.read(r, n, path)
		*to = !value
	}, b.is}
}

// kindOf says what a node is, for messages.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.TagNode:
		return "a YAML tag"
	case *ast.AliasNode, *ast.AnchorNode:
		return "a YAML anchor or alias"
	}
	return "a single value"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func in(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

func orFile(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}
