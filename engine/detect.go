package engine

import (
	"math"
	"strconv"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/detectors"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/expr"
	"github.com/cepd/cepd/rules"
)

// detectState is what a rule with a detector keeps of one key.
type detectState struct {
	d detectors.Detector
	// open says that an anomaly is going on: the detector said so, and that it
	// lasts.
	open bool
	// last is what the rule keeps of the last event of the stretch that is
	// gathered, nil where there is none; quiet says that a broker had kept it.
	last  *event.Event
	quiet bool
}

// stepDetect shows an event to the detector of a key. One that has none of the
// values only shows that the key is alive.
func (s *Shard) stepDetect(l *lane, ks *keyState, rule int, e *event.Event) {
	r, v := ks.table.rules[rule], &s.env
	if !s.readChannels(v.input.Detect.Values) {
		s.traceScore(ks, &detectors.Score{Reason: detectors.Reason{Cause: detectors.CauseNotNumber}})
		s.heard(l, ks, rule, e.Time)
		return
	}
	st := ks.at(rule)
	ds := st.detect()
	if ds == nil {
		ds = &detectState{d: r.Detect.New()}
		st.kept = ds
	}
	ds.d.Hold(st.firing())
	score := ds.d.Step(e.Time, s.channels)
	if r.Detect.Sampled {
		ds.last, ds.quiet = v.Keep(), s.quiet
		s.heard(l, ks, rule, e.Time)
		l.arm(ks, rule, timerWindow, ds.d.Due())
		return
	}
	if !score.Judged {
		s.traceScore(ks, &score)
		s.heard(l, ks, rule, e.Time)
		return
	}
	s.judgeScore(l, ks, rule, &score, judgment{event: e, input: v.input, at: e.Time, pos: e.Pos})
}

// expireStretch has the stretch of a key judged that ends now.
func (s *Shard) expireStretch(l *lane, ks *keyState, rule int, now event.Time) {
	ds := ks.look(rule).detect()
	if ds == nil {
		return
	}
	ds.d.Hold(ks.look(rule).firing())
	score := ds.d.Advance(now)
	last := ds.last
	l.arm(ks, rule, timerWindow, ds.d.Due())
	if ds.last = nil; last == nil || !score.Judged {
		return
	}
	s.quiet = ds.quiet
	s.frame.Event = last
	s.judgeScore(l, ks, rule, &score, judgment{event: last, kept: last, input: ks.table.rules[rule].input(last), at: now, pos: last.Pos})
	s.quiet, s.frame.Event = false, nil
}

// firing reports whether the rule's alert fires.
func (st *ruleState) firing() bool {
	a := st.alert
	return a != nil && a.Phase == alerting.Firing
}

// readChannels evaluates the values that the detector looks at, and reports
// whether the event has any of them. An event that lacks a field has no value;
// what fails for another reason is counted.
func (s *Shard) readChannels(values []*expr.Program) (any bool) {
	s.channels = s.channels[:0]
	for _, p := range values {
		x := math.NaN()
		v, err := p.Value(&s.frame)
		s.argumentError(err)
		if err == nil {
			if f, ok := v.Number(); ok {
				x, any = f, true
			}
		}
		s.channels = append(s.channels, x)
	}
	return any
}

// judgment is what a score is about.
type judgment struct {
	event *event.Event // which expressions read
	kept  *event.Event // what the rule keeps of it, nil where nobody has asked
	input *rules.Input
	at    event.Time
	pos   event.Position
}

// judgeScore judges what the detector said by the rule's condition.
func (s *Shard) judgeScore(l *lane, ks *keyState, rule int, score *detectors.Score, j judgment) {
	ds := ks.look(rule).detect()
	ds.open = score.Anomaly || ds.open && score.Lasts
	s.traceScore(ks, score)
	s.scoreVars(ks.table.rules[rule], score, ds.open)
	s.actOnScore(l, ks, rule, score, j)
	s.frame.Vars = nil
}

func (s *Shard) actOnScore(l *lane, ks *keyState, rule int, score *detectors.Score, j judgment) {
	r, st, in := ks.table.rules[rule], ks.look(rule), j.input
	holds := st.detect().open
	if in.Detect.When != nil {
		holds = s.asks(in.Detect.When)
	}
	if s.options.tracer != nil {
		s.options.tracer.Held(r.Name, ks.key, j.event, holds)
	}
	if in.Emit != nil && (holds || in.Detect.When == nil) {
		s.emit(r, ks, in.Emit, j.at, j.pos)
	}
	remembers, a := r.policy().Remembers(), st.alert
	if r.Alert == nil || !holds && !remembers && a == nil {
		return
	}
	if j.kept != nil && a != nil && a.Silent {
		return // the key fell silent in the stretch: only its next event ends that
	}
	clears := !holds && (in.Detect.Clear == nil || s.asks(in.Detect.Clear))
	if a == nil {
		a = &alertState{}
	}
	a.hear(s, l, j.at)
	d := s.decided(ks, r.policyOf(ks, a).Level(&a.Instance, holds, clears, j.at))
	a.Seen = j.event.Time // which may be earlier than the end of its stretch
	of := grounds{first: j.pos, last: j.pos, atEnd: l.atEnd(j.at)}
	if d.Change != 0 || remembers || a.Phase == alerting.Pending {
		if of.event = j.kept; of.event == nil {
			of.event = s.env.Keep()
		}
		of.scored = s.keepScore(r, st.detect().d, score, j)
		if remembers || a.Phase == alerting.Pending {
			a.keep(of.event, of.scored)
		}
	}
	s.judged(l, ks, rule, alertMain, a, d, of)
}

