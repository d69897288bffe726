package event

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// TestTexts wants copies that are right whatever came before, one for equal
// texts that follow each other, and none that shares memory with its original.
func TestTexts(t *testing.T) {
	var texts Texts
	for i := range 10_000 {
		s := strings.Repeat(fmt.Sprint(i*i%977), i%12)
		v := texts.keep(String(s))
		if v.AsString() != s || s != "" && unsafe.StringData(v.AsString()) == unsafe.StringData(s) {
			t.Fatalf("%q is kept as %q", s, v.AsString())
		}
		if again := texts.keep(String(strings.Clone(s))); len(s) <= maxShared && s != "" && unsafe.StringData(again.AsString()) != unsafe.StringData(v.AsString()) {
			t.Fatalf("%q is kept twice", s)
		}
	}
	if v := texts.keep(Int(1)); !v.Equal(Int(1)) {
		t.Error(v.Text())
	}
}
