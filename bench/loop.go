package bench

import (
	"time"

	"github.com/cepd/cepd/event"
)

// PumpRule is the rule that most rows run: three steps, of which the last looks
// at what the first has taken.
const PumpRule = `
streams:
  telemetry:
    time: e.ts
    watermark: {lag: 0s}
    fields: {ts: timestamp, msg_id: string, site: string, device: string, temperature: double, vibration: double, pressure: double, status: string, fw: string}
rules:
  - name: pump-failure
    from: telemetry
    by: e.device
    pattern: hot -> spike -> stop
    define:
      hot: e.temperature > 80
      spike: e.vibration > 2
      stop: e.status == "stopped" && e.temperature < hot.temperature
    within: 5m
    alert:
      summary: ${key} stopped after ${hot.temperature} degrees and a spike of ${spike.vibration}
`

// PumpLoop is PumpRule as somebody would write it by hand who needs nothing but
// the number of matches.
type PumpLoop struct {
	Matches int64
	pumps   map[string]*pump
}

// pump is what the loop knows of one device: the hot readings that wait for a
// spike, and those that have seen one.
type pump struct{ hot, spiked []hotReading }

type hotReading struct {
	at          event.Time
	temperature float64
}

// NewPumpLoop returns a loop that knows no device.
func NewPumpLoop() *PumpLoop { return &PumpLoop{pumps: map[string]*pump{}} }

// Run goes over readings.
func (l *PumpLoop) Run(readings []Reading) {
	for i := range readings {
		r := &readings[i]
		isHot, isSpike, isStop := r.Temperature > 80, r.Vibration > 2, r.Status == "stopped"
		p := l.pumps[r.Device]
		if p == nil {
			if !isHot {
				continue
			}
			p = &pump{}
			l.pumps[r.Device] = p
		}
		p.hot, p.spiked = recent(p.hot, r.Time), recent(p.spiked, r.Time)
		if isStop && p.stop(r) {
			l.Matches++
			continue
		}
		if isSpike {
			p.spiked, p.hot = append(p.spiked, p.hot...), p.hot[:0]
		}
		if isHot {
			p.hot = append(p.hot, hotReading{r.Time, r.Temperature})
		}
	}
}

// stop reports whether a stop completes a match, which drops everything.
func (p *pump) stop(r *Reading) bool {
	for _, h := range p.spiked {
		if r.Temperature < h.temperature {
			p.hot, p.spiked = p.hot[:0], p.spiked[:0]
			return true
		}
	}
	return false
}

// recent returns the readings that are less than five minutes old.
func recent(hot []hotReading, now event.Time) []hotReading {
	n := 0
	for n < len(hot) && now.Sub(hot[n].at) >= 5*time.Minute {
		n++
	}
	return hot[n:]
}
