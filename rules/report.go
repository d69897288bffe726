package rules

import (
	"cmp"
	"fmt"
	"slices"
)

// maxIssues is how many issues of one file a report shows. Beyond it, most are
// consequences of the first ones; a bound per file keeps one bad file from
// hiding the issues of another.
const maxIssues = 50

// Report is what [Load] found.
type Report struct {
	Issues   []Issue `json:"issues"`   // by file, line and column
	Errors   int     `json:"errors"`   // of all issues, those left out too
	Warnings int     `json:"warnings"` // likewise
	Omitted  int     `json:"omitted"`  // issues left out, where a file has too many

	// TableFiles are the files of tables that the rules name, also of those that
	// could not be read, sorted.
	TableFiles []string `json:"-"`

	seen map[Issue]bool
}

// OK reports whether there are no errors.
func (r *Report) OK() bool { return r.Errors == 0 }

// Err returns nil if there are no errors, else an error whose text is that of
// the whole report.
func (r *Report) Err() error {
	if r.OK() {
		return nil
	}
	return reportError{r}
}

type reportError struct{ *Report }

func (e reportError) Error() string { return e.String() }

// String prints every issue, as [Issue.String] does, and how many there are if
// there are any.
func (r *Report) String() string {
	var b []byte
	for _, i := range r.Issues {
		b = append(b, i.String()...)
	}
	if r.Omitted > 0 {
		b = fmt.Appendf(b, "... and %d more\n", r.Omitted)
	}
	if s := r.Summary(); s != "" {
		b = append(append(b, s...), '\n')
	}
	return string(b)
}

// Summary says how many errors and warnings there are; it is empty where there
// are none.
func (r *Report) Summary() string {
	switch {
	case r.Errors > 0 && r.Warnings > 0:
		return count(r.Errors, "error") + ", " + count(r.Warnings, "warning")
	case r.Errors > 0:
		return count(r.Errors, "error")
	case r.Warnings > 0:
		return count(r.Warnings, "warning")
	}
	return ""
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// add adds an issue, unless the same one is there: texts that several programs
// are compiled from, one for each stream, are wrong once.
func (r *Report) add(i Issue) {
	if r.seen[i] {
		return
	}
	if r.seen == nil {
		r.seen = map[Issue]bool{}
	}
	r.seen[i] = true
	r.Issues = append(r.Issues, i)
}

// hasErrors reports whether an error was added, before they are counted.
func (r *Report) hasErrors() bool {
	return slices.ContainsFunc(r.Issues, func(i Issue) bool { return i.Severity == Error })
}

// finish sorts, counts and caps the issues.
func (r *Report) finish() {
	slices.SortStableFunc(r.Issues, func(a, b Issue) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	kept := make([]Issue, 0, len(r.Issues))
	perFile := map[string]int{}
	for _, i := range r.Issues {
		if i.Severity == Error {
			r.Errors++
		} else {
			r.Warnings++
		}
		if perFile[i.File]++; perFile[i.File] > maxIssues {
			r.Omitted++
			continue
		}
		kept = append(kept, i)
	}
	r.Issues, r.seen = kept, nil
}
