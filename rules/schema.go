package rules

import (
	"slices"
	"strings"

	"github.com/cepd/cepd/decode"
	"github.com/cepd/cepd/detectors"
	js "github.com/cepd/cepd/internal/jsonschema"
	"github.com/cepd/cepd/window"
)

// SchemaID is where the schema of rule files is published.
const SchemaID = "https://raw.githubusercontent.com/cepd/cepd/main/schema/rules.schema.json"

// Schema returns the JSON Schema of rule files. It says which keys there are and
// what may stand behind them; what expressions mean only [Load] knows.
func Schema() []byte {
	definitions := map[string]js.Schema{}
	for _, p := range slices.Concat(places, testPlaces) {
		if p != filePlace {
			definitions[p.ref()] = p.schema()
		}
	}
	return js.Document(SchemaID, "cepd rules", filePlace.schema(), definitions)
}

// property is what an editor should know of a key.
type property struct {
	key  string
	is   js.Schema
	text string // what it means, in a line or two
}

// ref is the name of a mapping among the definitions of the schema.
func (p *place) ref() string {
	name := strings.ReplaceAll(p.name, "`", "")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "an "), "a ")
	return strings.ReplaceAll(name, " ", "-")
}

// schema returns the schema of a mapping.
func (p *place) schema() js.Schema {
	keys := map[string]js.Schema{}
	for _, k := range properties()[p] {
		keys[k.key] = js.Described(k.is, k.text)
	}
	var others js.Schema
	switch p {
	case seriesPlace:
		others = js.Schema{"type": []string{"string", "number", "boolean"}}
	case testEventPlace:
		others = js.Any()
	}
	s := js.Object(keys, required[p], others)
	switch p {
	case windowPlace:
		var kinds []js.Schema
		for _, k := range windowKinds {
			kinds = append(kinds, js.Schema{"required": []string{k}})
		}
		s["oneOf"] = kinds
	case rulePlace:
		beside := map[string][]string{}
		for _, k := range patternKeys {
			beside[k] = []string{"pattern"}
		}
		for _, k := range windowKeys {
			beside[k] = []string{"window"}
		}
		s["dependencies"] = beside
	}
	return s
}

// required are the keys that a mapping cannot do without.
var required = map[*place][]string{
	rulePlace: {"name"}, tablePlace: {"file"}, absentPlace: {"for"}, noDataPlace: {"after"}, flapPlace: {"changes", "within"},
	unlessPlace: {"firing"}, activePlace: {"cron", "for"}, detectPlace: {"value"}, detectEveryPlace: {"every"}, idPlace: {"value"},
	testPlace: {"name", "expect"}, expectPlace: {"at", "rule"}, testEventPlace: {"at"},
}

// durationPattern matches what event.ParseDuration reads, with blanks around, as
// far as an expression of this size can.
const durationPattern = `^\s*([0-9.]+(w|d|h|m|s|ms|us|ns))+\s*$|^\s*0\s*$`

func aDuration() js.Schema {
	return js.Schema{"type": []string{"string", "integer"}, "pattern": durationPattern, "minimum": 0, "maximum": 0}
}

func aName() js.Schema  { return js.Matching(looseName.String()) }
func anExpr() js.Schema { return js.Scalar() }
func anEmit() js.Schema { return nonEmpty(js.Map("", anExpr())) }

func nonEmpty(s js.Schema) js.Schema {
	s["minProperties"] = 1
	return s
}

func methodNames() []string {
	var names []string
	for _, m := range detectors.Methods() {
		names = append(names, m.Name)
	}
	return names
}

// properties describes the keys of every mapping.
func properties() map[*place][]property {
	all := map[*place][]property{}
	for _, part := range []map[*place][]property{inputProperties(), ruleProperties(), lookForProperties(), tellProperties(), testProperties()} {
		for p, keys := range part {
			all[p] = keys
		}
	}
	return all
}

