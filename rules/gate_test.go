package rules

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConjuncts(t *testing.T) {
	tests := []struct {
		src  string
		want []string
	}{
		{"e.x > 1", []string{"e.x > 1"}},
		{"e.x > 1 && e.y > a.y", []string{"e.x > 1", "e.y > a.y"}},
		{"(e.x || e.y) && a.all(b, b && e.z)&&e.w", []string{"(e.x || e.y)", "a.all(b, b && e.z)", "e.w"}},
		{`e.x == "a && b" && e.y == 'it\'s &&'`, []string{`e.x == "a && b"`, `e.y == 'it\'s &&'`}},
		{"e.`a && b` && e.?x.orValue(true)", []string{"e.`a && b`", "e.?x.orValue(true)"}},
		{"e.x && e.y || e.z", []string{"e.x && e.y || e.z"}},
		{"e.x && e.y ? a : b", []string{"e.x && e.y ? a : b"}},
		{"e.x && // why\ne.y", []string{"e.x && // why\ne.y"}},
		{`e.x && e.y == r"\" && e.z == """&&"""`, []string{`e.x && e.y == r"\" && e.z == """&&"""`}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, conjuncts(tt.src)); diff != "" {
			t.Errorf("conjuncts(%s) (-want +got):\n%s", tt.src, diff)
		}
	}
}