// heard notes that a key is alive where silence matters, though there is nothing
// to judge yet.
func (s *Shard) heard(l *lane, ks *keyState, rule int, now event.Time) {
	r, st := ks.table.rules[rule], ks.look(rule)
	a, remembers := st.alert, r.policy().Remembers()
	if r.Alert == nil || r.NoData == 0 && r.Forget == 0 || a == nil && !remembers {
		return
	}
	if a == nil {
		a = &alertState{}
	}
	a.hear(s, l, now)
	if remembers {
		a.keep(s.env.Keep(), nil)
	}
	if a.Silent { // silence raised it, and this ends it
		d := s.decided(ks, r.policyOf(ks, a).Level(&a.Instance, false, true, now))
		s.judged(l, ks, rule, alertMain, a, d, grounds{event: s.env.Keep(), first: s.env.event.Pos, last: s.env.event.Pos})
		return
	}
	a.Seen = now
	s.setAlert(l, ks, rule, alertMain, a, now)
}

// scoreVars fills the frame with what expressions about a judgment see.
func (s *Shard) scoreVars(r *rulePlan, score *detectors.Score, open bool) {
	s.vars = append(s.vars[:0], make([]event.Value, len(r.Detect.Vars.Fields()))...)
	s.frame.Vars = s.vars
	for i, f := range [...]struct {
		at int
		v  float64
	}{{rules.DetValue, score.Value}, {rules.DetScore, score.Score}, {rules.DetExpected, score.Expected},
		{rules.DetLower, score.Lower}, {rules.DetUpper, score.Upper}} {
		if i == 1 || f.v-f.v == 0 { // else it is not known, or has no end
			s.vars[f.at] = event.Double(f.v)
		}
	}
	s.vars[rules.DetAnomaly] = event.Bool(open)
	if len(r.Detect.Channels) > 1 {
		s.vars[rules.DetChannel] = event.String(r.Detect.Channels[score.Channel])
	}
	if r.Detect.Reason {
		s.vars[rules.DetReason] = event.String(score.Reason.String())
	}
}

// keepScore keeps what the detector said as an event, with its reasons in words
// and what each of its members said.
func (s *Shard) keepScore(r *rulePlan, d detectors.Detector, score *detectors.Score, j judgment) *event.Event {
	e := &event.Event{Time: j.at, Pos: j.pos, Schema: r.Detect.Vars, Slots: make([]event.Value, len(s.vars))}
	copy(e.Slots, s.vars)
	for _, at := range [...]int{rules.DetExpected, rules.DetLower, rules.DetUpper} {
		if f, ok := e.Slots[at].Number(); ok {
			e.Slots[at] = event.Double(shorten(f)) // people read it
		}
	}
	e.Slots[rules.DetReason] = event.String(score.Reason.String())
	s.parts = d.Parts(s.parts[:0])
	var members []event.Value
	for _, p := range s.parts {
		if p.Score == 0 {
			continue // it had nothing to say
		}
		p.Reason.Member = "" // the name is said already
		members = append(members, event.Map([]event.Entry{
			{Name: "name", Value: event.String(p.Name)}, {Name: "score", Value: event.Double(p.Score)}, {Name: "reason", Value: event.String(p.Reason.String())},
		}))
	}
	if len(members) > 0 {
		e.Slots[rules.DetMembers] = event.List(members)
	}
	return e
}

// shorten rounds to six significant digits.
func shorten(f float64) float64 {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 6, 64), 64)
	return short
}

// scoredVars returns what texts read; all of it is missing where nothing was
// judged.
func (g *grounds) scoredVars() []event.Value {
	if g.scored == nil {
		return nil
	}
	return g.scored.Slots
}

func (s *Shard) traceScore(ks *keyState, score *detectors.Score) {
	if s.options.tracer != nil {
		s.options.tracer.Scored(s.env.rule.Name, ks.key, score)
	}
}

// detectUsesKey reports whether what a detector asks of an event reads `key`.
func detectUsesKey(in *rules.DetectInput) bool {
	for _, p := range in.Values {
		if p.UsesKey() {
			return true
		}
	}
	return in.When != nil && in.When.UsesKey() || in.Clear != nil && in.Clear.UsesKey()
}

func (ds *detectState) appendBinary(v []byte) []byte {
	v = append(ds.d.AppendBinary(v), flag(ds.open), flag(ds.quiet), flag(ds.last != nil))
	if ds.last != nil {
		v = appendKept(v, ds.last)
	}
	return v
}

func (r *rulePlan) readDetect(rd *event.Reader) (*detectState, error) {
	if r.Detect == nil {
		return nil, event.ErrEncoding
	}
	ds := &detectState{d: r.Detect.New()}
	if err := ds.d.ReadBinary(rd); err != nil {
		return nil, err
	}
	ds.open, ds.quiet = rd.Byte() == 1, rd.Byte() == 1
	if rd.Byte() == 1 {
		ds.last = r.readKept(rd)
	}
	return ds, rd.Err()
}
