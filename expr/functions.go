package expr

import (
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/cepd/cepd/event"
)

// Names of functions that no user can write. The rewriter puts them where CEL
// has an operator or function of its own that is narrower than ours.
const (
	fnAdd       = "@add"
	fnSub       = "@sub"
	fnMul       = "@mul"
	fnDiv       = "@div"
	fnMod       = "@mod"
	fnNeg       = "@neg"
	fnEq        = "@eq"        // turns back into == once it is checked
	fnNe        = "@ne"        // !=
	fnMember    = "@member"    // in
	fnDuration  = "@duration"  // duration
	fnLast      = "@last"      // of the events of a step; an error where there is none
	fnSkip      = "@skip"      // an argument of an aggregate: a missing value is left out
	fnTry       = "@try"       // the condition of count: an error does not count
	fnAggregate = "@aggregate" // prefix of aggregates over collected arguments
)

// renamed maps CEL's operators to ours.
var renamed = map[string]string{
	operators.Add:       fnAdd,
	operators.Subtract:  fnSub,
	operators.Multiply:  fnMul,
	operators.Divide:    fnDiv,
	operators.Modulo:    fnMod,
	operators.Negate:    fnNeg,
	operators.Equals:    fnEq,
	operators.NotEquals: fnNe,
	operators.In:        fnMember,
	"duration":          fnDuration,
}

// restored maps those that the planner must know back, once they are checked.
var restored = map[string]struct{ name, overload string }{
	fnEq:     {operators.Equals, "equals"},
	fnNe:     {operators.NotEquals, "not_equals"},
	fnMember: {operators.In, "in_list"},
}

var (
	typeT   = types.NewTypeParamType("T")
	typeU   = types.NewTypeParamType("U")
	typeV   = types.NewTypeParamType("V")
	typeW   = types.NewTypeParamType("W")
	listOfT = types.NewListType(typeT)
	numbers = []*types.Type{types.IntType, types.UintType, types.DoubleType}
)

// mixedType is the type of an operation on two numbers.
func mixedType(a, b *types.Type) *types.Type {
	switch {
	case a == types.DoubleType || b == types.DoubleType:
		return types.DoubleType
	case a == b:
		return a
	}
	return types.IntType
}

func arithFunction(name string, op arithOp, more ...cel.FunctionOpt) cel.EnvOption {
	opts := more
	for _, a := range numbers {
		for _, b := range numbers {
			result := mixedType(a, b)
			if op == opMod && result == types.DoubleType {
				continue
			}
			opts = append(opts, cel.Overload(name+"_"+a.TypeName()+"_"+b.TypeName(), []*types.Type{a, b}, result))
		}
	}
	opts = append(opts, cel.SingletonBinaryBinding(func(a, b ref.Val) ref.Val { return libArith(op, a, b) }))
	return cel.Function(name, opts...)
}

// overload is a short cel.Overload for operators on two values.
func overload(id string, a, b, result *types.Type) cel.FunctionOpt {
	return cel.Overload(id, []*types.Type{a, b}, result)
}

func libArith(op arithOp, a, b ref.Val) ref.Val {
	if op == opAdd {
		switch x := a.(type) {
		case types.String, types.Bytes:
			if a.Type() == b.Type() {
				return x.(traits.Adder).Add(b)
			}
			return libErrors[ReasonType]
		case traits.Lister:
			if _, ok := b.(traits.Lister); ok {
				return x.Add(b)
			}
			return libErrors[ReasonType]
		}
	}
	return libResult(binaryValues(a, b, func(x, y event.Value) (event.Value, Reason) { return arith(op, x, y) }))
}

func binaryValues(a, b ref.Val, f func(a, b event.Value) (event.Value, Reason)) (event.Value, Reason) {
	x, r := fromLibrary(a)
	if r != 0 {
		return event.Missing, r
	}
	y, r := fromLibrary(b)
	if r != 0 {
		return event.Missing, r
	}
	return f(x, y)
}

func libResult(v event.Value, r Reason) ref.Val {
	if r != 0 {
		return libErrors[r]
	}
	return toLibrary(v)
}

