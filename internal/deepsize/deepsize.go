package deepsize

import (
	"math/bits"
	"reflect"
)

// Of returns the bytes that the things hold which v points to, each counted
// once. What shared things hold, which others hold too, does not count.
func Of(v any, shared ...any) int {
	w := walker{seen: map[visit]bool{}}
	for _, s := range shared {
		w.value(reflect.ValueOf(s))
	}
	w.total = 0
	w.value(reflect.ValueOf(v))
	return w.total
}

// visit is a piece of memory that has been counted. A pointer to a struct and
// one to its first field are two.
type visit struct {
	at uintptr
	t  reflect.Type
}

type walker struct {
	seen  map[visit]bool
	total int
}

// first reports whether memory was not counted before.
func (w *walker) first(at uintptr, t reflect.Type) bool {
	k := visit{at, t}
	if at == 0 || w.seen[k] {
		return false
	}
	w.seen[k] = true
	return true
}

// value counts what a value points to; the value itself is counted by what
// holds it.
func (w *walker) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if w.first(v.Pointer(), v.Type()) {
			w.add(int(v.Type().Elem().Size()))
			w.value(v.Elem())
		}
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		if e := v.Elem(); e.Kind() == reflect.Pointer || e.Kind() == reflect.Map || e.Kind() == reflect.Func {
			w.value(e)
		} else {
			w.add(int(e.Type().Size())) // the copy that the interface points to
			w.value(e)
		}
	case reflect.Slice:
		if w.first(v.Pointer(), v.Type()) {
			w.add(v.Cap() * int(v.Type().Elem().Size()))
			for i := range v.Len() {
				w.value(v.Index(i))
			}
		}
	case reflect.String:
		if v.Len() > 0 && w.first(uintptr(v.UnsafePointer()), v.Type()) {
			w.add(v.Len())
		}
	case reflect.Map:
		if w.first(v.Pointer(), v.Type()) {
			w.add(Map(v.Len(), int(v.Type().Key().Size()+v.Type().Elem().Size())))
			for k, e := range v.Seq2() {
				w.value(k)
				w.value(e)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			w.value(v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			w.value(v.Index(i))
		}
	}
}

func (w *walker) add(n int) { w.total += Allocated(n) }

// Allocated returns the size of the block that an allocation of n bytes takes,
// about: a multiple of 16, and of an eighth of its power of two.
func Allocated(n int) int {
	switch {
	case n <= 0:
		return 0
	case n <= 8:
		return 8
	}
	step := max(16, 1<<max(bits.Len(uint(n-1))-4, 0))
	return (n + step - 1) / step * step
}

// Map returns what a map of n entries of a size takes, about: groups of eight
// entries with a byte each, seven eighths full at most and on average 0.65.
func Map(n, entry int) int {
	const header = 48
	if n <= 8 {
		return header + Allocated(8*entry+8)
	}
	return header + int(float64(n)/0.65*float64(entry+1))
}
