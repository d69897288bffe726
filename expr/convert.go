package expr

import (
	"errors"
	"reflect"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/cepd/cepd/event"
)

// Values between this package and the library, for what closures do not cover.

// adapter converts native values to values of the library.
type adapter struct{}

var libAdapter types.Adapter = adapter{}

// NativeToValue implements types.Adapter.
func (adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case ref.Val:
		return v
	case event.Value:
		return toLibrary(v)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// libErrors are the library's values of this package's errors. Each has a node
// id already, so that the library never writes to them.
var libErrors = func() (es [len(evalErrors)]ref.Val) {
	for i, e := range evalErrors {
		es[i] = types.LabelErrNode(1, types.WrapErr(e))
	}
	types.LabelErrNode(1, types.NoSuchOverloadErr()) // it is shared too
	return es
}()

func toLibrary(v event.Value) ref.Val {
	switch v.Kind() {
	case event.KindMissing:
		return libErrors[ReasonNoSuchField]
	case event.KindNull:
		return types.NullValue
	case event.KindBool:
		return types.Bool(v.AsBool())
	case event.KindInt:
		return types.Int(v.AsInt())
	case event.KindUint:
		return types.Uint(v.AsUint())
	case event.KindDouble:
		return types.Double(v.AsDouble())
	case event.KindString:
		return types.String(v.AsString())
	case event.KindBytes:
		return types.Bytes(v.AsBytes())
	case event.KindTime:
		return types.Timestamp{Time: v.AsTime().Go()}
	case event.KindDuration:
		return types.Duration{Duration: v.AsDuration()}
	case event.KindList:
		vs := v.AsList()
		elems := make([]ref.Val, len(vs))
		for i, e := range vs {
			elems[i] = toLibrary(e)
		}
		return types.NewRefValList(libAdapter, elems)
	}
	es := v.AsMap()
	entries := make(map[ref.Val]ref.Val, len(es))
	for _, e := range es {
		entries[types.String(e.Name)] = toLibrary(e.Value)
	}
	return types.NewRefValMap(libAdapter, entries)
}

// fromLibrary converts a result. Missing is returned with a reason.
func fromLibrary(v ref.Val) (event.Value, Reason) {
	switch v := v.(type) {
	case types.Bool:
		return event.Bool(bool(v)), 0
	case types.Int:
		return event.Int(int64(v)), 0
	case types.Uint:
		return event.Uint(uint64(v)), 0
	case types.Double:
		return event.Double(float64(v)), 0
	case types.String:
		return event.String(string(v)), 0
	case types.Bytes:
		return event.Bytes([]byte(v)), 0
	case types.Null:
		return event.Null, 0
	case types.Timestamp:
		t, err := event.FromTime(v.Time)
		if err != nil {
			return event.Missing, ReasonOverflow
		}
		return event.Timestamp(t), 0
	case types.Duration:
		return event.DurationOf(v.Duration), 0
	case *types.Err:
		return event.Missing, reasonOf(v)
	case *types.Optional:
		if !v.HasValue() {
			return event.Missing, ReasonNoSuchField
		}
		return fromLibrary(v.GetValue())
	case keyValue:
		return v.object(), 0
	case traits.Mapper:
		return fromLibraryMap(v)
	case traits.Lister:
		return fromLibraryList(v)
	}
	return event.Missing, ReasonType
}

func fromLibraryList(v traits.Lister) (event.Value, Reason) {
	var vs []event.Value
	for it := v.Iterator(); it.HasNext() == types.True; {
		e, r := fromLibrary(it.Next())
		if r != 0 {
			return event.Missing, r
		}
		vs = append(vs, e)
	}
	return event.List(vs), 0
}

// fromLibraryMap orders entries by name, since the library has no order.
func fromLibraryMap(v traits.Mapper) (event.Value, Reason) {
	var es []event.Entry
	for it := v.Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		name, r := fromLibrary(k)
		if r != 0 {
			return event.Missing, r
		}
		e, r := fromLibrary(v.Get(k))
		if r != 0 {
			return event.Missing, r
		}
		es = append(es, event.Entry{Name: name.Text(), Value: e})
	}
	sortEntries(es)
	return event.Map(es), 0
}

// reasonOf says which of the reasons an error of the library has. The library
// has no error codes, so its texts are all there is to go by.
func reasonOf(e *types.Err) Reason {
	var own *EvalError
	if errors.As(e, &own) {
		return own.reason
	}
	text := e.Error()
	for _, r := range reasonPrefixes {
		if strings.HasPrefix(text, r.prefix) || strings.HasSuffix(text, r.prefix) {
			return r.reason
		}
	}
	return ReasonArgument
}

