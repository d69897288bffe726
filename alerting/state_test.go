package alerting

import (
	"testing"
	"time"

	"github.com/cepd/cepd/event"
)

// Times in these tests are seconds.
func at(s int) event.Time { return event.Time(s) * event.Time(time.Second) }

// TestLevel walks instances through readings of a condition. Each row is one
// judgment: the time, whether `when` and `clear` hold, and what comes of it.
// Rows whose reason is "(time)" let time alone decide.
func TestLevel(t *testing.T) {
	type row struct {
		at           int
		holds, clear bool
		want         Change
		reason       string
		phase        Phase
	}
	const byTime = "(time)"
	for _, tc := range []struct {
		name   string
		policy Policy
		rows   []row
	}{
		{"raises and clears at once", Policy{}, []row{
			{0, false, true, 0, ReasonQuiet, Inactive},
			{1, true, false, Raised, ReasonHolds, Firing},
			{2, true, false, 0, ReasonFiring, Firing},
			{3, false, true, Cleared, ReasonClear, Inactive},
		}},
		{"`for` must pass without a gap", Policy{For: 10 * time.Second}, []row{
			{0, true, false, 0, ReasonPending, Pending},
			{9, false, true, 0, ReasonPendingOver, Inactive},
			{10, true, false, 0, ReasonPending, Pending},
			{20, false, false, Raised, byTime, Firing},
			{21, false, true, Cleared, ReasonClear, Inactive},
		}},
		{"an end of the condition at the deadline of `for` is in time", Policy{For: 10 * time.Second}, []row{
			{0, true, false, 0, ReasonPending, Pending},
			{10, false, true, 0, ReasonPendingOver, Inactive},
		}},
		{"`clear` holds an alert up: hysteresis", Policy{}, []row{
			{0, true, false, Raised, ReasonHolds, Firing},
			{1, false, false, 0, ReasonHeld, Firing},
			{2, false, true, Cleared, ReasonClear, Inactive},
		}},
		{"the condition wins over `clear`", Policy{}, []row{
			{0, true, true, Raised, ReasonHolds, Firing},
			{1, true, true, 0, ReasonFiring, Firing},
		}},
		{"`clear_for` starts over when the condition comes back", Policy{ClearFor: 10 * time.Second}, []row{
			{0, true, false, Raised, ReasonHolds, Firing},
			{1, false, true, 0, ReasonClearing, Firing},
			{5, true, false, 0, ReasonFiring, Firing},
			{6, false, true, 0, ReasonClearing, Firing},
			{16, false, false, Cleared, byTime, Inactive},
		}},
		{"`clear_for` starts over when `clear` ends", Policy{ClearFor: 10 * time.Second}, []row{
			{0, true, false, Raised, ReasonHolds, Firing},
			{1, false, true, 0, ReasonClearing, Firing},
			{2, false, false, 0, ReasonHeld, Firing},
		}},
		{"`clear_after` counts from the last raise", Policy{ClearAfter: 60 * time.Second}, []row{
			{0, true, false, Raised, ReasonHolds, Firing},
			{30, true, false, 0, ReasonFiring, Firing},
			{90, false, false, Cleared, byTime, Inactive},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var in Instance
			for i, r := range tc.rows {
				var d Decision
				if r.reason == byTime {
					if due := tc.policy.Due(&in); due != at(r.at) {
						t.Fatalf("row %d: due at %v, want %v", i, due, at(r.at))
					}
					d = tc.policy.Expire(&in, at(r.at))
				} else {
					if due := tc.policy.Due(&in); due < at(r.at) {
						t.Fatalf("row %d: was due at %v, before its time", i, due)
					}
					d = tc.policy.Level(&in, r.holds, r.clear, at(r.at))
				}
				if d.Change != r.want || in.Phase != r.phase || r.reason != byTime && d.Reason != r.reason {
					t.Errorf("row %d: got %v (%s) %v, want %v (%s) %v", i, d.Change, d.Reason, in.Phase, r.want, r.reason, r.phase)
				}
			}
		})
	}
}

