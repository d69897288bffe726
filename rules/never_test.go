package rules

import "testing"

// TestNever finds conditions that are never true, and no others.
func TestNever(t *testing.T) {
	for _, c := range []struct {
		src   string
		never bool
	}{
		{"e.x > 90 && e.x < 80", true},
		{"e.x < 80 && e.ok && e.x > 90", true},
		{"e.x > 5 && e.x <= 5", true},
		{"e.x >= 5 && e.x <= 5", false},
		{"e.x == 5 && e.x > 4.5", false},
		{"e.x == 5 && e.x > 5", true},
		{"e.x == 5 && e.x == 6", true},
		{"e.x > -3 && e.x < -4", true},
		{"e.x > 90 || e.x < 80", false},
		{"e.x > 90 && e.y < 80", false},
		{"e.x > 90 && (e.x < 80 || e.y)", false},
		{`e.s == "a" && e.s == "b"`, true},
		{`e.s == "a" && e.s == 'a'`, false},
		{`e.s == "a && b" && e.s == "a && b"`, false},
		{"e.ok == true && e.ok == false", true},
		{"e.ok && false", true},
		{"false", true},
		{"true", false},
		{"e.a ? e.x > 90 && e.x < 80 : true", false},
		{"e.x < 80 && 90 < e.x", false}, // true never, and not found
	} {
		if one, _ := never(c.src); (one != "") != c.never {
			t.Errorf("%s: never is %t, want %t", c.src, one != "", c.never)
		}
	}
}
