package bench

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/cepd/cepd/event"
)

// Reading is one event of the stream of machine telemetry.
type Reading struct {
	Time        event.Time
	ID          string
	Site        string
	Device      string
	Temperature float64
	Vibration   float64
	Pressure    float64
	Status      string
}

// begin is the time before the first event of a stream.
const begin = event.Time(1_772_366_400_000_000_000) // 2026-03-01T12:00:00Z

// Telemetry returns n readings of so many devices, about one a millisecond. Of
// a thousand, ten are hot, three vibrate and three come from a machine that has
// stopped.
func Telemetry(n, devices int, seed uint64) []Reading {
	rng := rand.New(rand.NewPCG(seed, 1))
	names := make([]string, devices)
	for i := range names {
		names[i] = "pump-" + pad(i, 5)
	}
	at, out := begin, make([]Reading, n)
	for i := range out {
		at = at.Add(event.Duration(rng.IntN(2_000_000)))
		out[i] = Reading{
			Time: at, ID: "m-" + pad(i, 8), Site: "plant-" + strconv.Itoa(rng.IntN(8)), Device: names[rng.IntN(devices)],
			Temperature: round(40+30*rng.Float64(), 100), Vibration: round(rng.Float64(), 1000), Pressure: round(3+rng.Float64(), 100),
			Status: "running",
		}
		switch rng.IntN(300) {
		case 0, 1, 2:
			out[i].Temperature = round(85+10*rng.Float64(), 100)
		case 3:
			out[i].Vibration = 3
		case 4:
			out[i].Status = "stopped"
		}
	}
	return out
}

func round(x float64, parts float64) float64 { return math.Round(x*parts) / parts }

// pad returns a number of at least so many digits.
func pad(n, digits int) string {
	s := strconv.Itoa(n)
	for len(s) < digits {
		s = "0" + s
	}
	return s
}

// AppendJSON appends the reading as a JSON object of about 190 bytes.
func (r *Reading) AppendJSON(b []byte) []byte {
	b = append(b, `{"ts":"`...)
	b = time.Unix(0, int64(r.Time)).UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(append(b, `","msg_id":"`...), r.ID...)
	b = append(append(b, `","site":"`...), r.Site...)
	b = append(append(b, `","device":"`...), r.Device...)
	b = strconv.AppendFloat(append(b, `","temperature":`...), r.Temperature, 'f', 2, 64)
	b = strconv.AppendFloat(append(b, `,"vibration":`...), r.Vibration, 'f', 3, 64)
	b = strconv.AppendFloat(append(b, `,"pressure":`...), r.Pressure, 'f', 2, 64)
	b = append(append(b, `,"status":"`...), r.Status...)
	return append(b, `","fw":"2.4.1"}`...)
}

// ReadingsCSV is the header of what [Reading.AppendCSV] appends.
const ReadingsCSV = "ms,device,temperature,vibration,status"

// AppendCSV appends the fields that rules of the benchmarks use, with the time in
// milliseconds, for programs that are not written in Go.
func (r *Reading) AppendCSV(b []byte) []byte {
	b = append(strconv.AppendInt(b, int64(r.Time)/1e6, 10), ',')
	b = append(append(b, r.Device...), ',')
	b = append(strconv.AppendFloat(b, r.Temperature, 'g', -1, 64), ',')
	b = append(strconv.AppendFloat(b, r.Vibration, 'g', -1, 64), ',')
	return append(b, r.Status...)
}

// Trade is one event of the stream of stock trades.
type Trade struct {
	Time   event.Time
	ID     int64
	Kind   string // BUY or SELL
	Name   string // S00, S01, …
	Volume int64
	Price  float64
}

// Trades returns n trades, one a millisecond, of so many names, each as likely.
// Prices walk, each name its own way.
func Trades(n, names int, seed uint64) []Trade {
	rng := rand.New(rand.NewPCG(seed, 2))
	price, name := make([]float64, names), make([]string, names)
	for i := range price {
		price[i], name[i] = 50+100*rng.Float64(), "S"+pad(i, 2)
	}
	out := make([]Trade, n)
	for i := range out {
		k := rng.IntN(names)
		price[k] = round(max(1, price[k]*(1+0.002*rng.NormFloat64())), 100)
		out[i] = Trade{
			Time: begin.Add(event.Duration(i) * 1_000_000), ID: int64(i), Kind: [...]string{"BUY", "SELL"}[rng.IntN(2)], Name: name[k],
			Volume: 1 + rng.Int64N(1000), Price: price[k],
		}
	}
	return out
}

// AppendJSON appends the trade as a JSON object.
func (t *Trade) AppendJSON(b []byte) []byte {
	b = append(b, `{"ts":"`...)
	b = time.Unix(0, int64(t.Time)).UTC().AppendFormat(b, time.RFC3339Nano)
	b = strconv.AppendInt(append(b, `","id":`...), t.ID, 10)
	b = append(append(b, `,"kind":"`...), t.Kind...)
	b = append(append(b, `","name":"`...), t.Name...)
	b = strconv.AppendInt(append(b, `","volume":`...), t.Volume, 10)
	b = strconv.AppendFloat(append(b, `,"price":`...), t.Price, 'f', 2, 64)
	return append(b, '}')
}

// TradesCSV is the header of what [Trade.AppendCSV] appends.
const TradesCSV = "ms,name,volume,price"

// AppendCSV appends the trade without its number and kind.
func (t *Trade) AppendCSV(b []byte) []byte {
	b = append(strconv.AppendInt(b, int64(t.Time)/1e6, 10), ',')
	b = append(append(b, t.Name...), ',')
	b = append(strconv.AppendInt(b, t.Volume, 10), ',')
	return strconv.AppendFloat(b, t.Price, 'g', -1, 64)
}

// What the streams of most rows are made of.
const (
	Devices = 10_000 // of the telemetry
	Names   = 26     // of the trades
)
