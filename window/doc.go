// Package window assigns events to windows and folds them into aggregates.
//
// A [Spec] says which windows there are and what is computed over each. It is
// immutable and shared by all keys. A [State] holds the open windows of one
// key. The package is pure: it has no clock and no goroutine, a State belongs
// to one goroutine at a time, and time is what the caller says it is.
//
// # Time
//
// Windows are [start, end). The caller judges events in the order of event
// time and says with [State.Advance] how far the watermark has come; a window
// is answered when the watermark reaches its end, before the events of that
// moment. [State.Deadline] says when next there is something to do; an Advance
// to an earlier time does nothing, so the state does not depend on how often
// Advance is called. A window without events has no answer.
//
// Tumbling and sliding windows are aligned to the Unix epoch, as in Flink and
// Prometheus: 1h windows begin on the hour of UTC whenever the first event
// came. Windows of a number of events are counted from the key's first event.
//
// # Late events
//
// With a lateness, the state of a window is kept for that long after its end.
// A late event within it is taken, and each of its windows that was answered
// already is answered again at once, marked as an update.
//
// # Panes
//
// A sliding window is cut into panes at the starts and ends of windows, so
// that each event is folded into one pane only, however many windows it lies
// in. Panes are merged by two stacks, which costs a constant number of merges
// per pane whatever the length of the window.
package window
