package expr

import (
	"fmt"
	"net/netip"
	"regexp"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"github.com/cepd/cepd/event"
)

// verify checks what types do not say: constants that functions take, where
// events may stand, and that the value is what is wanted.
func (c *compilation) verify() {
	ast.PreOrderVisit(c.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.CallKind:
			c.verifyCall(e)
		case ast.ListKind:
			c.verifyMixed(e, e.AsList().Elements())
		case ast.MapKind:
			for _, entry := range e.AsMap().Entries() {
				c.verifyMixed(e, []ast.Expr{entry.AsMapEntry().Value()})
			}
		}
	}))
	if len(c.issues) == 0 {
		c.verifyWant(c.ast.Expr(), c.typeOf(c.ast.Expr()))
	}
}

func (c *compilation) verifyCall(e ast.Expr) {
	call := e.AsCall()
	args := call.Args()
	switch name := call.FunctionName(); name {
	case "time", "stream", "topic":
		t := c.typeOf(args[0])
		if o := c.provider.object(t); o == nil || len(o.schemas) == 0 {
			advice := "as in " + name + "(e)"
			if t.Kind() == types.ListKind {
				advice = "as in " + name + "(hot.last())"
			}
			c.issueSpan(args[0], fmt.Sprintf("%s() takes an event, not %s", name, c.typeName(t)), advice)
		}
	case fnEq, fnNe:
		if !comparable(c.typeOf(args[0]), c.typeOf(args[1])) {
			c.noOverload(e, name)
		}
	case fnMember:
		t := c.typeOf(args[1])
		if k := t.Kind(); (k == types.ListKind || k == types.MapKind) && !comparable(c.typeOf(args[0]), t.Parameters()[0]) {
			c.noOverload(e, name)
		}
	case fnRow, fnMaybeRow, fnLookup:
		c.verifyRowKey(args[1])
	case fnHasRow:
		c.verifyRowKey(args[0])
	case "haversine":
		for _, a := range args {
			if t := c.typeOf(a); !isNumeric(t) && t != types.DynType {
				c.issueSpan(a, fmt.Sprintf("haversine() takes numbers, not %s", c.typeName(t)), "as in haversine(lat1, lon1, lat2, lon2), in degrees")
			}
		}
	case "dyn", "type", "string":
		c.verifyMixed(e, args)
	case fnDuration:
		c.verifyText(args[0], func(s string) error { _, err := event.ParseDuration(s); return err })
	case "timestamp":
		c.verifyText(args[0], func(s string) error { _, err := event.ParseTime(s); return err })
	case "cidr_in":
		c.verifyCIDRs(args[1])
	case "matches":
		c.verifyRegexp(e, args[len(args)-1])
	case "regex.extract", "regex.extractAll", "regex.replace":
		c.verifyRegexp(e, args[1])
	case fnAggregate + "_count", operators.Index, operators.OptIndex:
	default:
		if zoned[name] && len(args) == 1 {
			c.verifyZone(args[0])
		}
	}
}

// comparable reports whether values of two types can be equal.
func comparable(a, b *types.Type) bool {
	switch {
	case isNumeric(a) && isNumeric(b), a.Kind() == types.DynKind, b.Kind() == types.DynKind:
		return true
	case a.Kind() != b.Kind() || a.TypeName() != b.TypeName() || len(a.Parameters()) != len(b.Parameters()):
		return false
	case a.Kind() == types.TypeKind:
		return true
	}
	for i, p := range a.Parameters() {
		if !comparable(p, b.Parameters()[i]) {
			return false
		}
	}
	return true
}

// verifyMixed refuses events among values of other types: a dynamic value that
// is an event would have no known fields.
func (c *compilation) verifyMixed(parent ast.Expr, elems []ast.Expr) {
	if hasObject(c.typeOf(parent)) {
		return
	}
	for _, e := range elems {
		if t := c.typeOf(e); hasObject(t) && parent.Kind() != ast.ComprehensionKind {
			if o := c.provider.object(t); o != nil && o.table != nil {
				c.issueSpan(e, "a row is no value by itself", "take its cells, as in "+o.table.use())
			} else {
				c.issueSpan(e, "an event is no value by itself", "take its fields, as in e.temperature")
			}
		}
	}
}

// hasObject reports whether a value of the type is or holds an event or a key
// of several parts.
func hasObject(t *types.Type) bool {
	if t.Kind() == types.StructKind {
		return true
	}
	for _, p := range t.Parameters() {
		if hasObject(p) {
			return true
		}
	}
	return false
}

func isNumeric(t *types.Type) bool {
	return t.Kind() == types.IntKind || t.Kind() == types.UintKind || t.Kind() == types.DoubleKind
}

func (c *compilation) verifyText(e ast.Expr, parse func(string) error) {
	if !isStringLiteral(e) {
		return
	}
	if err := parse(string(e.AsLiteral().(types.String))); err != nil {
		c.issue(e, err.Error(), "")
	}
}

