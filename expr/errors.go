package expr

// Issue is a mistake in an expression.
type Issue struct {
	Offset, End int    // byte offsets into the source
	Message     string // what is wrong
	Advice      string // what to write instead; may be empty
}

// Reason says why an expression has no value for an event. Reasons are few, so
// that they can be a label of a metric.
type Reason uint8

// The reasons of evaluation errors.
const (
	ReasonNoSuchField    Reason = iota + 1 // the event, map or key lacks it
	ReasonNoEvent                          // the match has no event for the step
	ReasonType                             // an operation on a value of the wrong type
	ReasonOverflow                         // a number, time or duration is out of range
	ReasonDivisionByZero                   // integer division or modulus by zero
	ReasonIndex                            // an index outside of its list
	ReasonEmpty                            // an aggregate over no values
	ReasonArgument                         // a function refuses its argument
	ReasonNoSuchRow                        // a table has no row of that key
	ReasonOther
)

var reasonNames = [...]string{"none", "no_such_field", "no_event", "type", "overflow", "division_by_zero", "index", "empty", "argument", "no_such_row", "other"}

// String returns the reason as metrics show it.
func (r Reason) String() string { return reasonNames[r] }

// EvalError is the error of an expression that has no value for an event. All
// of them are preallocated: equal reasons are the same error.
type EvalError struct{ reason Reason }

// Reason returns why there is no value.
func (e *EvalError) Reason() Reason { return e.reason }

// Error returns the reason in words.
func (e *EvalError) Error() string { return reasonTexts[e.reason] }

var reasonTexts = [...]string{
	"no error",
	"no such field",
	"the match has no event for the step",
	"a value of the wrong type",
	"a number, time or duration out of range",
	"integer division by zero",
	"an index outside of the list",
	"an aggregate over no values",
	"a function refuses its argument",
	"the table has no row of that key",
	"the expression failed",
}

var evalErrors = func() (es [len(reasonNames)]*EvalError) {
	for i := range es {
		es[i] = &EvalError{Reason(i)}
	}
	return es
}()