func operatorFunctions() []cel.EnvOption {
	return []cel.EnvOption{
		arithFunction(fnAdd, opAdd,
			overload("@add_string", types.StringType, types.StringType, types.StringType),
			overload("@add_bytes", types.BytesType, types.BytesType, types.BytesType),
			overload("@add_list", listOfT, listOfT, listOfT),
			overload("@add_timestamp_duration", types.TimestampType, types.DurationType, types.TimestampType),
			overload("@add_duration_timestamp", types.DurationType, types.TimestampType, types.TimestampType),
			overload("@add_duration_duration", types.DurationType, types.DurationType, types.DurationType)),
		arithFunction(fnSub, opSub,
			overload("@sub_timestamp_timestamp", types.TimestampType, types.TimestampType, types.DurationType),
			overload("@sub_timestamp_duration", types.TimestampType, types.DurationType, types.TimestampType),
			overload("@sub_duration_duration", types.DurationType, types.DurationType, types.DurationType)),
		arithFunction(fnMul, opMul),
		arithFunction(fnDiv, opDiv),
		arithFunction(fnMod, opMod),
		cel.Function(fnNeg,
			cel.Overload("@neg_int", []*types.Type{types.IntType}, types.IntType),
			cel.Overload("@neg_uint", []*types.Type{types.UintType}, types.IntType),
			cel.Overload("@neg_double", []*types.Type{types.DoubleType}, types.DoubleType),
			cel.Overload("@neg_duration", []*types.Type{types.DurationType}, types.DurationType),
			cel.SingletonUnaryBinding(func(v ref.Val) ref.Val {
				x, r := fromLibrary(v)
				if r == 0 {
					x, r = negate(x)
				}
				return libResult(x, r)
			})),
		// Which types can be compared is left to verify: the library takes
		// overloads of mixed numbers beside one of any type for ambiguous.
		cel.Function(fnEq, overload(fnEq, typeT, typeU, types.BoolType)),
		cel.Function(fnNe, overload(fnNe, typeT, typeU, types.BoolType)),
		cel.Function(fnMember,
			overload("@member_list", typeT, types.NewListType(typeU), types.BoolType),
			overload("@member_map", typeT, types.NewMapType(typeU, typeV), types.BoolType)),
	}
}

// listFunctions are those over lists, of events or not.
func listFunctions() []cel.EnvOption {
	pick := func(index func(n int) int, empty Reason) cel.FunctionOpt {
		return cel.SingletonUnaryBinding(func(v ref.Val) ref.Val {
			l, ok := v.(traits.Lister)
			if !ok {
				return libErrors[ReasonType]
			}
			n := int(l.Size().(types.Int))
			if n == 0 {
				return libErrors[empty]
			}
			return l.Get(types.Int(index(n)))
		})
	}
	opts := []cel.EnvOption{
		cel.Function("first", cel.MemberOverload("@first_list", []*types.Type{listOfT}, typeT), pick(func(int) int { return 0 }, ReasonIndex)),
		cel.Function("last", cel.MemberOverload("@last_list", []*types.Type{listOfT}, typeT), pick(func(n int) int { return n - 1 }, ReasonIndex)),
		cel.Function(fnLast, cel.Overload("@last_event", []*types.Type{listOfT}, typeT), pick(func(n int) int { return n - 1 }, ReasonNoEvent)),
		cel.Function(fnSkip, cel.Overload(fnSkip, []*types.Type{typeT}, typeT, cel.OverloadIsNonStrict(),
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				if e, ok := v.(*types.Err); ok {
					return failedArgument{reasonOf(e)}
				}
				return v
			}))),
		cel.Function(fnTry, cel.Overload(fnTry, []*types.Type{types.BoolType}, types.BoolType, cel.OverloadIsNonStrict(),
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.Bool(v == types.True) }))),
	}
	for _, kind := range aggregateKinds {
		opts = append(opts, cel.Function(fnAggregate+"_"+kind.name, append(aggregateOverloads(kind, fnAggregate),
			cel.SingletonUnaryBinding(func(v ref.Val) ref.Val { return libAggregate(kind, v, true) }))...))
		if kind.function {
			opts = append(opts, cel.Function(kind.name, append(aggregateOverloads(kind, ""),
				cel.SingletonUnaryBinding(func(v ref.Val) ref.Val { return libAggregate(kind, v, false) }))...))
		}
	}
	return opts
}

func aggregateOverloads(kind *aggregateKind, prefix string) []cel.FunctionOpt {
	var opts []cel.FunctionOpt
	for _, t := range kind.over {
		opts = append(opts, cel.Overload(prefix+"_"+kind.name+"_"+t.TypeName(), []*types.Type{types.NewListType(t)}, kind.result(t)))
	}
	return opts
}

