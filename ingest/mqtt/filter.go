package mqtt

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// checkFilter checks an MQTT topic filter.
func checkFilter(filter string) error {
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch {
		case filter == "", len(filter) > 65535, !utf8.ValidString(filter), strings.ContainsRune(level, 0),
			level == "#" && i < len(levels)-1,
			len(level) > 1 && strings.ContainsAny(level, "+#"):
			return fmt.Errorf("%q is no topic filter", filter)
		}
	}
	return nil
}

// covers reports whether every topic that filter b matches is one that filter
// a matches.
func covers(a, b string) bool {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for i, level := range as {
		if i == 0 && (level == "#" || level == "+") && strings.HasPrefix(b, "$") {
			return false // wildcards do not match topics that begin with $
		}
		if level == "#" {
			return i <= len(bs) // a/# matches a as well
		}
		if i >= len(bs) || bs[i] == "#" || level != "+" && level != bs[i] {
			return false
		}
	}
	return len(as) == len(bs)
}

// reduce leaves out what other subscriptions cover, since some brokers send a
// message once for each subscription, and all do so with a retained one.
// Filters that overlap without one covering the other stay.
func reduce(subs []Subscription) []Subscription {
	var kept []Subscription
	for _, s := range subs {
		if slices.ContainsFunc(subs, func(o Subscription) bool { return o.Filter != s.Filter && covers(o.Filter, s.Filter) }) {
			continue
		}
		for _, o := range subs {
			if covers(s.Filter, o.Filter) {
				s.QoS = max(s.QoS, o.QoS)
			}
		}
		kept = append(kept, s)
	}
	return kept
}
