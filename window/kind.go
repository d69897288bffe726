package window

import (
	"slices"
	"unsafe"

	"github.com/cepd/cepd/event"
)

// Kind is the kind of an [Aggregate].
type Kind uint8

// The aggregates. Each leaves out missing and null values, and numbers that are
// NaN or infinite. Over no value they have none, see [ReasonEmpty], except
// Count and Distinct, which are 0, and TopK and Collect, which are empty.
const (
	Count    Kind = iota + 1 // number of values; false is not counted, so the value may be a condition
	Sum                      // integers and durations exactly, decimals with compensation (Neumaier)
	Avg                      // arithmetic mean
	Min                      // smallest number, text, time or duration
	Max                      // largest
	First                    // value of the earliest event
	Last                     // value of the latest event
	Stddev                   // standard deviation of the values themselves (population), as PromQL has it
	Variance                 // its square
	Median                   // quantile 0.5
	Quantile                 // interpolated as in PromQL up to [ExactQuantile] values; beyond, within 1 % of the value of that rank
	Distinct                 // number of different values; beyond [ExactDistinct] an estimate with a standard error of 1.6 %
	Rate                     // increase of a counter per second, from its first value to its last; a fall is a reset. Two times at least
	Delta                    // last value less first value
	Slope                    // of the least-squares line, per second. Two times at least
	TopK                     // the most frequent values: a list of {value, count}
	Collect                  // the values in the order of events; of more than [MaxCollect] the latest
)

// Limits of aggregates. Each bounds the state of one pane of one key.
const (
	ExactQuantile = 256  // values kept as they are, in 2 kB; then a sketch, of at most 16 kB
	ExactDistinct = 1000 // values remembered by a hash of 64 bits, in 8 kB; then 4 kB of registers
	MaxTopK       = 100  // of Aggregate.K
	ExactTopK     = 1000 // different values counted exactly
	MaxCollect    = 1000 // values in a list
)

// takes says which types of values an aggregate takes.
type takes uint8

const (
	takesAny     takes = iota
	takesKeys          // what can be told apart: no list, no map
	takesNumbers       // int, uint, double
	takesSums          // and durations
	takesOrdered       // and texts and times
)

// kinds is the table of aggregates. A result of type any is of the type of the
// argument.
var kinds = [...]struct {
	name   string
	takes  takes
	result event.Type
	make   func() partial
	lies   func(unsafe.Pointer) partial // the same where it lies
}{
	Count:    {"count", takesAny, event.TypeInt, func() partial { return new(count) }, lies[count]},
	Sum:      {"sum", takesSums, event.TypeAny, func() partial { return new(sum) }, lies[sum]},
	Avg:      {"avg", takesNumbers, event.TypeDouble, func() partial { return new(avg) }, lies[avg]},
	Min:      {"min", takesOrdered, event.TypeAny, func() partial { return &extreme{sign: -1} }, lies[extreme]},
	Max:      {"max", takesOrdered, event.TypeAny, func() partial { return &extreme{sign: 1} }, lies[extreme]},
	First:    {"first", takesAny, event.TypeAny, func() partial { return new(edge) }, lies[edge]},
	Last:     {"last", takesAny, event.TypeAny, func() partial { return &edge{last: true} }, lies[edge]},
	Stddev:   {"stddev", takesNumbers, event.TypeDouble, func() partial { return new(moments) }, lies[moments]},
	Variance: {"variance", takesNumbers, event.TypeDouble, func() partial { return new(moments) }, lies[moments]},
	Median:   {"median", takesNumbers, event.TypeDouble, func() partial { return new(digest) }, lies[digest]},
	Quantile: {"quantile", takesNumbers, event.TypeDouble, func() partial { return new(digest) }, lies[digest]},
	Distinct: {"distinct", takesKeys, event.TypeInt, func() partial { return new(distinct) }, lies[distinct]},
	Rate:     {"rate", takesNumbers, event.TypeDouble, func() partial { return new(rate) }, lies[rate]},
	Delta:    {"delta", takesNumbers, event.TypeAny, func() partial { return new(delta) }, lies[delta]},
	Slope:    {"slope", takesNumbers, event.TypeDouble, func() partial { return new(slope) }, lies[slope]},
	TopK:     {"topk", takesKeys, event.TypeList, func() partial { return new(frequent) }, lies[frequent]},
	Collect:  {"collect", takesAny, event.TypeList, func() partial { return new(collect) }, lies[collect]},
}

// ParseKind returns the aggregate of that name.
func ParseKind(name string) (Kind, bool) {
	for k := Count; int(k) < len(kinds); k++ {
		if kinds[k].name == name {
			return k, true
		}
	}
	return 0, false
}

// String returns the name that rule files use.
func (k Kind) String() string { return kinds[k].name }

// Result returns the type of the aggregate over values of type arg, and whether
// it takes such values. A field of type any is taken; a value that does not
// fit then makes the aggregate an error, see [ReasonType].
func (k Kind) Result(arg event.Type) (event.Type, bool) {
	result := kinds[k].result
	if result == event.TypeAny {
		result = arg
	}
	if k == Delta && arg == event.TypeUint {
		result = event.TypeInt // which may be negative
	}
	return result, arg == event.TypeAny || slices.Contains(typesTaken[kinds[k].takes], arg)
}

var typesTaken = [...][]event.Type{
	takesAny: {event.TypeBool, event.TypeInt, event.TypeUint, event.TypeDouble, event.TypeString, event.TypeTimestamp,
		event.TypeDuration, event.TypeList, event.TypeMap},
	takesKeys: {event.TypeBool, event.TypeInt, event.TypeUint, event.TypeDouble, event.TypeString, event.TypeTimestamp,
		event.TypeDuration},
	takesNumbers: {event.TypeInt, event.TypeUint, event.TypeDouble},
	takesSums:    {event.TypeInt, event.TypeUint, event.TypeDouble, event.TypeDuration},
	takesOrdered: {event.TypeInt, event.TypeUint, event.TypeDouble, event.TypeDuration, event.TypeString, event.TypeTimestamp},
}
