package expr

import (
	"math"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"github.com/cepd/cepd/event"
)

// function covers calls of functions by name.
func (g *generator) function(e ast.Expr, name string, args []ast.Expr) code {
	if kind, ok := strings.CutPrefix(name, fnAggregate+"_"); ok {
		return g.aggregate(e, aggregateKindOf(kind))
	}
	if name == "size" {
		if c := g.sizeOfFilter(args[0]); c.ok() {
			return c
		}
	}
	codes, ok := g.exprs(args)
	if !ok || len(codes) == 0 {
		return code{}
	}
	c := g.simpleFunction(name, codes)
	if c.ok() && c.form < formEvent {
		c = fold(c, codes...)
	}
	return c
}

func (g *generator) simpleFunction(name string, codes []code) code {
	a := codes[0]
	switch name {
	case "first", "last":
		switch a.form {
		case formEvents:
			return pick(a.list, name == "last", ReasonIndex)
		case formValue:
			return pickValue(a.v, name == "last")
		}
	case fnLast:
		if a.form == formEvents {
			return pick(a.list, true, ReasonNoEvent)
		}
	case "size":
		return size(a)
	case "time", "stream", "topic":
		return ofEvent(name, a)
	case "startsWith", "endsWith", "contains":
		c := textFunction(name, a, codes[1])
		if name == "startsWith" {
			c.filter = prefixFilter(a, codes[1])
		}
		return c
	case "matches":
		return matching(a, codes[1])
	case "timestamp":
		if a.form == formString && a.constant {
			return converted(a, toTime, event.TypeTimestamp)
		}
	case "sum", "avg", "min", "max", "stddev":
		return aggregateOfList(aggregateKindOf(name), a)
	case fnDuration:
		return converted(a, toDuration, event.TypeDuration)
	case "double", "int":
		return conversion(name, codes)
	case "cidr_in":
		return inNetworks(a, codes[1])
	case "haversine":
		return distance(codes)
	case "math.abs":
		return absolute(a)
	case "math.@min", "math.@max":
		return extreme(name == "math.@max", codes)
	case "math.sqrt":
		if a.isNumber() {
			return ofDouble(a.double(), math.Sqrt)
		}
	case "math.ceil", "math.floor", "math.round", "math.trunc":
		if a.form == formDouble {
			return ofDouble(a.d, roundings[name])
		}
	case "dyn":
		if a.isScalar() {
			return valueCode(a.box())
		}
	default:
		return timeFunction(name, codes)
	}
	return code{}
}

func timeFunction(name string, codes []code) code {
	a := codes[0]
	for _, u := range unixUnits {
		if u.name == name {
			return converted(a, func(v event.Value) (event.Value, Reason) { return unixTime(u.size, v) }, event.TypeTimestamp)
		}
	}
	if get := timeGetters[name]; get != nil && a.form == formTime && len(codes) == 1 {
		i := a.i
		return intCode(func(f *Frame) (int64, Reason) {
			t, r := i(f)
			if r != 0 {
				return 0, r
			}
			return int64(get(event.Time(t).Go())), 0
		})
	}
	if get := durationGetters[name]; get != nil && a.form == formDuration && len(codes) == 1 {
		i := a.i
		return intCode(func(f *Frame) (int64, Reason) {
			d, r := i(f)
			return int64(get(time.Duration(d))), r
		})
	}
	return code{}
}

// timeGetters are CEL's parts of a timestamp, in UTC. Some count from 0.
var timeGetters = map[string]func(time.Time) int{
	"getFullYear":     time.Time.Year,
	"getMonth":        func(t time.Time) int { return int(t.Month()) - 1 },
	"getDayOfYear":    func(t time.Time) int { return t.YearDay() - 1 },
	"getDayOfMonth":   func(t time.Time) int { return t.Day() - 1 },
	"getDate":         time.Time.Day,
	"getDayOfWeek":    func(t time.Time) int { return int(t.Weekday()) },
	"getHours":        time.Time.Hour,
	"getMinutes":      time.Time.Minute,
	"getSeconds":      time.Time.Second,
	"getMilliseconds": func(t time.Time) int { return t.Nanosecond() / 1e6 },
}

// durationGetters are a whole duration in units, by way of a double as in the
// library.
var durationGetters = map[string]func(time.Duration) float64{
	"getHours": time.Duration.Hours, "getMinutes": time.Duration.Minutes, "getSeconds": time.Duration.Seconds,
}