// libAggregate folds a list, of collected arguments or a user's own.
func libAggregate(kind *aggregateKind, v ref.Val, collected bool) ref.Val {
	l, ok := v.(traits.Lister)
	if !ok {
		return libErrors[ReasonType]
	}
	if !collected {
		list, r := fromLibraryList(l)
		if r != 0 {
			return libErrors[r]
		}
		return libResult(foldList(kind, list.AsList()))
	}
	state := make([]event.Value, kind.width)
	for it := l.Iterator(); it.HasNext() == types.True; {
		v := it.Next()
		if e, ok := v.(failedArgument); ok {
			kind.add(state, event.Missing, e.reason)
			continue
		}
		x, r := fromLibrary(v)
		kind.add(state, x, r)
	}
	return libResult(kind.read(state))
}

// A failedArgument takes the place of an argument of an aggregate that failed
// for one event.
type failedArgument struct{ reason Reason }

func (failedArgument) ConvertToNative(reflect.Type) (any, error) { return nil, evalErrors[ReasonType] }
func (failedArgument) ConvertToType(ref.Type) ref.Val            { return libErrors[ReasonType] }
func (failedArgument) Equal(ref.Val) ref.Val                     { return types.False }
func (failedArgument) Type() ref.Type                            { return types.DynType }
func (v failedArgument) Value() any                              { return v.reason }

// foldList computes an aggregate of a user's own list. The sum of none is 0.
func foldList(kind *aggregateKind, list []event.Value) (event.Value, Reason) {
	if len(list) == 0 && kind.name == "sum" {
		return event.Int(0), 0
	}
	state := make([]event.Value, kind.width)
	for _, x := range list {
		if x.Kind() == event.KindNull {
			return event.Missing, ReasonType
		}
		kind.fold(state, x)
	}
	return kind.read(state)
}

// eventFunctions are those over events, times and places.
func eventFunctions() []cel.EnvOption {
	ofEvent := func(name string, result *types.Type, f func(*event.Event) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload("@"+name, []*types.Type{typeT}, result,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				if e, ok := v.(eventValue); ok {
					return f(e.event)
				}
				return libErrors[ReasonType]
			})))
	}
	opts := []cel.EnvOption{
		ofEvent("time", types.TimestampType, func(e *event.Event) ref.Val { return timeValue(e.Time) }),
		ofEvent("stream", types.StringType, func(e *event.Event) ref.Val { return types.String(e.Schema.Stream()) }),
		ofEvent("topic", types.StringType, func(e *event.Event) ref.Val { return types.String(e.Topic()) }),
		cel.Function(fnDuration,
			cel.Overload("@duration_string", []*types.Type{types.StringType}, types.DurationType),
			cel.Overload("@duration_duration", []*types.Type{types.DurationType}, types.DurationType),
			cel.SingletonUnaryBinding(func(v ref.Val) ref.Val {
				x, r := fromLibrary(v)
				if r == 0 {
					x, r = toDuration(x)
				}
				return libResult(x, r)
			})),
		cel.Function("cidr_in",
			overload("@cidr_in_string", types.StringType, types.StringType, types.BoolType),
			overload("@cidr_in_list", types.StringType, types.NewListType(types.StringType), types.BoolType),
			cel.SingletonBinaryBinding(func(a, b ref.Val) ref.Val { return libResult(binaryValues(a, b, cidrIn)) })),
		cel.Function("haversine",
			cel.Overload("@haversine", []*types.Type{typeT, typeU, typeV, typeW}, types.DoubleType,
				cel.FunctionBinding(func(args ...ref.Val) ref.Val {
					var at [4]float64
					for i, a := range args {
						v, r := fromLibrary(a)
						f, ok := v.Number()
						if r != 0 || !ok {
							return libErrors[ReasonType]
						}
						at[i] = f
					}
					return types.Double(haversine(at[0], at[1], at[2], at[3]))
				}))),
	}
	for _, u := range unixUnits {
		var overloads []cel.FunctionOpt
		for _, t := range numbers {
			overloads = append(overloads, cel.Overload("@"+u.name+"_"+t.TypeName(), []*types.Type{t}, types.TimestampType))
		}
		overloads = append(overloads, cel.SingletonUnaryBinding(func(v ref.Val) ref.Val {
			x, r := fromLibrary(v)
			if r == 0 {
				x, r = unixTime(u.size, x)
			}
			return libResult(x, r)
		}))
		opts = append(opts, cel.Function(u.name, overloads...))
	}
	return opts
}