func inputProperties() map[*place][]property {
	stream := js.Either(js.Ref(streamPlace.ref()), js.Null())
	return map[*place][]property{
		filePlace: {
			{"streams", js.Map(looseName.String(), stream), "Where events come from and what they hold, by name."},
			{"tables", js.Map(plainName.String(), js.Ref(tablePlace.ref())), "Files that expressions look things up in, by name."},
			{"rules", js.List(js.Ref(rulePlace.ref())), "What to look for, and what to do about it."},
			{"tests", js.List(js.Ref(testPlace.ref())), "Events, and what the rules make of them; run by `cepd test`."},
		},
		streamPlace: {
			{"source", aName(), "A source of cepd.yaml. `cepd check`, `test` and `replay` do without."},
			{"topic", js.Text(), "Which messages of the source: plant/{site}/{device}/telemetry. {name} is one level and becomes a field, {name...} at the end is the rest."},
			{"format", js.Enum(decode.Formats()...), "How messages are written; json if left out."},
			{"time", anExpr(), "CEL for the time of an event: a timestamp, RFC 3339 text, or unix_ms(e.t) and its kin. Left out: the time of arrival."},
			{"id", js.Either(anExpr(), js.Ref(idPlace.ref())), "What makes an event the same event when it comes again: CEL, or a mapping that says for how long."},
			{"fields", js.Map("", js.Enum(typeNames...)), "The fields with their types: the whole list, beside what the topic captures. Left out: an event may have any."},
			{"watermark", js.Ref(watermarkPlace.ref()), "How far event time may be trusted."},
			{"late", js.Listed(aName()), "What becomes of events that come too late, beside being counted: drop (the default), a stream that is declared with nothing but its name, or sinks."},
			{"retained", js.Enum(retainedWords...), "What becomes of a message that an MQTT broker had kept: state (judged, but raises no alert), event, or ignore."},
		},
		idPlace: {
			{"value", anExpr(), "CEL for what makes an event the same event when it comes again."},
			{"within", aDuration(), "How long an id is known, in event time; 1h if left out."},
			{"keep", js.Integer(1, maxIDKeep), "How many ids are known, the last ones; 100000 if left out."},
		},
		watermarkPlace: {
			{"lag", aDuration(), "How much later than the newest event another may come and still be in order; 0s if left out."},
			{"idle", aDuration(), "Silence after which event time goes on with the clock; 30s if left out, 0s for never."},
			{"per", js.Enum(perWords...), "Whose watermark it is: stream (the default), or key: each key of each `by` has its own."},
			{"max_future", aDuration(), "How far ahead of its arrival an event may be; 5m if left out, 0s for any."},
		},
		tablePlace: {
			{"file", js.Matching(`\.(csv|tsv|json|CSV|TSV|JSON)$`), "Its name, relative to the folder of the rule file."},
			{"key", js.Text(), "The column whose values tell the rows apart."},
		},
	}
}