func ofEvent(name string, a code) code {
	if a.form != formEvent {
		return code{}
	}
	at := a.e
	switch name {
	case "time":
		return code{form: formTime, i: func(f *Frame) (int64, Reason) {
			e, r := at(f)
			if r != 0 {
				return 0, r
			}
			return int64(e.Time), 0
		}}
	case "stream":
		return stringCode(func(f *Frame) (string, Reason) {
			e, r := at(f)
			if r != 0 {
				return "", r
			}
			return e.Schema.Stream(), 0
		})
	}
	return stringCode(func(f *Frame) (string, Reason) {
		e, r := at(f)
		if r != 0 {
			return "", r
		}
		return e.Topic(), 0
	})
}

func matching(a, pattern code) code {
	s := a.text()
	if s == nil || pattern.form != formString || !pattern.constant {
		return code{}
	}
	re, err := regexp.Compile(pattern.value().AsString())
	if err != nil {
		return code{}
	}
	return boolCode(func(f *Frame) Truth {
		x, r := s(f)
		if r != 0 {
			return failed(r)
		}
		return truthOf(re.MatchString(x))
	})
}

// converted covers a function of one value.
func converted(a code, convert func(event.Value) (event.Value, Reason), t event.Type) code {
	if !a.isScalar() {
		return code{}
	}
	v := a.box()
	return valueCode(func(f *Frame) (event.Value, Reason) {
		x, r := v(f)
		if r != 0 {
			return event.Missing, r
		}
		return convert(x)
	}).unbox(t)
}

// conversion covers double() and int() of numbers that are known to be some.
func conversion(name string, codes []code) code {
	a := codes[0]
	switch {
	case !a.isNumber():
	case name == "double":
		return doubleCode(a.double())
	case a.form == formInt:
		return a
	case a.form == formUint:
		i := a.i
		return intCode(func(f *Frame) (int64, Reason) {
			x, r := i(f)
			if r == 0 && x < 0 {
				r = ReasonOverflow
			}
			return x, r
		})
	case a.form == formDouble:
		d := a.d
		return intCode(func(f *Frame) (int64, Reason) {
			x, r := d(f)
			if r == 0 && !(x > math.MinInt64 && x < math.MaxInt64) { // also NaN
				r = ReasonOverflow
			}
			return int64(x), r
		})
	}
	return code{}
}

func inNetworks(a, networks code) code {
	s := a.text()
	if s == nil || !networks.constant {
		return code{}
	}
	texts := []event.Value{networks.value()}
	if texts[0].Kind() == event.KindList {
		texts = texts[0].AsList()
	}
	prefixes := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		if t.Kind() != event.KindString {
			return code{}
		}
		p, err := netip.ParsePrefix(t.AsString())
		if err != nil {
			return code{}
		}
		prefixes[i] = p.Masked()
	}
	return boolCode(func(f *Frame) Truth {
		x, r := s(f)
		if r != 0 {
			return failed(r)
		}
		return truthOf(inPrefixes(x, prefixes))
	})
}

// distance evaluates all arguments before it looks at their types, as the
// library does.
func distance(codes []code) code {
	var at [4]valueFn
	for i, c := range codes {
		if at[i] = c.box(); at[i] == nil {
			return code{}
		}
	}
	return doubleCode(func(f *Frame) (float64, Reason) {
		var x [4]float64
		numbers := true
		for i, v := range at {
			y, r := v(f)
			if r != 0 {
				return 0, r
			}
			d, ok := y.Number()
			x[i], numbers = d, numbers && ok
		}
		if !numbers {
			return 0, ReasonType
		}
		return haversine(x[0], x[1], x[2], x[3]), 0
	})
}

func absolute(a code) code {
	switch a.form {
	case formDouble:
		d := a.d
		return doubleCode(func(f *Frame) (float64, Reason) {
			x, r := d(f)
			return math.Abs(x), r
		})
	case formInt:
		i := a.i
		return intCode(func(f *Frame) (int64, Reason) {
			x, r := i(f)
			if r == 0 && x < 0 {
				return arithInt(opSub, 0, x)
			}
			return x, r
		})
	}
	return code{}
}

var roundings = map[string]func(float64) float64{
	"math.ceil": math.Ceil, "math.floor": math.Floor, "math.round": math.Round, "math.trunc": math.Trunc,
}