// unixUnits are the functions that make a timestamp of a count since 1970, and
// the nanoseconds of one.
var unixUnits = []struct {
	name string
	size int64
}{
	{"unix_s", 1e9},
	{"unix_ms", 1e6},
	{"unix_us", 1e3},
	{"unix_ns", 1},
}

func unixTime(size int64, v event.Value) (event.Value, Reason) {
	var ns int64
	switch v.Kind() {
	case event.KindInt:
		n, r := arithInt(opMul, v.AsInt(), size)
		if r != 0 {
			return event.Missing, r
		}
		ns = n
	case event.KindUint:
		if v.AsUint() > math.MaxInt64 {
			return event.Missing, ReasonOverflow
		}
		return unixTime(size, event.Int(int64(v.AsUint())))
	case event.KindDouble:
		// The fraction apart, since a double has no room for nanoseconds.
		whole, frac := math.Modf(v.AsDouble())
		if !(math.Abs(whole) < math.MaxInt64/float64(size)) { // also NaN
			return event.Missing, ReasonOverflow
		}
		ns = int64(whole)*size + int64(math.Round(frac*float64(size)))
	default:
		return event.Missing, ReasonType
	}
	if !timeInRange(ns) {
		return event.Missing, ReasonOverflow
	}
	return event.Timestamp(event.Time(ns)), 0
}

// timeInRange reports whether a time of so many nanoseconds is one that events
// may have, as event.FromTime has it.
func timeInRange(ns int64) bool {
	return ns >= minTimeNano && ns <= maxTimeNano
}

const (
	minTimeNano = -9214560000000000000 // 1678-01-01
	maxTimeNano = 9214646399999999999  // the end of 2261
)

func toDuration(v event.Value) (event.Value, Reason) {
	switch v.Kind() {
	case event.KindDuration:
		return v, 0
	case event.KindString:
		d, err := event.ParseDuration(v.AsString())
		if err != nil {
			return event.Missing, ReasonArgument
		}
		return event.DurationOf(d), 0
	}
	return event.Missing, ReasonType
}

func toTime(v event.Value) (event.Value, Reason) {
	t, err := event.ParseTime(v.AsString())
	if err != nil {
		return event.Missing, ReasonArgument
	}
	return event.Timestamp(t), 0
}

// cidrIn reports whether an address lies in one of the given networks. Text
// that is no address lies in none; text that is no network is an error.
func cidrIn(ip, cidr event.Value) (event.Value, Reason) {
	if ip.Kind() != event.KindString {
		return event.Missing, ReasonType
	}
	cidrs := []event.Value{cidr}
	if cidr.Kind() == event.KindList {
		cidrs = cidr.AsList()
	}
	prefixes := make([]netip.Prefix, len(cidrs))
	for i, c := range cidrs {
		if c.Kind() != event.KindString {
			return event.Missing, ReasonType
		}
		p, err := netip.ParsePrefix(c.AsString())
		if err != nil {
			return event.Missing, ReasonArgument
		}
		prefixes[i] = p.Masked()
	}
	return event.Bool(inPrefixes(ip.AsString(), prefixes)), 0
}

func inPrefixes(ip string, prefixes []netip.Prefix) bool {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// haversine returns the distance in metres of two places given in degrees, on
// a sphere with the Earth's mean radius.
func haversine(lat1, lon1, lat2, lon2 float64) float64 {
	const earth = 6371008.8 // metres, IUGG
	const degree = math.Pi / 180
	dLat := math.Sin((lat2 - lat1) * degree / 2)
	dLon := math.Sin((lon2 - lon1) * degree / 2)
	// The conversions keep the machine from fusing multiplications with
	// additions, which would give other bits elsewhere.
	h := float64(dLat*dLat) + float64(math.Cos(lat1*degree)*math.Cos(lat2*degree)*float64(dLon*dLon))
	return 2 * earth * math.Asin(math.Min(1, math.Sqrt(h)))
}

func sortEntries(es []event.Entry) {
	slices.SortFunc(es, func(a, b event.Entry) int { return strings.Compare(a.Name, b.Name) })
}
