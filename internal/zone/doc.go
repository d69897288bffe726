// Package zone finds time zones by name in a copy of the tz database that it
// brings. The copy is the only source: what a rule decides must not depend on
// the machine that it runs on, nor change when that is updated.
//
// zoneinfo.zip is version 2025c as Go distributes it, in lib/time. A newer one
// may change what the same events lead to: the engine's number of semantics is
// raised with it.
package zone