func (c *compilation) verifyCIDRs(e ast.Expr) {
	elems := []ast.Expr{e}
	if e.Kind() == ast.ListKind {
		elems = e.AsList().Elements()
	}
	for _, elem := range elems {
		c.verifyText(elem, func(s string) error {
			if _, err := netip.ParsePrefix(s); err != nil {
				return fmt.Errorf("%q is no network like 10.0.0.0/8 or 2001:db8::/32", s)
			}
			return nil
		})
	}
}

// verifyRegexp wants regular expressions to be constant, so that they are
// compiled once, and never while an event waits.
func (c *compilation) verifyRegexp(call, pattern ast.Expr) {
	if !isStringLiteral(pattern) {
		c.issue(call, "a regular expression must be a text in quotes", "contains() and startsWith() take any text")
		return
	}
	c.verifyText(pattern, func(s string) error {
		re, err := regexp.Compile(s)
		if err != nil {
			return fmt.Errorf("not a regular expression (RE2): %w", err)
		}
		if n, err := types.RegexProgramSize(re.String()); err != nil || n > maxRegexp {
			return fmt.Errorf("the regular expression is too large")
		}
		return nil
	})
}

// zoned are the functions of timestamps that take a time zone.
var zoned = map[string]bool{
	"getFullYear": true, "getMonth": true, "getDayOfYear": true, "getDayOfMonth": true, "getDate": true, "getDayOfWeek": true,
	"getHours": true, "getMinutes": true, "getSeconds": true, "getMilliseconds": true,
}

var zoneOffset = regexp.MustCompile(`^(UTC|[+-]?\d\d:\d\d)$`)

// verifyZone wants a fixed offset: zones by name would come from the machine,
// and the same events could give other results on another one.
func (c *compilation) verifyZone(e ast.Expr) {
	if isStringLiteral(e) && zoneOffset.MatchString(string(e.AsLiteral().(types.String))) {
		return
	}
	c.issueSpan(e, "a time zone must be a fixed offset in quotes", "such as \"+09:00\" or \"UTC\"; zones by name depend on the machine")
}

func (c *compilation) verifyWant(e ast.Expr, t *types.Type) {
	if t.Kind() == types.DynKind {
		return
	}
	issue := func(message, advice string) { c.issueSpan(e, message, advice) }
	if isOptional(t) {
		issue("the value may be absent", "say what then, as in e.?x.orValue(0)")
		return
	}
	is := c.typeName(t)
	switch c.want {
	case WantBool:
		if t.Kind() != types.BoolKind {
			issue(fmt.Sprintf("a condition must be true or false, but this is %s", is), conditionAdvice(t))
		}
	case WantTime:
		if t.Kind() != types.TimestampKind && t.Kind() != types.StringKind {
			advice := "write a field that holds RFC 3339 text or a timestamp"
			if isNumeric(t) {
				advice = "say what it counts: unix_s(...), unix_ms(...), unix_us(...) or unix_ns(...)"
			}
			issue(fmt.Sprintf("a time is wanted, but this is %s", is), advice)
		}
	case WantKey:
		switch t.Kind() {
		case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind, types.TimestampKind, types.DurationKind:
		default:
			issue(fmt.Sprintf("a key is text, a number, a bool, a time or a duration, but this is %s", is), "")
		}
	case WantNumber:
		if !isNumeric(t) {
			issue(fmt.Sprintf("a number is wanted, but this is %s", is), "")
		}
	default:
		if o := c.provider.object(t); o != nil && len(o.key) > 0 {
			return
		}
		switch {
		case t.Kind() == types.ListKind && hasObject(t):
			issue(fmt.Sprintf("a value is wanted, but this is %s", is), "take a field of its last event, as in hot.temperature, or its size, hot.size()")
		case hasObject(t) && c.provider.object(t) != nil && c.provider.object(t).table != nil:
			issue(fmt.Sprintf("a value is wanted, but this is %s", is), "take its cells, as in "+c.provider.object(t).table.use())
		case hasObject(t):
			issue(fmt.Sprintf("a value is wanted, but this is %s", is), "take its fields, as in e.temperature")
		case t.Kind() == types.TypeKind:
			issue("a value is wanted, but this is a type", "")
		}
	}
}

func conditionAdvice(t *types.Type) string {
	switch {
	case isNumeric(t):
		return "compare it, as in ... > 0"
	case t.Kind() == types.StringKind:
		return `compare it, as in ... == "on"`
	case t.Kind() == types.ListKind:
		return "ask for its size, as in hot.size() > 0"
	case t.Kind() == types.StructKind:
		return "compare one of its fields"
	}
	return ""
}

func isOptional(t *types.Type) bool {
	return t.Kind() == types.OpaqueKind && t.TypeName() == "optional_type"
}