func ruleProperties() map[*place][]property {
	by := js.Either(anExpr(), nonEmpty(js.Map(plainName.String(), anExpr())))
	return map[*place][]property{
		rulePlace: {
			{"name", aName(), "Of the rule: the label alertname of its alerts, and the stream of what it emits."},
			{"from", js.Listed(aName()), "A stream, another rule that emits, or a list of them."},
			{"where", anExpr(), "CEL: events for which it is false are not for this rule."},
			{"by", by, "CEL: each value is judged on its own. With several parts a mapping: {site: e.site, device: e.device}."},
			{"when", anExpr(), "CEL: the condition, on each event, on each result of a window, or on what a detector says."},
			{"pattern", js.Text(), "Steps and how they follow each other: hot{3,} -> spike -> !reset -> stop."},
			{"define", nonEmpty(js.Map("", js.Either(anExpr(), js.Ref(definePlace.ref())))), "For each step of the pattern, its condition."},
			{"within", aDuration(), "The longest time from the first event of a match to its last, exclusive."},
			{"skip", js.Matching(`^\s*(past_last|to_next|none|to_(first|last) +\S+)\s*$`), "What a match does to the others: past_last (the default), to_next, none, to_first NAME or to_last NAME."},
			{"order", js.Enum(orderWords...), "completion: a match counts the moment it is complete. start: it waits for those that began earlier."},
			{"timeout", js.Ref(timeoutPlace.ref()), "What becomes of a partial match that time ended."},
			{"window", js.Ref(windowPlace.ref()), "What aggregates are taken over."},
			{"lateness", aDuration(), "How long after its end a window still takes late events."},
			{"early", aDuration(), "How often a window is answered while it is open."},
			{"let", nonEmpty(js.Map(plainName.String(), anExpr())), "Names for values over the window, one computed from those above it."},
			{"detect", js.Ref(detectPlace.ref()), "An anomaly of a value against its own past."},
			{"for", aDuration(), "How long the condition must hold before the alert is raised."},
			{"clear", anExpr(), "CEL: the condition that ends the alert. Left out: when `when` is false."},
			{"clear_for", aDuration(), "How long it must hold before the alert is cleared."},
			{"clear_after", aDuration(), "The alert is cleared when nothing raised it anew for so long; 1h for patterns."},
			{"absent", js.Ref(absentPlace.ref()), "Silence: a key that sends nothing."},
			{"no_data", js.Ref(noDataPlace.ref()), "What becomes of the alert of a key that sends nothing."},
			{"flap", js.Ref(flapPlace.ref()), "When an alert that comes and goes is told as one."},
			{"unless", js.Ref(unlessPlace.ref()), "Another rule's alert that holds this one back."},
			{"active", js.Ref(activePlace.ref()), "The hours in which the alert is told."},
			{"mode", js.Enum(modeWords...), "live, shadow (judged, counted and shown, told to no sink) or off."},
			{"emit", anEmit(), "A derived event of the rule's own: a CEL expression for each field. Other rules take it by the rule's name."},
			{"emit_to", js.Listed(aName()), "Sinks that derived events go to."},
			{"alert", js.Ref(alertPlace.ref()), "What to say, and to whom."},
			{"limits", js.Ref(limitsPlace.ref()), "How much the rule may keep; what is over goes, the oldest first, and is counted."},
		},
		definePlace: {
			{"from", aName(), "The stream that the step's events are of."},
			{"where", anExpr(), "CEL: the step's condition."},
		},
		timeoutPlace: {
			{"emit", anEmit(), "A derived event of the partial match."},
			{"alert", js.Ref(alertPlace.ref()), "An alert of its own, with the label timeout=\"true\"."},
		},
		limitsPlace: {
			{"keys", js.Integer(1, maxKeys), "Of how many keys the rule keeps anything; left out: any number."},
			{"runs", js.Integer(1, maxRuns), "How many partial matches of its pattern a key may have; 1000 if left out."},
			{"idle", aDuration(), "What is kept of a key that sends nothing for so long goes; left out: never."},
		},
	}
}

func lookForProperties() map[*place][]property {
	return map[*place][]property{
		windowPlace: {
			{"tumbling", aDuration(), "So long, and then the next."},
			{"sliding", aDuration(), "So long, with a new one every `every`."},
			{"every", js.Either(aDuration(), js.Integer(1, window.MaxN)), "How often there is a new window: a time beside `sliding`, events beside `count`."},
			{"session", aDuration(), "Events that follow each other within less than this."},
			{"count", js.Integer(1, window.MaxN), "The last so many events."},
			{"cron", js.Text(), "From one tick of a cron expression to the next: \"0 9 * * 1-5\"."},
			{"tz", js.Text(), "The time zone of `cron`; UTC if left out."},
			{"offset", aDuration(), "Moves the beginnings of tumbling and sliding windows, which are whole multiples since 1970 in UTC."},
		},
		detectPlace: {
			{"value", js.Listed(anExpr()), "CEL: the number to look at; a list of them is judged together."},
			{"every", js.Either(aDuration(), js.Ref(detectEveryPlace.ref())), "Resampling: the values of so long become one."},
			{"by", js.Enum(reduceWords...), "How they become one; avg if left out."},
			{"method", js.Enum(methodNames()...), "The detector; auto if left out. `cepd detect --list` describes all of them."},
			{"with", js.Map("", js.Any()), "Parameters of the method."},
			{"season", js.Listed(aDuration()), "How long it takes until values repeat: [1d, 7d]."},
			{"tz", js.Text(), "The time zone that days and weeks are of; UTC if left out."},
			{"warmup", aDuration(), "No verdict before so long."},
			{"direction", js.Enum(directionWords...), "Which deviations count."},
			{"learn", js.Enum(learnWords...), "calm: not while it fires; always; warmup: once, and then hold still."},
			{"quiet", aDuration(), "How long after an anomaly no other is told."},
			{"escalate", js.Number(1), "How much worse it must become to be told all the same."},
			{"min_abs", js.Number(0), "Deviations below this are no anomalies."},
			{"min_rel", js.Number(0), "The same, as a share of what is expected."},
			{"gap", js.Enum(gapWords...), "What a gap in the data means."},
			{"gap_after", aDuration(), "How long without a value is a gap."},
			{"seed", js.Integer(0, 1<<53), "What methods that draw by chance start from."},
		},
		detectEveryPlace: {
			{"every", aDuration(), "How long a stretch is."},
			{"by", js.Enum(reduceWords...), "How the values of a stretch become one; avg if left out."},
		},
		absentPlace: {
			{"for", aDuration(), "How long a key may be silent, in event time."},
			{"of", aName(), "seen: keys that have sent something. A table's name: also the keys of its rows."},
			{"forget", aDuration(), "A key that sends nothing for so long is forgotten, and its alert cleared; 7d if left out."},
		},
	}
}

