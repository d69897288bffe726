package faults

// Tally counts what a detector made of series.
type Tally struct {
	Faults, Found int     // labelled faults, and those with an alarm
	Alarms, False int     // alarms, and those outside of any fault
	Days          float64 // of series
	Series        int
}

// after is how many steps after its end a fault may still be told: a detector may
// see only then that it is over.
const after = 3

// Add counts the alarms, given as rows, of one series.
func (t *Tally) Add(s *Series, alarms []int) {
	t.Series++
	t.Faults += len(s.Labels)
	t.Days += float64(len(s.Values)) * s.Step.Hours() / 24
	found := make([]bool, len(s.Labels))
	for _, row := range alarms {
		t.Alarms++
		hit := false
		for i, l := range s.Labels {
			if row >= l.First && row <= l.Last+after {
				hit, found[i] = true, true
			}
		}
		if !hit {
			t.False++
		}
	}
	for _, f := range found {
		if f {
			t.Found++
		}
	}
}

// F1 is the harmonic mean of the share of faults found and the share of alarms
// that are right, where several alarms in one fault count as one.
func (t *Tally) F1() float64 {
	if t.Found == 0 {
		return 0
	}
	return 2 * float64(t.Found) / float64(t.Found+t.False+t.Faults)
}
