package detectrun

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cepd/cepd/detectors"
	"github.com/cepd/cepd/event"
)

// The pictures of the manual show what each method says of the last three of
// twelve days, five minutes apart, of a series with a daily rhythm and five faults.
const (
	pictureRows = 12 * 288
	pictureFrom = 9 * 288
	pictureStep = 300 * event.Duration(1e9)
)

// fault is a stretch of rows that is shaded.
type fault struct {
	name        string
	first, last int
}

var pictureFaults = []fault{
	{"spike", 2700, 2701}, {"stuck", 2830, 2868}, {"level shift", 2990, 3035}, {"gap", 3120, 3140}, {"no rhythm", 3230, 3380},
}

// pictureSeries makes the series; a value that is not there is NaN.
func pictureSeries() []float64 {
	rng := rand.New(rand.NewSource(3))
	x := make([]float64, pictureRows)
	for i := range x {
		a := 2 * math.Pi * float64(i) / 288
		season := 10*math.Sin(a) + 4*math.Sin(2*a+1)
		noise := rng.NormFloat64()
		x[i] = 50 + season + noise
		switch {
		case inFault(i, 0):
			x[i] += 35
		case inFault(i, 1):
			x[i] = x[pictureFaults[1].first-1]
		case inFault(i, 2):
			x[i] += 14
		case inFault(i, 3):
			x[i] = math.NaN()
		case inFault(i, 4):
			x[i] = 50 + noise
		}
	}
	return x
}

func inFault(row, fault int) bool {
	return row >= pictureFaults[fault].first && row <= pictureFaults[fault].last
}

// picture draws what a method says as SVG: the series with its band on top, the
// score below, anomalies as dots.
func picture(method string) ([]byte, error) {
	cfg := detectors.Config{}
	if method == "range" {
		cfg.With = map[string]float64{"low": 25, "high": 75}
	}
	d, err := detectors.New(method, cfg)
	if err != nil {
		return nil, err
	}
	c := newCanvas(method)
	for i, v := range pictureSeries() {
		if math.IsNaN(v) {
			continue
		}
		if s := d.Step(event.Time(i)*event.Time(pictureStep), []float64{v}); i >= pictureFrom {
			c.add(i, v, &s)
		}
	}
	return c.svg(), nil
}

const (
	pictureWidth  = 560
	pictureHeight = 120 // of the series
	scoreHeight   = 36  // of the score below it
	pictureLow    = 15.0
	pictureHigh   = 100.0
)

// canvas gathers the parts of a picture.
type canvas struct {
	method              string
	value, upper, lower polyline
	score               polyline
	dots                strings.Builder
}

func newCanvas(method string) *canvas {
	return &canvas{method: method, upper: polyline{every: 4}, lower: polyline{every: 4}}
}

func (c *canvas) x(row int) int {
	return (row - pictureFrom) * pictureWidth / (pictureRows - pictureFrom)
}

func (c *canvas) y(v float64) int {
	v = min(max(v, pictureLow), pictureHigh)
	return int(math.Round(pictureHeight * (pictureHigh - v) / (pictureHigh - pictureLow)))
}

func (c *canvas) add(row int, v float64, s *detectors.Score) {
	c.value.to(c.x(row), c.y(v))
	if !math.IsNaN(s.Lower) && !math.IsNaN(s.Upper) {
		c.lower.to(c.x(row), c.y(s.Lower))
		c.upper.to(c.x(row), c.y(s.Upper))
	}
	// In orders of magnitude, up to six: 0.9 is one, 0.99 is two.
	orders := min(-math.Log10(max(1-s.Score, 1e-6)), 6)
	c.score.to(c.x(row), pictureHeight+scoreHeight+4-int(math.Round(orders*scoreHeight/6)))
	if s.Anomaly {
		fmt.Fprintf(&c.dots, `<circle cx="%d" cy="%d" r="4"/>`, c.x(row), c.y(v))
	}
}

// polyline is a path of whole numbers. Of points that are closer than every, but
// for two over one another where it is 0, the last one is drawn.
type polyline struct {
	every  int
	path   strings.Builder
	points [][2]int
}

func (p *polyline) to(x, y int) {
	n := len(p.points)
	if n > 1 && (p.points[n-1][0] == x && p.points[n-2][0] == x || x-p.points[n-2][0] < p.every) {
		p.points[n-1][1] = y
		return
	}
	p.points = append(p.points, [2]int{x, y})
}

func (p *polyline) String() string {
	for i, at := range p.points {
		if i == 0 || at[0]-p.points[i-1][0] > 8 { // the start, or after a gap
			fmt.Fprintf(&p.path, "M%d %d", at[0], at[1])
			continue
		}
		sep := ""
		if dy := at[1] - p.points[i-1][1]; dy >= 0 {
			sep = " "
		}
		fmt.Fprintf(&p.path, "l%d%s%d", at[0]-p.points[i-1][0], sep, at[1]-p.points[i-1][1])
	}
	return p.path.String()
}

func (c *canvas) svg() []byte {
	var b bytes.Buffer
	height := pictureHeight + scoreHeight + 8
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="10">`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, "<title>%s</title><rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", c.method, pictureWidth, height)
	for _, f := range pictureFaults {
		fmt.Fprintf(&b, `<rect x="%d" width="%d" height="%d" fill="#fe9" fill-opacity=".6"/><text x="%d" y="10" fill="#864">%s</text>`+"\n",
			c.x(f.first)-1, max(c.x(f.last)-c.x(f.first), 1)+2, height, c.x(f.first), f.name)
	}
	fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"#7ac\"/>\n", c.upper.String())
	fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"#7ac\"/>\n", c.lower.String())
	fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"#333\"/>\n", c.value.String())
	fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"#a3c\"/>\n", c.score.String())
	fmt.Fprintf(&b, "<g fill=\"#d22\">%s</g>\n</svg>\n", c.dots.String())
	return b.Bytes()
}

// TestPictures keeps the pictures of the manual equal to what the methods say.
func TestPictures(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "detectors")
	for _, doc := range detectors.Methods() {
		got, err := picture(doc.Name)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, doc.Name+".svg")
		if *rewrite {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(bytes.NewReader(want)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		// Elsewhere the last bits of a score may differ, and a pixel with them.
		if runtime.GOARCH == "amd64" && !bytes.Equal(got, want) {
			t.Errorf("%s is not what the method says; run make detectors-doc", name)
		}
	}
}
