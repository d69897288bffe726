// Package detectors scores a number, or several numbers that belong together,
// against its own past.
//
// A [Detector] is made by [New] from a method's name and a [Config], and is fed
// one observation at a time. It answers with a [Score]: how surprising the
// observation is between 0 and 1, whether the detector itself would raise an
// alarm, what it expected, and why. [Methods] lists the detectors, each with a
// [Doc] that the manual is made of. The default method, "auto", has no
// parameters.
//
// # What a score means
//
// A score is one minus the tail probability of the observation under the
// detector's own history: 0.99 says that one observation in a hundred was as
// strange as this one. The far tail is extrapolated. The meaning is the same for
// every method and every series, so that scores of many series can be compared.
// The score is there for every observation; Anomaly is the verdict, which is
// quiet for a while after an alarm unless matters get much worse.
//
// # Time
//
// Every observation comes with its event time. A detector learns the step of its
// series and measures its own spans in event time or in steps. Equal times, gaps
// and clocks that jump are harmless; times before the last one count as one step.
//
// # State
//
// A detector is plain data, owned by one goroutine at a time. It allocates
// nothing per observation once it has warmed up, its memory is bounded, and
// [Detector.AppendBinary] and [Detector.ReadBinary] carry it bit by bit over a
// restart. The same observations give the same scores on every machine that
// does not fuse multiplication and addition.
package detectors
