// Package chaos holds no code, only tests of the real program: one kills it at
// random moments under load, one gives it twice as much as it takes. What its
// receivers got is compared with what a run in peace would have told them.
// `make chaos` kills for long.
package chaos
