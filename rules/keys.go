package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// place is a mapping of the language: what may stand there.
type place struct {
	name  string   // as messages say it
	where string   // where its keys belong, as advice says it
	keys  []string // in the order of the manual
}

// The mappings of the language, by depth.
var (
	filePlace = &place{
		name: "a rule file", where: "at the top of the file",
		keys: []string{"streams", "tables", "rules", "tests"},
	}
	streamPlace = &place{
		name: "a stream", where: "in a stream",
		keys: []string{"source", "topic", "format", "time", "id", "fields", "watermark", "late", "retained"},
	}
	tablePlace = &place{
		name: "a table", where: "in a table",
		keys: []string{"file", "key"},
	}
	watermarkPlace = &place{
		name: "`watermark`", where: "under `watermark` of a stream",
		keys: []string{"lag", "idle", "per", "max_future"},
	}
	idPlace = &place{
		name: "`id`", where: "under `id` of a stream",
		keys: []string{"value", "within", "keep"},
	}
	rulePlace = &place{
		name: "a rule", where: "in the rule itself",
		keys: []string{"name", "from", "where", "by", "when", "pattern", "define", "within", "skip", "order", "timeout",
			"window", "lateness", "early", "let", "detect",
			"for", "clear", "clear_for", "clear_after", "absent", "no_data", "flap", "unless", "active", "mode", "emit", "emit_to", "alert", "limits"},
	}
	windowPlace = &place{
		name: "`window`", where: "under `window`",
		keys: []string{"tumbling", "sliding", "every", "session", "count", "cron", "tz", "offset"},
	}
	detectPlace = &place{
		name: "`detect`", where: "under `detect`",
		keys: []string{"value", "every", "by", "method", "with", "season", "tz", "warmup", "direction", "learn", "quiet", "escalate",
			"min_abs", "min_rel", "gap", "gap_after", "seed"},
	}
	detectEveryPlace = &place{
		name: "`every` of `detect`", where: "under `every` of `detect`",
		keys: []string{"every", "by"},
	}
	activePlace = &place{
		name: "`active`", where: "under `active`",
		keys: []string{"cron", "for", "tz"},
	}
	absentPlace = &place{
		name: "`absent`", where: "under `absent`",
		keys: []string{"for", "of", "forget"},
	}
	noDataPlace = &place{
		name: "`no_data`", where: "under `no_data`",
		keys: []string{"after", "do"},
	}
	flapPlace = &place{
		name: "`flap`", where: "under `flap`",
		keys: []string{"changes", "within"},
	}
	unlessPlace = &place{
		name: "`unless`", where: "under `unless`",
		keys: []string{"firing", "on"},
	}
	definePlace = &place{
		name: "an entry of `define`", where: "in an entry of `define`",
		keys: []string{"from", "where"},
	}
	timeoutPlace = &place{
		name: "`timeout`", where: "under `timeout`",
		keys: []string{"emit", "alert"},
	}
	alertPlace = &place{
		name: "`alert`", where: "under `alert`",
		keys: []string{"severity", "labels", "summary", "description", "runbook", "repeat", "evidence", "to"},
	}
	limitsPlace = &place{
		name: "`limits`", where: "under `limits`",
		keys: []string{"keys", "runs", "idle"},
	}
	places = []*place{filePlace, streamPlace, tablePlace, rulePlace, alertPlace, watermarkPlace, idPlace, timeoutPlace, limitsPlace, definePlace,
		windowPlace, detectPlace, detectEveryPlace, activePlace, absentPlace, noDataPlace, flapPlace, unlessPlace}
)

// The words that keys take, the default first.
var (
	retainedWords  = []string{"state", "event", "ignore"}
	orderWords     = []string{"completion", "start"}
	modeWords      = []string{"live", "shadow", "off"}
	noDataWords    = []string{"keep", "clear", "raise"}
	evidenceWords  = []string{"used", "all"}
	changeWords    = []string{"raised", "cleared"}
	reduceWords    = []string{"avg", "max", "min", "sum", "last", "count"}
	directionWords = []string{"both", "up", "down"}
	learnWords     = []string{"calm", "always", "warmup"}
	gapWords       = []string{"ignore", "break", "alarm"}
)

