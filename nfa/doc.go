// Package nfa compiles a pattern of events to a program and runs it over the
// events of one key.
//
// The stages are files, in reading order: [Parse] reads the text of a pattern
// to a tree, [Compile] checks it and turns it into an immutable [Prog], and a
// [Machine] holds the open runs (partial matches) of one key and moves them,
// event by event. A Prog is shared by all keys and never stored; a Machine is
// all that is stored.
//
// There are two machines, which find the same matches. The run machine moves
// every run by itself, and runs any program. The compact machine is for
// programs whose conditions look at the event alone, see [Prog.Compact]: the
// program is made deterministic (dfa.go), and the runs are paths in one graph
// that shares what they have in common (tecs.go), so that an event costs the
// same however many runs are open.
//
// # Predicates
//
// The package knows nothing of expressions. A step's condition is a number
// that an [Env] is asked about: a plain predicate looks at the event alone, a
// linked one also at the [History] of the run.
//
// # Time
//
// The package has no clock. Time is that of the events, and [Machine.Advance]
// says that it has come so far. Windows are exclusive: an event that comes
// exactly at the end of a window is too late, so a caller advances to the time
// of an event before it steps over it.
//
// # Determinism
//
// The same program, events and times give the same matches in the same order
// and the same bytes of state, whether or not the machine was written and read
// back in between. Nothing here starts a goroutine or may be used by two.
package nfa
