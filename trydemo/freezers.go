package trydemo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/cepd/cepd/event"
)

// The shape of the simulation.
const (
	freezers = 24
	interval = 10 * time.Second       // between two readings of one freezer
	stagger  = 400 * time.Millisecond // between two freezers
)

// begin is when the simulation begins. It is fixed, so that every run is the
// same to the letter, and in the past, as far as anyone who runs it is concerned.
var begin = event.Time(time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC).UnixNano())

var sites = []string{"bergen", "oslo", "turku"}

// reading is what one freezer reports once.
type reading struct {
	time         event.Time
	site, device string
	payload      []byte // as it is published
}

// recorded returns the reading as `cepd replay` reads it, with the fields that
// stand in the topic.
func (r reading) recorded() []byte {
	return fmt.Appendf(nil, `{"site":"%s","device":"%s",%s`+"\n", r.site, r.device, r.payload[1:])
}

func (r reading) topic() string { return "freezers/" + r.site + "/" + r.device }

// freezer is the state of one device.
type freezer struct {
	temp      float64
	doorUntil event.Time // the door is open before this time
}

// fault is something that goes wrong with one freezer for some time.
type fault struct {
	freezer  int
	door     bool // its door is left open; else its compressor fails
	from, to event.Time
}

// plant simulates all freezers, one reading after the other.
type plant struct {
	rng    *rand.Rand
	all    [freezers]freezer
	faults []fault
	turn   int // number of the next reading
}

// newPlant returns the freezers of a seed. The first faults are the same for
// every seed; they come early enough for whoever waits for them.
func newPlant(seed uint64) *plant {
	minute := func(m float64) event.Time { return begin.Add(time.Duration(m * float64(time.Minute))) }
	p := &plant{rng: rand.New(rand.NewPCG(seed, 1)), faults: []fault{
		{freezer: 7, from: minute(1.5), to: minute(7.25)},
		{freezer: 3, door: true, from: minute(10), to: minute(14)},
	}}
	for i := range p.all {
		p.all[i].temp = -20 + p.rng.Float64()
	}
	return p
}

// next returns the next reading, in order of time.
func (p *plant) next() reading {
	i, round := p.turn%freezers, p.turn/freezers
	at := begin.Add(time.Duration(round)*interval + time.Duration(i)*stagger)
	p.turn++
	if last := p.faults[len(p.faults)-1]; at > last.to {
		from := at.Add(time.Duration(p.rng.IntN(120)) * time.Second)
		p.faults = append(p.faults, fault{
			freezer: p.rng.IntN(freezers), door: p.rng.IntN(2) == 0, from: from, to: from.Add(7 * time.Minute),
		})
	}
	return p.read(i, at)
}

// read moves one freezer on by one interval and lets it report.
func (p *plant) read(i int, at event.Time) reading {
	f := &p.all[i]
	amps := 4 + 0.4*p.rng.Float64()
	if p.rng.IntN(400) == 0 {
		f.doorUntil = at.Add(30 * time.Second) // somebody fetches something
	}
	open := at < f.doorUntil
	for _, x := range p.faults[max(len(p.faults)-2, 0):] {
		switch failing := at.Sub(x.from); {
		case x.freezer != i || at < x.from || at > x.to:
		case x.door:
			open = true
		case failing < 40*time.Second:
			amps = 6.5 + 2*failing.Seconds()/40
		default:
			amps = 0
		}
	}
	switch {
	case amps < 1:
		f.temp += 0.3
	case f.temp > -20:
		f.temp -= 0.6
	}
	if open {
		f.temp += 0.1
	}
	door := "closed"
	if open {
		door = "open"
	}
	temp := math.Round(10*(f.temp+0.2*p.rng.Float64())) / 10
	return reading{
		time: at, site: sites[i%len(sites)], device: fmt.Sprintf("f%02d", i+1),
		payload: fmt.Appendf(nil, `{"ts":"%s","temp_c":%.1f,"amps":%.1f,"door":"%s"}`, at, temp, amps, door),
	}
}