func tellProperties() map[*place][]property {
	return map[*place][]property{
		noDataPlace: {
			{"after", aDuration(), "How long a key sends nothing."},
			{"do", js.Enum(noDataWords...), "What becomes of its alert; keep if left out."},
		},
		flapPlace: {
			{"changes", js.Integer(2, maxFlapChanges), "So many raises and clears,"},
			{"within", aDuration(), "within so long, are told as one alert."},
		},
		unlessPlace: {
			{"firing", aName(), "The rule whose alert holds this one back."},
			{"on", js.Either(js.Text(), js.List(js.Text())), "The parts of this rule's key that make up the other's; left out: all of the other's."},
		},
		activePlace: {
			{"cron", js.Text(), "When the hours begin: \"0 8 * * 1-5\"."},
			{"for", aDuration(), "How long they last."},
			{"tz", js.Text(), "The time zone; UTC if left out."},
		},
		alertPlace: {
			{"severity", js.Enum(severities...), "warning if left out."},
			{"labels", js.Map(plainName.String(), js.Text()), "More labels; ${CEL} in their values is replaced."},
			{"summary", js.Text(), "One line; ${CEL} is replaced."},
			{"description", js.Text(), "More of it; ${CEL} is replaced."},
			{"runbook", js.Text(), "Where to read on; ${CEL} is replaced."},
			{"repeat", aDuration(), "Send a firing alert again, at most that often, by the wall clock; left out: never."},
			{"evidence", js.Enum(evidenceWords...), "Which fields of the events go with the alert."},
			{"to", js.Listed(aName()), "Sinks of cepd.yaml; left out: every sink."},
		},
	}
}

func testProperties() map[*place][]property {
	series := js.Ref(seriesPlace.ref())
	return map[*place][]property{
		testPlace: {
			{"name", js.Text(), "What it shows."},
			{"tables", js.Map("", js.Schema{"type": []string{"array", "object"}}), "Rows that stand in for those of a table."},
			{"series", js.Either(series, js.List(series)), "Events at equal distances."},
			{"events", js.List(js.Ref(testEventPlace.ref())), "Single events."},
			{"until", aDuration(), "How far event time goes after the last event."},
			{"expect", js.List(js.Ref(expectPlace.ref())), "Everything that happens; [] is nothing."},
		},
		seriesPlace: {
			{"stream", aName(), "Whose events they are; may be left out where there is one."},
			{"start", aDuration(), "When the first event is; 0s if left out."},
			{"every", aDuration(), "The time between two events."},
			{"arrives", aDuration(), "When all of them arrive together, after a device was offline; each at its own time if left out."},
			{"set", js.Map("", js.Any()), "Fields that are the same in all events."},
		},
		testEventPlace: {
			{"at", aDuration(), "When it happens, counted from the start of the test."},
			{"arrives", aDuration(), "When it arrives, later than it happened or, by a wrong clock, before; `at` if left out."},
			{"stream", aName(), "Whose event it is; may be left out where there is one."},
			{"set", js.Map("", js.Any()), "Fields whose names are keys here."},
		},
		expectPlace: {
			{"at", aDuration(), "When it happens."},
			{"rule", aName(), "Whose alert or event it is."},
			{"alert", js.Enum(changeWords...), "What becomes of the alert."},
			{"key", js.Any(), "The key; of one with several parts, those that matter."},
			{"labels", js.Map("", js.Any()), "Labels that matter, with their values."},
			{"summary", js.Text(), "The text of the alert."},
			{"timeout", js.Boolean(), "Whether it is the alert under `timeout`."},
			{"emit", js.Map("", js.Any()), "In place of `alert`: a derived event with these fields."},
			{"to", js.Either(aName(), js.List(aName())), "The sinks that it goes to, all of them; [] for none."},
		},
	}
}
