package overmqtt

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/cepd/cepd/bench"
	"github.com/cepd/cepd/internal/mosquitto"
)

// Events is how many readings are published.
const Events = 50_000

// patience bounds how long one process may take.
const patience = time.Minute

func readings() []bench.Reading { return bench.Telemetry(Events, bench.Devices, 1) }

// Hot returns how many of the readings are hotter than 80.
func Hot() (n int) {
	for _, r := range readings() {
		if r.Temperature > 80 {
			n++
		}
	}
	return n
}

// Subscriber makes a process that reads the broker at an address until it has had
// all readings. A folder is its own.
type Subscriber func(address, dir string) *exec.Cmd

// Cost is what reading a broker took.
type Cost struct {
	CPU     float64 // nanoseconds of processor time for each message
	Rate    float64 // messages a second
	Results int     // the subscriber has
}

// Compare lets subscribers take turns, so many times, and returns the medians of
// each.
func Compare(rounds int, subscribers []Subscriber) ([]Cost, error) {
	all := make([][]Cost, len(subscribers))
	for range rounds {
		for i, s := range subscribers {
			cost, err := run(s)
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], cost)
		}
	}
	out := make([]Cost, len(subscribers))
	for i, costs := range all {
		out[i] = Cost{
			CPU:     median(costs, func(c Cost) float64 { return c.CPU }),
			Rate:    median(costs, func(c Cost) float64 { return c.Rate }),
			Results: costs[0].Results,
		}
	}
	return out, nil
}

func median(costs []Cost, of func(Cost) float64) float64 {
	all := make([]float64, len(costs))
	for i, c := range costs {
		all[i] = of(c)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// run has a subscriber take all readings from a broker of its own, set as
// `cepd doctor` advises.
func run(s Subscriber) (Cost, error) {
	dir, err := os.MkdirTemp("", "overmqtt")
	if err != nil {
		return Cost{}, err
	}
	defer os.RemoveAll(dir)
	broker, err := mosquitto.Prepare(dir, "max_queued_messages 0", "max_queued_bytes 1073741824", "max_inflight_messages 1000")
	if err != nil {
		return Cost{}, err
	}
	if err := broker.Start(); err != nil {
		return Cost{}, err
	}
	defer broker.Kill()
	sub, err := start(s(broker.Address, dir))
	if err != nil {
		return Cost{}, err
	}
	defer sub.end()
	pub, err := start(Role("publisher")(broker.Address, dir))
	if err != nil {
		return Cost{}, err
	}
	defer pub.end()
	began := time.Now()
	pub.begin()
	if _, _, err := pub.await(); err != nil {
		return Cost{}, err
	}
	used, results, err := sub.await()
	took := time.Since(began)
	return Cost{CPU: float64(used.Nanoseconds()) / Events, Rate: Events / took.Seconds(), Results: results}, err
}

// process is a subscriber or the publisher.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Scanner
	until *time.Timer
}

// start starts a process and returns when it is ready.
func start(cmd *exec.Cmd) (*process, error) {
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, stdin, bufio.NewScanner(stdout), time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })}
	if err := p.expect("ready"); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

// expect reads lines until one has a form, and what is in it. Others are what
// libraries print.
func (p *process) expect(form string, values ...any) error {
	word, _, _ := strings.Cut(form, " ")
	for p.lines.Scan() {
		switch first, rest, _ := strings.Cut(p.lines.Text(), " "); first {
		case word:
			_, err := fmt.Sscanf(p.lines.Text(), form, values...)
			return err
		case "failed":
			return fmt.Errorf("%v: %s", p.cmd.Args, rest)
		}
	}
	return fmt.Errorf("%v has ended before it said %q", p.cmd.Args, form)
}

// begin lets a process begin that waits for it.
func (p *process) begin() { _ = p.stdin.Close() }

// await returns what a process took until it had done all.
func (p *process) await() (used time.Duration, results int, err error) {
	err = p.expect("done %d %d", &used, &results)
	return used, results, err
}

// end waits for a process, which has all that it waits for itself.
func (p *process) end() {
	p.begin()
	_ = p.cmd.Wait()
	p.until.Stop()
}
