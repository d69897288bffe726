package expr

import (
	"fmt"
	"maps"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/cepd/cepd/event"
)

// An object is a type with fields: an event of one or several streams, a key
// of several parts, or a row of a table.
type object struct {
	typ     *types.Type
	title   string          // for messages: "an event of telemetry"
	schemas []*event.Schema // of an event
	key     []event.Field   // of a key
	table   *Table          // of a row
}

// field returns the type of a field and whether there is one. Where several
// streams disagree the type is dynamic.
func (o *object) field(name string) (event.Type, bool) {
	for _, f := range o.key {
		if f.Name == name {
			return f.Type, true
		}
	}
	if o.table != nil {
		if i := o.table.column(name); i >= 0 {
			return o.table.Columns[i].Type, true
		}
	}
	found, typ := false, event.TypeAny
	for _, s := range o.schemas {
		t, ok := s.Lookup(name)
		switch {
		case !ok:
		case !found:
			found, typ = true, t
		case t != typ:
			typ = event.TypeAny
		}
	}
	return typ, found
}

// names returns the known names of fields, for advice.
func (o *object) names() []string {
	var names []string
	for _, f := range o.key {
		names = append(names, f.Name)
	}
	if o.table != nil {
		names = append(names, columnNames(o.table)...)
	}
	for _, s := range o.schemas {
		for _, f := range s.Declared() {
			names = append(names, f.Name)
		}
		for _, f := range s.Fields() {
			names = append(names, f.Name)
		}
	}
	return names
}

// A fieldSlot is where events of one schema have a field.
type fieldSlot struct {
	schema *event.Schema
	slot   int
}

// use marks a field as used in all schemas that have it.
func (o *object) use(name string) []fieldSlot {
	var slots []fieldSlot
	for _, s := range o.schemas {
		if i, ok := s.Use(name); ok {
			slots = append(slots, fieldSlot{s, i})
		}
	}
	return slots
}

// useTopic has events of a type kept with their topics: of all types where it is
// not known which one an event has.
func (p *provider) useTopic(t *types.Type) {
	of := maps.Values(p.objects)
	if o := p.object(t); o != nil {
		of = slices.Values([]*object{o})
	}
	for o := range of {
		for _, s := range o.schemas {
			s.UseTopic()
		}
	}
}

// slotValue returns the value of a field of e.
func slotValue(e *event.Event, slots []fieldSlot) event.Value {
	for i := range slots {
		if slots[i].schema == e.Schema {
			return e.Slot(slots[i].slot)
		}
	}
	return event.Missing
}

func (o *object) keyPart(name string) int {
	for i, f := range o.key {
		if f.Name == name {
			return i
		}
	}
	return -1
}

// A provider tells the library about the objects of one scope.
type provider struct {
	types.Provider // of the base environment
	objects        map[string]*object
	use            bool // fields are for evaluation, and used
}

func (p *provider) add(title string, schemas []*event.Schema, key []event.Field) *object {
	name := fmt.Sprintf("@object%d", len(p.objects))
	o := &object{typ: types.NewObjectType(name), title: title, schemas: schemas, key: key}
	p.objects[name] = o
	return o
}

func (p *provider) addTable(t *Table) *object {
	o := p.add("a row of "+t.Name, nil, nil)
	o.table = t
	return o
}

// object returns the object that a type is, or nil.
func (p *provider) object(t *types.Type) *object {
	if t == nil || t.Kind() != types.StructKind {
		return nil
	}
	return p.objects[t.TypeName()]
}

// FindStructType implements types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if o := p.objects[name]; o != nil {
		return types.NewTypeTypeWithParam(o.typ), true
	}
	return nil, false
}

// FindStructFieldNames implements types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	o := p.objects[name]
	if o == nil {
		return nil, false
	}
	return o.names(), true
}

// FindStructFieldType implements types.Provider.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	o := p.objects[name]
	if o == nil {
		return nil, false
	}
	t, ok := o.field(field)
	if !ok {
		return nil, false
	}
	ft := &types.FieldType{Type: libraryType(t)}
	if p.use {
		get := o.getter(field)
		ft.IsSet = func(target any) bool { return !get(target).IsMissing() }
		ft.GetFrom = func(target any) (any, error) {
			if err, ok := target.(error); ok {
				return nil, err
			}
			v, r := conform(get(target), t)
			if r != 0 {
				return nil, evalErrors[r]
			}
			return toLibrary(v), nil
		}
	}
	return ft, true
}

func (o *object) getter(field string) func(target any) event.Value {
	if part := o.keyPart(field); part >= 0 {
		return func(target any) event.Value {
			if parts, ok := target.([]event.Value); ok && part < len(parts) {
				return parts[part]
			}
			return event.Missing
		}
	}
	if o.table != nil {
		column := o.table.column(field)
		return func(target any) event.Value {
			if v, ok := target.(rowValue); ok {
				return v.row[column]
			}
			return event.Missing
		}
	}
	slots := o.use(field)
	return func(target any) event.Value {
		if e, ok := target.(*event.Event); ok {
			return slotValue(e, slots)
		}
		return event.Missing
	}
}

// NewValue implements types.Provider.
func (p *provider) NewValue(string, map[string]ref.Val) ref.Val { return libErrors[ReasonType] }

// libraryType returns the library's type for a declared one.
func libraryType(t event.Type) *types.Type {
	switch t {
	case event.TypeBool:
		return types.BoolType
	case event.TypeInt:
		return types.IntType
	case event.TypeUint:
		return types.UintType
	case event.TypeDouble:
		return types.DoubleType
	case event.TypeString:
		return types.StringType
	case event.TypeTimestamp:
		return types.TimestampType
	case event.TypeDuration:
		return types.DurationType
	case event.TypeList:
		return types.NewListType(types.DynType)
	case event.TypeMap:
		return types.NewMapType(types.StringType, types.DynType)
	}
	return types.DynType
}

// declaredType returns our type for one of the library.
func declaredType(t *types.Type) event.Type {
	switch t.Kind() {
	case types.BoolKind:
		return event.TypeBool
	case types.IntKind:
		return event.TypeInt
	case types.UintKind:
		return event.TypeUint
	case types.DoubleKind:
		return event.TypeDouble
	case types.StringKind:
		return event.TypeString
	case types.TimestampKind:
		return event.TypeTimestamp
	case types.DurationKind:
		return event.TypeDuration
	case types.ListKind:
		return event.TypeList
	case types.MapKind, types.StructKind:
		return event.TypeMap
	}
	return event.TypeAny
}
