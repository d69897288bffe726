package expr

import (
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/cepd/cepd/event"
)

// Functions over tables that no user can write.
const (
	fnRow      = "@row"      // ratings[key]
	fnMaybeRow = "@maybeRow" // ratings[?key]
	fnHasRow   = "@hasRow"   // key in ratings
	fnLookup   = "@lookup"   // lookup(ratings, key, row)
)

// tableFunctions are what expressions ask of tables, for the library.
func tableFunctions() []cel.EnvOption {
	table := types.NewMapType(types.StringType, typeT)
	return []cel.EnvOption{
		cel.Function(fnRow, overload(fnRow, table, typeU, typeT),
			cel.SingletonBinaryBinding(func(t, key ref.Val) ref.Val { return rowOr(t, key, libErrors[ReasonNoSuchRow]) })),
		cel.Function(fnMaybeRow, overload(fnMaybeRow, table, typeU, types.NewOptionalType(typeT)),
			cel.SingletonBinaryBinding(func(t, key ref.Val) ref.Val {
				row := rowOr(t, key, types.OptionalNone)
				if _, ok := row.(rowValue); ok {
					return types.OptionalOf(row)
				}
				return row
			})),
		cel.Function(fnHasRow, overload(fnHasRow, typeU, table, types.BoolType),
			cel.SingletonBinaryBinding(func(key, t ref.Val) ref.Val {
				row := rowOr(t, key, types.False)
				if _, ok := row.(rowValue); ok {
					return types.True
				}
				return row
			})),
		// The default is an error only where it is needed.
		cel.Function(fnLookup, cel.Overload(fnLookup, []*types.Type{table, typeU, typeT}, typeT, cel.OverloadIsNonStrict(),
			cel.FunctionBinding(func(args ...ref.Val) ref.Val {
				if types.IsError(args[1]) {
					return args[1]
				}
				return rowOr(args[0], args[1], args[2])
			}))),
	}
}

// rowOr returns the row of a key, another value where the table has none, or
// the error of the key.
func rowOr(table, key, other ref.Val) ref.Val {
	t, ok := table.(tableValue)
	if !ok {
		return libErrors[ReasonType]
	}
	k, r := fromLibrary(key)
	if r != 0 {
		return libErrors[r]
	}
	row, ok, r := t.rows.table.find(k)
	switch {
	case r != 0:
		return libErrors[r]
	case !ok:
		return other
	}
	return rowValue{t.rows, row}
}

// A tableValue is a table in the library: a map from key to row.
type tableValue struct{ rows *object }

func (v tableValue) ConvertToNative(reflect.Type) (any, error) { return nil, evalErrors[ReasonType] }
func (v tableValue) ConvertToType(ref.Type) ref.Val            { return libErrors[ReasonType] }
func (v tableValue) Type() ref.Type                            { return types.MapType }
func (v tableValue) Value() any                                { return v }
func (v tableValue) Size() ref.Val                             { return types.Int(len(v.rows.table.Rows)) }
func (v tableValue) Contains(key ref.Val) ref.Val {
	_, ok := v.Find(key)
	return types.Bool(ok)
}
func (v tableValue) Get(key ref.Val) ref.Val { return rowOr(v, key, libErrors[ReasonNoSuchRow]) }
func (v tableValue) Find(key ref.Val) (ref.Val, bool) {
	row := v.Get(key)
	return row, !types.IsError(row)
}
func (v tableValue) Equal(other ref.Val) ref.Val {
	w, ok := other.(tableValue)
	return types.Bool(ok && v.rows == w.rows)
}

// Iterator goes over the keys in their order, so that results do not depend on
// that of the map.
func (v tableValue) Iterator() traits.Iterator {
	keys := v.rows.table.Keys()
	vs := make([]ref.Val, len(keys))
	for i, k := range keys {
		vs[i] = types.String(k)
	}
	return types.NewRefValList(libAdapter, vs).(traits.Iterable).Iterator()
}

// A rowValue is a row of a table in the library.
type rowValue struct {
	of  *object
	row []event.Value
}

func (v rowValue) ConvertToNative(reflect.Type) (any, error) { return v.row, nil }
func (v rowValue) ConvertToType(ref.Type) ref.Val            { return libErrors[ReasonType] }
func (v rowValue) Type() ref.Type                            { return v.of.typ }
func (v rowValue) Value() any                                { return v }
func (v rowValue) Equal(other ref.Val) ref.Val {
	w, ok := other.(rowValue)
	return types.Bool(ok && equal(v.object(), w.object()))
}

// object returns a row as a map of the cells that it has.
func (v rowValue) object() event.Value {
	var es []event.Entry
	for i, f := range v.of.table.Columns {
		if !v.row[i].IsMissing() {
			es = append(es, event.Entry{Name: f.Name, Value: v.row[i]})
		}
	}
	return event.Map(es)
}

// Get implements [traits.Indexer], for what is selected from a row that may be
// missing.
func (v rowValue) Get(name ref.Val) ref.Val {
	cell, _ := v.Find(name)
	return cell
}

// Find implements [traits.Mapper].
func (v rowValue) Find(name ref.Val) (ref.Val, bool) {
	s, _ := name.(types.String)
	i := v.of.table.column(string(s))
	if i < 0 || v.row[i].IsMissing() {
		return libErrors[ReasonNoSuchField], false
	}
	return toLibrary(v.row[i]), true
}

func (v rowValue) Contains(name ref.Val) ref.Val {
	_, ok := v.Find(name)
	return types.Bool(ok)
}
func (v rowValue) Size() ref.Val { return types.Int(len(v.object().AsMap())) }
func (v rowValue) Iterator() traits.Iterator {
	return toLibrary(v.object()).(traits.Iterable).Iterator()
}

var (
	_ traits.Mapper = tableValue{}
	_ traits.Mapper = rowValue{}
)
