package bench

import (
	"fmt"
	"strings"
	"time"
)

// SequenceRule returns a rule for a sequence of n trades of names, each one's
// own, with anything in between, within a window of so many trades, which are
// one a millisecond. The last step never comes, so that partial matches pile
// up and what is measured is what they cost. follow is -> or ~>, that is the
// first that matches, or any.
func SequenceRule(n, window int, follow string) string {
	steps, define := make([]string, n), make([]string, n)
	for i := range n {
		steps[i] = fmt.Sprintf("s%d", i)
		define[i] = fmt.Sprintf(`      s%d: 'e.name == "S%s"'`, i, pad(i, 2))
	}
	define[n-1] = fmt.Sprintf(`      s%d: 'e.name == "never"'`, n-1)
	return PatternRule(strings.Join(steps, " "+follow+" "), strings.Join(define, "\n"), window, "")
}

// PatternRule returns a rule for any pattern over trades that gives every match.
func PatternRule(pattern, define string, window int, by string) string {
	return tradeStream + fmt.Sprintf(`  - name: r
    from: trades%s
    pattern: %s
    define:
%s
    within: %s
    skip: none
    limits: {runs: 1000000}
    alert: {}
`, by, pattern, define, time.Duration(window)*time.Millisecond)
}