// synonyms are keys of other rule languages, and what they are called here.
var synonyms = map[string]string{
	"expr": "when", "if": "when", "condition": "when", "expression": "when", "trigger": "when",
	"stream": "from", "streams": "from", "select_from": "from", "input": "from",
	"group_by": "by", "partition_by": "by", "key_by": "by", "key": "by",
	"filter": "where", "sequence": "pattern", "match": "pattern", "steps": "define", "events": "define",
	"after": "for", "keep_firing_for": "clear_for", "hysteresis": "clear", "cooldown": "clear_after",
	"message": "summary", "title": "summary", "text": "description", "runbook_url": "runbook",
	"sinks": "to", "receivers": "to", "notify": "to", "level": "severity", "priority": "severity",
	"id": "name", "groups": "rules", "after_match": "skip", "select": "emit", "output": "emit",
	"size": "tumbling", "hopping": "sliding", "hop": "every", "slide": "every", "gap": "session", "schedule": "cron",
	"timezone": "tz", "time_zone": "tz", "allowed_lateness": "lateness", "variables": "let", "active_hours": "active",
	"params": "with", "parameters": "with", "detector": "method", "algorithm": "method", "model": "method", "values": "value", "metric": "value",
	"resample": "every", "seasonality": "season", "period": "season", "side": "direction", "training": "learn", "refractory": "quiet",
	"broker": "source", "type": "format", "timestamp": "time", "delay": "lag", "timeout": "idle",
}

// keys reports the keys of a mapping that do not belong there, and returns
// whether n is a mapping at all.
func (l *loader) keys(n *node, p *place) bool {
	if !l.mapping(n, p.name) {
		return false
	}
	for _, e := range n.entries {
		if !slices.Contains(p.keys, e.key.text) {
			l.unknownKey(e.key, p)
			n.partial = true
		}
		n.partial = n.partial || e.value.bad
	}
	return true
}

func (l *loader) unknownKey(key *node, p *place) {
	name := key.text
	l.errorf(key, keyAdvice(name, p), "%s has no key `%s`", p.name, name)
}

// keyAdvice says which key may have been meant.
func keyAdvice(name string, p *place) string {
	if s := synonyms[strings.ToLower(name)]; slices.Contains(p.keys, s) {
		return fmt.Sprintf("write `%s`", s)
	}
	if p == detectPlace && isParam(name) {
		return "it is a parameter of a method: write `with: {" + name + ": ...}`"
	}
	if known := nearest(name, p.keys); known != "" {
		return fmt.Sprintf("did you mean `%s`?", known)
	}
	for _, other := range slices.Concat(places, testPlaces) {
		if slices.Contains(other.keys, name) {
			return fmt.Sprintf("`%s` belongs %s", name, other.where)
		}
	}
	for _, other := range places {
		if s := synonyms[strings.ToLower(name)]; slices.Contains(other.keys, s) {
			return fmt.Sprintf("it is called `%s`, and belongs %s", s, other.where)
		}
	}
	return "its keys are " + strings.Join(p.keys, ", ")
}

var (
	plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	looseName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
)

// nearest returns the known name that a mistyped one is closest to, empty if
// none is close.
func nearest(name string, known []string) string {
	best, least := "", min(max(1, len(name)/3), 3)+1
	if len(name) == 1 {
		least = 1 // one letter is as near to any other
	}
	for _, k := range known {
		if k == name {
			continue
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// maxCompared bounds the names that are compared, whose cost is their product.
const maxCompared = 64

// editDistance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b.
func editDistance(a, b string) int {
	if len(a) > maxCompared || len(b) > maxCompared {
		return maxCompared
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
