// Package lint holds no code, only tests that keep the shape of the program:
// which package may import which, which foreign module is used where, and what
// the pure core must not touch. The tables at the top of the test are the place
// to look, and to change with care, when a package is added.
package lint
