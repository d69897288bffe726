package engine

import commandline "flag"

var many = commandline.Bool("many", false, "tell many random stories, not a few")

// stories returns how many random stories a test tells: few where the race
// detector looks on, with which each takes ten times as long, and many in 'make
// stories'.
func stories(few, most int64) int64 {
	if *many {
		return most
	}
	return few
}
