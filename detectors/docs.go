package detectors

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cepd/cepd/event"
)

// Doc describes a detector; the manual and 'cepd detect --list' are made of it.
type Doc struct {
	Name, Title string
	// Text says what it does and when to choose it.
	Text string
	// Params are its parameters, besides the options that all detectors have.
	Params []Param
	// Multivariate says that it judges several channels together.
	Multivariate bool
	// Expects and Band say that it tells what it expected, and where the band of
	// what is usual ends; of several channels, none but Expects.
	Expects, Band bool
	// Since is the version that it came with.
	Since string
}

// Param is a parameter of a detector.
type Param struct {
	Name              string
	Text              string
	Default, Min, Max float64
	Kind              Kind
}

// Kind is what the number of a parameter stands for.
type Kind uint8

// The kinds of parameters.
const (
	Number   Kind = iota
	Integer       // a count
	Duration      // seconds; written like 5m
	Switch        // 0 or 1; written false or true
)

// Parse reads a value of the parameter as rule files write it.
func (p Param) Parse(text string) (float64, error) {
	switch p.Kind {
	case Duration:
		d, err := event.ParseDuration(text)
		return d.Seconds(), err
	case Switch:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return 0, fmt.Errorf("%q is neither true nor false", text)
		}
		if b {
			return 1, nil
		}
		return 0, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || p.Kind == Integer && v != math.Trunc(v) {
		return 0, fmt.Errorf("%q is not a number that %s can be", text, p.Name)
	}
	return v, nil
}

// Check reports whether a value is within the bounds of the parameter.
func (p Param) Check(v float64) error {
	if math.IsNaN(v) || v < p.Min || v > p.Max {
		return fmt.Errorf("%s is %s; it may be %s to %s", p.Name, p.Format(v), p.Format(p.Min), p.Format(p.Max))
	}
	return nil
}

// Format writes a value of the parameter as rule files do.
func (p Param) Format(v float64) string {
	switch p.Kind {
	case Duration:
		return event.FormatDuration(event.Duration(v * 1e9))
	case Switch:
		return strconv.FormatBool(v != 0)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func (d Doc) param(name string) (Param, bool) {
	i := slices.IndexFunc(d.Params, func(p Param) bool { return p.Name == name })
	if i < 0 {
		return Param{}, false
	}
	return d.Params[i], true
}

// Param returns the parameter of that name.
func (d Doc) Param(name string) (Param, error) {
	p, ok := d.param(name)
	if !ok {
		return p, fmt.Errorf("%s has no parameter %q; it has %s", d.Name, name, d.paramNames())
	}
	return p, nil
}

func (d Doc) paramNames() string {
	if len(d.Params) == 0 {
		return "none"
	}
	var names []string
	for _, p := range d.Params {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}
