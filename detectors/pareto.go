package detectors

import "math"

// fitPareto fits a generalized Pareto distribution to positive excesses by
// maximum likelihood, after Grimshaw (Technometrics 35, 1993): the two equations
// become one in theta = gamma/sigma,
//
//	w(theta) = mean(1/(1+theta y)) * (1 + mean(log(1+theta y))) - 1 = 0
//
// whose roots lie between -1/max(y) and 2 (mean-min)/min^2. Theta 0, an
// exponential distribution, always is one. The most likely root wins.
func fitPareto(y []float64) (gamma, sigma float64) {
	if len(y) == 0 {
		return 0, 1
	}
	least, most, mean := y[0], y[0], 0.0
	for _, v := range y {
		least, most, mean = min(least, v), max(most, v), mean+v
	}
	mean /= float64(len(y))
	gamma, sigma = 0, mean
	best := paretoLikelihood(y, gamma, sigma)
	try := func(theta float64) {
		g := 0.0
		for _, v := range y {
			g += math.Log1p(theta * v)
		}
		g /= float64(len(y))
		if l := paretoLikelihood(y, g, g/theta); l > best {
			best, gamma, sigma = l, g, g/theta
		}
	}
	epsilon := min(1e-8, 1e-8/most)
	paretoRoots(y, -1/most+epsilon, -epsilon, try)
	paretoRoots(y, 2*(mean-least)/(mean*least), 2*(mean-least)/(least*least), try)
	return gamma, sigma
}

// paretoScan cuts an interval into the pieces in which roots are looked for: they
// crowd at its ends. The first hundredth of the left one is left out: towards
// -1/max(y) the likelihood grows without bound and fits nothing.
var paretoScan = []float64{0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97, 0.99, 0.999, 0.9999, 1 - 1e-6, 1}

func paretoW(y []float64, theta float64) float64 {
	var u, v float64
	for _, e := range y {
		s := 1 + theta*e
		u += 1 / s
		v += math.Log(s)
	}
	n := float64(len(y))
	return u/n*(1+v/n) - 1
}

// paretoRoots calls try with every root that it finds from lo to hi.
func paretoRoots(y []float64, lo, hi float64, try func(float64)) {
	if !(lo < hi) || math.IsInf(hi, 0) {
		return
	}
	a := lo + (hi-lo)*paretoScan[0]
	wa := paretoW(y, a)
	for _, share := range paretoScan[1:] {
		b := lo + (hi-lo)*share
		wb := paretoW(y, b)
		if wa == 0 {
			try(a)
		} else if wa*wb < 0 {
			try(bisect(y, a, b, wa))
		}
		a, wa = b, wb
	}
}

// bisect narrows a root between a and b by regula falsi, where the end that stays
// counts half (the Illinois method).
func bisect(y []float64, a, b, wa float64) float64 {
	wb := paretoW(y, b)
	for range 60 {
		m := b - wb*(b-a)/(wb-wa)
		if !(m > min(a, b) && m < max(a, b)) || math.Abs(b-a) <= 1e-13*math.Abs(b) {
			break
		}
		w := paretoW(y, m)
		if w == 0 {
			return m
		}
		if w*wb < 0 {
			a, wa = b, wb
		} else {
			wa /= 2
		}
		b, wb = m, w
	}
	return b
}

func paretoLikelihood(y []float64, gamma, sigma float64) float64 {
	n := float64(len(y))
	if gamma == 0 {
		var sum float64
		for _, v := range y {
			sum += v
		}
		return -n*math.Log(sigma) - sum/sigma
	}
	var sum float64
	for _, v := range y {
		arg := 1 + gamma*v/sigma
		if !(arg > 0) {
			return math.Inf(-1)
		}
		sum += math.Log(arg)
	}
	return -n*math.Log(sigma) - (1+1/gamma)*sum
}
