package detectors

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cepd/cepd/event"
)

// kind is a method: its description and how to make its model.
type kind struct {
	doc   *Doc
	build func(settings) model
	// threshold is the score that the verdict wants, where the model leaves it to
	// the score.
	threshold float64
}

// table holds every method. It is the only place that lists them.
var table = map[string]kind{
	"auto":                        {&autoDoc, newAuto, autoThreshold},
	"adwin":                       {&adwinDoc, newADWIN, usualThreshold},
	"context":                     {&contextDoc, newContext, 0.98},
	"cusum":                       {&cusumDoc, newCUSUM, usualThreshold},
	"dspot":                       {&dspotDoc, newDSPOT, 0.998},
	"ewma":                        {&ewmaDoc, newEWMA, 0.997},
	"half_space":                  {&halfSpaceDoc, newHalfSpace, 0.98},
	"holt":                        {&holtDoc, newHolt, 0.999},
	"holt_winters":                {&holtWintersDoc, newHoltWinters, 0.997},
	"holt_winters_multiplicative": {&holtWintersMultDoc, newHoltWintersMult, 0.997},
	"knn":                         {&knnDoc, newKNN, 0.99},
	"matrix_profile":              {&matrixProfileDoc, newMatrixProfile, 0.98},
	"median":                      {&medianDoc, newMedian, 0.997},
	"missing":                     {&missingDoc, newMissing, usualThreshold},
	"mrn":                         {&mrnDoc, newMRN, usualThreshold},
	"novelty":                     {&noveltyDoc, newNovelty, 0.984},
	"page_hinkley":                {&pageHinkleyDoc, newPageHinkley, usualThreshold},
	"profile":                     {&profileDoc, newProfile, 0.997},
	"random_cut_forest":           {&forestDoc, newForest, 0.997},
	"quantile":                    {&quantileDoc, newQuantile, 0.997},
	"range":                       {&rangeDoc, newRange, usualThreshold},
	"rate":                        {&rateDoc, newRate, 0.999},
	"ses":                         {&sesDoc, newSES, 0.997},
	"spot":                        {&spotDoc, newSPOT, usualThreshold},
	"stuck":                       {&stuckDoc, newStuck, usualThreshold},
	"t2":                          {&t2Doc, newT2, 0.997},
}

// usualThreshold is for the methods whose own verdict does not ask for a score.
const usualThreshold = 0.999

// thresholdParam is common to the methods whose verdict the score makes. Its default
// is the method's own, from the table.
var thresholdParam = Param{Name: "threshold", Text: "the score from which the verdict is an anomaly; left out: the method's own",
	Default: usualThreshold, Min: 0.5, Max: 1 - 1e-12}

// New makes a detector.
func New(method string, cfg Config) (Detector, error) {
	cfg.EnsureDefaults()
	if err := errors.Join(cfg.Validate(method)...); err != nil {
		return nil, fmt.Errorf("detector: %w", err)
	}
	k := table[method]
	s := settings{&cfg, k.doc}
	threshold := k.threshold
	if v, ok := cfg.With[thresholdParam.Name]; ok {
		threshold = v
	}
	var d Detector = newGuard(cfg, -math.Log10(1-threshold), k.build(s))
	if cfg.Every > 0 {
		d = newResampler(cfg, d)
	}
	return d, nil
}

// Methods describes every method, by name.
func Methods() []Doc {
	var docs []Doc
	for name := range table {
		d, _ := DocOf(name)
		docs = append(docs, d)
	}
	slices.SortFunc(docs, func(a, b Doc) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return docs
}

// expecting and banded are the methods that say what they expect, and where the
// band of what is usual ends.
var (
	expecting = []string{"auto", "adwin", "cusum", "dspot", "ewma", "holt", "holt_winters", "holt_winters_multiplicative", "median", "page_hinkley",
		"profile", "quantile", "rate", "ses", "t2"}
	banded = []string{"auto", "ewma", "holt", "holt_winters", "holt_winters_multiplicative", "median", "profile", "quantile", "range", "ses", "spot"}
)

// DocOf describes one method.
func DocOf(method string) (Doc, bool) {
	k, ok := table[method]
	if !ok {
		return Doc{}, false
	}
	d := *k.doc
	d.Expects, d.Band = slices.Contains(expecting, method), slices.Contains(banded, method)
	d.Params = slices.Clone(d.Params)
	for i, p := range d.Params {
		if p.Name == thresholdParam.Name {
			d.Params[i].Default = k.threshold
		}
	}
	return d, true
}

// settings is what a model is built from.
type settings struct {
	*Config
	doc *Doc
}

// num returns a parameter, or its default.
func (s settings) num(name string) float64 {
	if v, ok := s.With[name]; ok {
		return v
	}
	p, ok := s.doc.param(name)
	if !ok {
		panic("detectors: " + s.doc.Name + " has no parameter " + name)
	}
	return p.Default
}

func (s settings) count(name string) int { return int(s.num(name)) }

func (s settings) span(name string) event.Duration { return event.Duration(s.num(name) * 1e9) }

// given reports whether a parameter was set.
func (s settings) given(name string) bool {
	_, ok := s.With[name]
	return ok
}
