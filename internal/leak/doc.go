// Package leak runs the tests of a package and wants no goroutine left after them.
package leak
