package leak

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a goroutine that was told to end may take: those of
// connections that were closed end by themselves, on a busy machine not at once.
const patience = time.Minute

// Main runs all tests, fails if they leave a goroutine, and ends the process.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := left(patience); err != nil {
			fmt.Fprintf(os.Stderr, "goroutines are left: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}

// left returns an error that shows which goroutines are there even after a while,
// nil if all have ended.
func left(within time.Duration) error {
	for end := time.Now().Add(within); ; {
		if err := goleak.Find(); err == nil || time.Now().After(end) {
			return err
		}
	}
}