func TestMatch(t *testing.T) {
	p := Policy{ClearAfter: time.Hour}
	var in Instance
	if d := p.Match(&in, at(1), ReasonMatch); d.Change != Raised || d.Reason != ReasonMatch {
		t.Errorf("first match: got %+v, want it raised", d)
	}
	if d := p.Match(&in, at(2), ReasonMatch); d.Change != 0 || in.Matches != 2 {
		t.Errorf("second match: got %+v with %d matches, want it added to the alert", d, in.Matches)
	}
	if due := p.Due(&in); due != at(2).Add(time.Hour) {
		t.Errorf("due at %v, want an hour after the second match", due)
	}
	if d := p.Expire(&in, at(2).Add(time.Hour)); d.Change != Cleared || d.Reason != ReasonClearAfter || in.Matches != 2 {
		t.Errorf("got %+v with %d matches, want it cleared, the matches left to be told", d, in.Matches)
	}
	if due := p.Due(&in); due != event.MaxTime {
		t.Errorf("an inactive alert is due at %v", due)
	}
}

func TestFingerprintAndIDs(t *testing.T) {
	labels := SortLabels([]Label{{"site", "a"}, {"alertname", "r"}, {"site", "b"}})
	if len(labels) != 2 || labels[0].Name != "alertname" || labels[1].Value != "b" {
		t.Fatalf("SortLabels gave %v, want the later of two equal names", labels)
	}
	// Where one text ends and the next begins is part of what is hashed.
	if Fingerprint("r", "", []Label{{"a", "bc"}}) == Fingerprint("r", "", []Label{{"ab", "c"}}) {
		t.Error("two sets of labels have one fingerprint")
	}
	if Fingerprint("r", "1", nil) == Fingerprint("r", "2", nil) {
		t.Error("two keys have one fingerprint")
	}
	id := Identity{Rule: "r", Key: "k", Change: Raised, Time: at(5), Last: event.Position{Seq: 7}}
	seen := map[string]Identity{}
	for _, change := range []func(*Identity){
		func(*Identity) {},
		func(i *Identity) { i.Log = "other" },
		func(i *Identity) { i.Rule = "s" },
		func(i *Identity) { i.Started.Seq = 1 },
		func(i *Identity) { i.Key = "l" },
		func(i *Identity) { i.Change = Cleared },
		func(i *Identity) { i.Time++ },
		func(i *Identity) { i.First.Seq = 1 },
		func(i *Identity) { i.Last.Seq = 8 },
		func(i *Identity) { i.Ordinal = 1 },
	} {
		other := id
		change(&other)
		sum := TransitionID(other)
		if before, ok := seen[sum]; ok {
			t.Errorf("%+v and %+v have one id", before, other)
		}
		seen[sum] = other
	}
	if got, want := TransitionID(id), TransitionID(id); got != want || len(got) != 32 {
		t.Errorf("got ids %s and %s, want one of 32 digits", got, want)
	}
	if DeliveryID("t", "a", 0) == DeliveryID("t", "a", 1) || DeliveryID("t", "a", 0) == DeliveryID("t", "b", 0) {
		t.Error("two deliveries have one id")
	}
}

func TestKeyValue(t *testing.T) {
	key, err := event.AppendKey(nil, event.String("oslo"), event.Int(7))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(KeyValue(string(key), []string{"site", "device"}).AppendJSON(nil)); got != `{"site":"oslo","device":7}` {
		t.Errorf("got %s", got)
	}
	if got := string(KeyValue("", nil).AppendJSON(nil)); got != "null" {
		t.Errorf("without `by` got %s, want null", got)
	}
}

// TestDerivedID: the id of an event is made of what it is, whoever asks and
// whenever, unless it is known.
func TestDerivedID(t *testing.T) {
	issuer := &Issuer{Log: "log", Rule: "rule", Started: event.Position{Seq: 7}}
	d := Derived{Rule: "rule", Key: "key", Time: 5, Position: event.Position{Seq: 9}, Issuer: issuer, Ordinal: 1}
	want := TransitionID(Identity{Log: "log", Rule: "rule", Started: event.Position{Seq: 7}, Key: "key", Time: 5, Last: event.Position{Seq: 9}, Ordinal: 1})
	if got := d.ID(); got != want || got != "3746f311e18fb261273e4f6e1737a860" {
		t.Errorf("the id is %s, want %s", got, want)
	}
	d.KnownID = "known"
	if got := d.ID(); got != "known" {
		t.Errorf("the known id is %s", got)
	}
	if d = (Derived{Rule: "rule"}); d.ID() != "" {
		t.Errorf("an event of nobody has the id %s", d.ID())
	}
}
