//go:build !unix

package bench

import (
	"errors"
	"time"
)

// CPUTime is an error: nobody has looked how such a system says it.
func CPUTime() (time.Duration, error) { return 0, errors.ErrUnsupported }