var reasonPrefixes = []struct {
	prefix string
	reason Reason
}{
	{"no such key", ReasonNoSuchField},
	{"no such attribute", ReasonNoSuchField},
	{"no such field", ReasonNoSuchField},
	{"optional.none() dereference", ReasonNoSuchField},
	{"no such overload", ReasonType},
	{"type conversion error", ReasonArgument},
	{"unsupported index value", ReasonIndex},
	{"unsupported index type", ReasonType},
	{"unsupported key type", ReasonType},
	{"invalid qualifier type", ReasonType},
	{"unsupported conversion", ReasonType},
	{"expected iterable type", ReasonType},
	{"index out of bounds", ReasonIndex},
	{"division by zero", ReasonDivisionByZero},
	{"modulus by zero", ReasonDivisionByZero},
	{"integer overflow", ReasonOverflow},
	{"unsigned integer overflow", ReasonOverflow},
	{"duration overflow", ReasonOverflow},
	{"timestamp overflow", ReasonOverflow},
	{"range error", ReasonOverflow},
}

// An eventValue is an event in the library.
type eventValue struct {
	event *event.Event
	typ   *types.Type
}

func (v eventValue) ConvertToNative(reflect.Type) (any, error) { return v.event, nil }
func (v eventValue) ConvertToType(ref.Type) ref.Val            { return libErrors[ReasonType] }
func (v eventValue) Type() ref.Type                            { return v.typ }
func (v eventValue) Value() any                                { return v.event }
func (v eventValue) Equal(other ref.Val) ref.Val {
	w, ok := other.(eventValue)
	return types.Bool(ok && v.event == w.event)
}

// A keyValue is a key of several parts in the library.
type keyValue struct {
	parts []event.Value
	of    *object
}

func (v keyValue) ConvertToNative(reflect.Type) (any, error) { return v.parts, nil }
func (v keyValue) ConvertToType(ref.Type) ref.Val            { return libErrors[ReasonType] }
func (v keyValue) Type() ref.Type                            { return v.of.typ }
func (v keyValue) Value() any                                { return v.parts }
func (v keyValue) Equal(other ref.Val) ref.Val {
	w, ok := other.(keyValue)
	return types.Bool(ok && equal(v.object(), w.object()))
}

func (v keyValue) object() event.Value { return keyObject(v.of.key, v.parts) }

// keyObject returns a key of several parts as a map.
func keyObject(fields []event.Field, parts []event.Value) event.Value {
	es := make([]event.Entry, len(fields))
	for i, f := range fields {
		es[i] = event.Entry{Name: f.Name}
		if i < len(parts) {
			es[i].Value = parts[i]
		}
	}
	return event.Map(es)
}

// An eventList is the list of a step's events in the library.
type eventList struct {
	history History
	step    int
	typ     *types.Type // of an event
}

func (l eventList) len() int { return l.history.Count(l.step) }
func (l eventList) at(i int) ref.Val {
	return eventValue{l.history.At(l.step, i), l.typ}
}

func (l eventList) ConvertToNative(reflect.Type) (any, error) { return nil, evalErrors[ReasonType] }
func (l eventList) ConvertToType(t ref.Type) ref.Val {
	if t == types.ListType {
		return l
	}
	return libErrors[ReasonType]
}
func (l eventList) Type() ref.Type { return types.ListType }
func (l eventList) Value() any     { return l }
func (l eventList) Size() ref.Val  { return types.Int(l.len()) }
func (l eventList) Add(other ref.Val) ref.Val {
	return l.copy().(traits.Adder).Add(other)
}
func (l eventList) Contains(v ref.Val) ref.Val { return l.copy().(traits.Container).Contains(v) }
func (l eventList) Equal(v ref.Val) ref.Val    { return l.copy().Equal(v) }
func (l eventList) Iterator() traits.Iterator  { return l.copy().(traits.Iterable).Iterator() }
func (l eventList) Get(index ref.Val) ref.Val {
	i, ok := index.(types.Int)
	if !ok {
		return libErrors[ReasonType]
	}
	if i < 0 || int(i) >= l.len() {
		return libErrors[ReasonIndex]
	}
	return l.at(int(i))
}

func (l eventList) copy() ref.Val {
	vs := make([]ref.Val, l.len())
	for i := range vs {
		vs[i] = l.at(i)
	}
	return types.NewRefValList(libAdapter, vs)
}

var _ traits.Lister = eventList{}

// timeValue returns a point in time for the library.
func timeValue(t event.Time) ref.Val { return types.Timestamp{Time: t.Go()} }