func ofDouble(d doubleFn, of func(float64) float64) code {
	return doubleCode(func(f *Frame) (float64, Reason) {
		x, r := d(f)
		return of(x), r
	})
}

// extreme covers math.least and math.greatest of two numbers. The library
// refuses NaN.
func extreme(greatest bool, codes []code) code {
	if len(codes) != 2 || !codes[0].isNumber() || !codes[1].isNumber() {
		return code{}
	}
	a, b, other := codes[0].box(), codes[1].box(), 1
	if greatest {
		other = -1
	}
	c := valueCode(func(f *Frame) (event.Value, Reason) {
		x, r := a(f)
		if r != 0 {
			return event.Missing, r
		}
		y, r := b(f)
		switch {
		case r != 0:
			return event.Missing, r
		case isNaN(x) || isNaN(y):
			return event.Missing, ReasonArgument
		case compareNumbers(x, y) == other:
			return y, 0
		}
		return x, 0
	})
	if codes[0].form == codes[1].form {
		return c.unbox(map[form]event.Type{formInt: event.TypeInt, formUint: event.TypeUint, formDouble: event.TypeDouble}[codes[0].form])
	}
	return c
}

// optional covers e.?field and what is selected from it. Of a formMaybe, a
// missing value without a reason is an optional that has none.
func (g *generator) optional(e ast.Expr) code {
	args := e.AsCall().Args()
	if !isOptSelect(e) {
		return code{}
	}
	name, ok := args[1].AsLiteral().(types.String)
	if !ok {
		return code{}
	}
	return g.maybeField(args[0], string(name))
}

// maybeField selects a field from an event, a map or an optional, if it is
// there.
func (g *generator) maybeField(operand ast.Expr, name string) code {
	of := g.maybe(operand)
	switch of.form {
	case formEvent:
		slots, t := g.fieldSlots(operand, name)
		at := of.e
		return code{form: formMaybe, v: func(f *Frame) (event.Value, Reason) {
			e, r := at(f)
			if r != 0 {
				return event.Missing, r
			}
			v := slotValue(e, slots)
			if v.IsMissing() {
				return v, 0
			}
			return conform(v, t)
		}}
	case formRow, formMaybeRow:
		return g.maybeColumn(operand, of.row, name)
	case formValue, formMaybe:
		v := of.v
		return code{form: formMaybe, v: func(f *Frame) (event.Value, Reason) {
			x, r := v(f)
			switch {
			case r != 0:
				return event.Missing, r
			case x.Kind() == event.KindList:
				return event.Missing, ReasonType
			}
			return x.Field(name), 0
		}}
	}
	return code{}
}

// maybe generates an operand that may be an optional.
func (g *generator) maybe(e ast.Expr) code {
	if isOptional(g.typeOf(e)) {
		switch {
		case isOptSelect(e):
			return g.optional(e)
		case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == fnMaybeRow:
			return g.row(fnMaybeRow, e.AsCall().Args())
		case e.Kind() == ast.SelectKind && !e.AsSelect().IsTestOnly():
			return g.maybeField(e.AsSelect().Operand(), e.AsSelect().FieldName())
		}
		return code{}
	}
	return g.expr(e)
}

func (g *generator) optionalCall(e ast.Expr, name string) code {
	call := e.AsCall()
	if !call.IsMemberFunction() {
		return code{}
	}
	of := g.maybe(call.Target())
	if of.form != formMaybe {
		return code{}
	}
	v := of.v
	switch name {
	case "hasValue":
		return boolCode(func(f *Frame) Truth {
			x, r := v(f)
			if r != 0 {
				return failed(r)
			}
			return truthOf(!x.IsMissing())
		})
	case "value":
		return valueCode(func(f *Frame) (event.Value, Reason) {
			x, r := v(f)
			if r == 0 && x.IsMissing() {
				r = ReasonNoSuchField
			}
			return x, r
		}).unbox(declaredType(g.typeOf(e)))
	case "orValue":
		other := g.expr(call.Args()[0])
		if !other.isScalar() {
			return code{}
		}
		w := other.box()
		return valueCode(func(f *Frame) (event.Value, Reason) {
			x, r := v(f)
			if r == 0 && x.IsMissing() {
				return w(f)
			}
			return x, r
		}).unbox(declaredType(g.typeOf(e)))
	}
	return code{}
}
