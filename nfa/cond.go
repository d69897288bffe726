package nfa

import (
	"slices"
)

// literal is a predicate by its number in the program, or its negation. The
// number is doubled, and one added for the negation.
type literal int32

func (l literal) pred() int     { return int(l >> 1) }
func (l literal) negated() bool { return l&1 != 0 }
func (l literal) not() literal  { return l ^ 1 }

// clause holds if one of its literals does. Literals are sorted.
type clause []literal

// cond is a condition in conjunctive normal form: it holds if every clause
// does. The empty condition always holds. Conditions are not changed once
// made, so that edges share them.
//
// Only the conditions of steps and of `until` are ever negated, which have a
// few literals; so conditions stay small.
type cond []clause

// and returns the conjunction.
func (c cond) and(ds ...cond) cond {
	out := slices.Clone(c)
	for _, d := range ds {
		out = append(out, d...)
	}
	return out
}

// not returns the negation of c: a clause for each way of picking one literal
// of every clause of c, negated.
func (c cond) not() cond {
	out := cond{nil}
	for _, cl := range c {
		var longer cond
		for _, d := range out {
			for _, l := range cl {
				longer = append(longer, append(slices.Clone(d), l.not()))
			}
		}
		out = longer
	}
	for i, cl := range out {
		slices.Sort(cl)
		out[i] = slices.Compact(cl)
	}
	return out
}

// normal returns c sorted and without clauses that others imply, and false if
// it can never hold.
func (c cond) normal() (cond, bool) {
	var out cond
	for _, cl := range c {
		if !cl.tautology() {
			out = append(out, cl)
		}
	}
	slices.SortFunc(out, func(a, b clause) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return slices.Compare(a, b)
	})
	kept := out[:0:0]
	for _, cl := range out {
		if cl = cl.without(kept); len(cl) == 0 {
			return nil, false
		}
		if !slices.ContainsFunc(kept, func(k clause) bool { return k.implies(cl) }) {
			kept = append(kept, cl)
		}
	}
	return kept, true
}

func (cl clause) tautology() bool {
	for _, l := range cl {
		if slices.Contains(cl, l.not()) {
			return true
		}
	}
	return false
}

// without returns cl less the literals that the single literals among units
// rule out.
func (cl clause) without(units cond) clause {
	return slices.DeleteFunc(slices.Clone(cl), func(l literal) bool {
		return slices.ContainsFunc(units, func(u clause) bool { return len(u) == 1 && u[0] == l.not() })
	})
}

// implies reports whether d holds wherever cl does.
func (cl clause) implies(d clause) bool {
	for _, l := range cl {
		if !slices.Contains(d, l) {
			return false
		}
	}
	return true
}

// weaker reports whether every clause of c is one of d, so that c holds
// wherever d does.
func (c cond) weaker(d cond) bool {
	for _, cl := range c {
		if !slices.ContainsFunc(d, func(e clause) bool { return slices.Equal(cl, e) }) {
			return false
		}
	}
	return true
}
