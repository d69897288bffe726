// Package deepsize measures how much memory a value holds, with all that it
// points to. It is for estimates: what the allocator adds is rounded, and
// functions and channels count as nothing.
//
// A measurement must not run while somebody changes the value.
package deepsize
