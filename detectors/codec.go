package detectors

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cepd/cepd/event"
)

// codec writes or reads a state: each type has one method that visits its
// fields, so that what is written and what is read cannot differ. When reading,
// the first mistake makes everything after it zero.
type codec struct {
	dst     []byte
	src     string
	reading bool
	bad     bool
}

func (c *codec) u64(p *uint64) {
	if !c.reading {
		c.dst = binary.LittleEndian.AppendUint64(c.dst, *p)
		return
	}
	*p = 0
	if len(c.src) < 8 {
		c.bad, c.src = true, ""
		return
	}
	for i := 7; i >= 0; i-- {
		*p = *p<<8 | uint64(c.src[i])
	}
	c.src = c.src[8:]
}

func (c *codec) f64(p *float64) {
	u := math.Float64bits(*p)
	c.u64(&u)
	*p = math.Float64frombits(u)
}

func (c *codec) int(p *int) {
	u := uint64(*p)
	c.u64(&u)
	*p = int(u)
}

func (c *codec) dur(p *event.Duration) {
	u := uint64(*p)
	c.u64(&u)
	*p = event.Duration(u)
}

func (c *codec) time(p *event.Time) {
	u := uint64(*p)
	c.u64(&u)
	*p = event.Time(u)
}

func (c *codec) byte(p *uint8) {
	if !c.reading {
		c.dst = append(c.dst, *p)
		return
	}
	*p = 0
	if c.src == "" {
		c.bad = true
		return
	}
	*p, c.src = c.src[0], c.src[1:]
}

func (c *codec) bool(p *bool) {
	var b uint8
	if *p {
		b = 1
	}
	c.byte(&b)
	*p = b == 1
}

// array visits numbers whose count is fixed by the configuration.
func (c *codec) array(p []float64) {
	for i := range p {
		c.f64(&p[i])
	}
}

// floats visits several numbers.
func (c *codec) floats(ps ...*float64) {
	for _, p := range ps {
		c.f64(p)
	}
}

func (c *codec) ints(p []int) {
	for i := range p {
		c.int(&p[i])
	}
}

func (c *codec) u16s(p []uint16) {
	for i := range p {
		lo, hi := uint8(p[i]), uint8(p[i]>>8)
		c.byte(&lo)
		c.byte(&hi)
		p[i] = uint16(lo) | uint16(hi)<<8
	}
}

func (c *codec) f32s(p []float32) {
	for i := range p {
		u := math.Float32bits(p[i])
		for shift := 0; shift < 32; shift += 8 {
			b := uint8(u >> shift)
			c.byte(&b)
			u = u&^(0xff<<shift) | uint32(b)<<shift
		}
		p[i] = math.Float32frombits(u)
	}
}

// list visits a slice that grows up to most.
func (c *codec) list(p *[]float64, most int) {
	n := c.count(len(*p), most)
	if c.reading {
		*p = append((*p)[:0], make([]float64, n)...)
	}
	c.array(*p)
}

// list32 visits a slice that grows up to most.
func (c *codec) list32(p *[]float32, most int) {
	n := c.count(len(*p), most)
	if c.reading {
		*p = append((*p)[:0], make([]float32, n)...)
	}
	c.f32s(*p)
}

// count visits a length, which may not be over most: damaged bytes must not ask
// for memory.
func (c *codec) count(n, most int) int {
	c.int(&n)
	if n < 0 || n > most {
		c.bad, c.src, n = true, "", 0
	}
	return n
}

// index visits a number from 0 to below limit, such as a place in a ring.
func (c *codec) index(p *int, limit int) { *p = c.count(*p, max(limit-1, 0)) }

// appendState appends the state that visit visits, with its length in front.
func appendState(dst []byte, visit func(*codec)) []byte {
	c := codec{}
	visit(&c)
	return event.AppendText(dst, string(c.dst))
}

func readState(r *event.Reader, visit func(*codec)) error {
	text := r.Text()
	if err := r.Err(); err != nil {
		return fmt.Errorf("reading a detector's state: %w", err)
	}
	c := codec{src: text, reading: true}
	visit(&c)
	if c.bad || c.src != "" {
		return fmt.Errorf("reading a detector's state: %w", event.ErrEncoding)
	}
	return nil
}
