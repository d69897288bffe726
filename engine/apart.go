package engine

import "unsafe"

// lines is how many bytes a processor takes from memory at once, at most: two lines
// of its cache.
const lines = 128

// apart returns a slice of zero values in memory that nothing else lies near.
// What one goroutine writes all the time takes the line that it lies in away from
// the cache of every other processor, whatever of the line that one uses. So what
// the goroutines of shards write lies apart.
func apart[T any](n int) []T {
	var t T
	size := int(unsafe.Sizeof(t))
	whole := (n*size + lines - 1) / lines * lines
	return make([]T, whole/size)[:n:n] // memory is given out in multiples of lines, from that size on
}

// alone returns a copy of a value in such memory.
func alone[T any](v T) *T {
	p := &apart[T](1)[0]
	*p = v
	return p
}
