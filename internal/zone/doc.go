// Package zone finds time zones by name. It brings a copy of the tz database,
// so that rules load on machines that have none.
package zone

import (
	"fmt"
	"time"
	_ "time/tzdata" // the copy; a database of the machine goes first, as it may be newer
)

// Load returns the zone of an IANA name such as Europe/Oslo, or UTC. The zone
// of the machine has no name here: a rule means the same everywhere.
func Load(name string) (*time.Location, error) {
	if name != "" && name != "Local" {
		if z, err := time.LoadLocation(name); err == nil {
			return z, nil
		}
	}
	return nil, fmt.Errorf("there is no time zone %q", name)
}
