package failpoint

import (
	"errors"
	"strings"
	"testing"
)

func TestHit(t *testing.T) {
	if err := Hit("input", "after-write"); err != nil {
		t.Errorf("without the variable: %v", err)
	}
	s, err := parse("input.after-write=fail@3,sink.after-send=fail")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, false, true, false, false} {
		if err := s.hit("input.after-write"); errors.Is(err, ErrInjected) != want {
			t.Errorf("time %d: %v", i+1, err)
		}
	}
	if err := s.hit("sink.after-send"); !errors.Is(err, ErrInjected) || !strings.HasPrefix(err.Error(), "sink.after-send: ") {
		t.Errorf("got %v", err)
	}
	if err := s.hit("elsewhere"); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
}

func TestParse(t *testing.T) {
	for _, text := range []string{"a", "a=", "=kill", "a=explode", "a=kill@", "a=kill@0", "a=kill@x", "a=kill,,b=fail"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is understood", text)
		}
	}
}
