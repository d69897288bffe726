package leak

import (
	"strings"
	"testing"
)

// A goroutine that does not end is found, and one that ends is not.
func TestLeft(t *testing.T) {
	end := make(chan struct{})
	go func() { <-end }()
	if err := left(0); err == nil || !strings.Contains(err.Error(), "TestLeft") {
		t.Errorf("where one is left: %v", err)
	}
	close(end)
	if err := left(patience); err != nil {
		t.Error(err)
	}
}
