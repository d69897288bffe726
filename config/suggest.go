package config

import (
	"maps"
	"slices"
	"strings"
)

// suggest says what may have been meant by an unknown key.
func suggest[V any](key string, known map[string]V) string {
	names := slices.Sorted(maps.Keys(known))
	if near := nearest(key, names); near != "" {
		return "; did you mean `" + near + "`?"
	}
	return "; known are " + strings.Join(names, ", ")
}

// nearest returns the name that a mistyped one is closest to, empty if none is
// close.
func nearest(key string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		d := distance(key, name)
		if len(key) == len(name) && letters(key) == letters(name) {
			d = 1 // the right letters in the wrong order
		}
		if d < least {
			best, least = name, d
		}
	}
	return best
}

// letters returns the bytes of s in order.
func letters(s string) string { return string(slices.Sorted(slices.Values([]byte(s)))) }

// distance is the number of letters to insert, delete or replace to get from a
// to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
