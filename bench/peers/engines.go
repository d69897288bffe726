package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/cepd/cepd/bench"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
)

// result is what one pass over a stream cost and gave. Times are those of its
// second half.
type result struct {
	cpu, wall time.Duration
	events    int
	results   int64
	sum       float64 // of all numbers in them
}

func (r result) perEvent() float64 { return float64(r.cpu.Nanoseconds()) / float64(r.events) }

// agrees reports whether two engines gave the same: sums may differ by the order
// in which they were added up.
func (r result) agrees(other result) bool {
	return r.results == other.results && math.Abs(r.sum-other.sum) <= 1e-9*math.Abs(r.sum)
}

// runner is an engine that is ready to go over the stream of one workload.
type runner interface {
	pass() (result, error)
	close()
}

// self is cepd, in this process.
type self struct{ load *bench.Workload }

func newSelf(w workload) (*self, error) {
	load, err := bench.Load(w.stream.declared+w.rules, w.stream.payloads)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.name, err)
	}
	return &self{load}, nil
}

func (s *self) pass() (result, error) {
	r := result{events: s.load.Len() - s.load.Len()/2}
	run := s.load.Start(bench.Options{Output: r.add})
	run.Run(0, s.load.Len()/2)
	runtime.GC()
	begun := time.Now()
	used, err := cpuTime(os.Getpid())
	if err != nil {
		return r, err
	}
	run.Run(s.load.Len()/2, s.load.Len())
	now, err := cpuTime(os.Getpid())
	r.cpu, r.wall = now-used, time.Since(begun)
	return r, err
}

func (s *self) close() {}

// add counts what a batch led to.
func (r *result) add(out *engine.Output) {
	for i := range out.Emitted {
		r.results++
		for _, f := range out.Emitted[i].Fields {
			switch f.Value.Kind() {
			case event.KindInt:
				r.sum += float64(f.Value.AsInt())
			case event.KindDouble:
				r.sum += f.Value.AsDouble()
			}
		}
	}
}

// program is a peer, a process that Peer.java describes.
type program struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	until *time.Timer
	half  int
}

// patience is how long a peer may take with one workload, all passes together.
const patience = 5 * time.Minute

// newProgram starts a peer for a workload over so many events.
func newProgram(cmd *exec.Cmd, events int) (*program, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &program{cmd: cmd, in: in, lines: bufio.NewScanner(out), half: events - events/2}
	p.until = time.AfterFunc(patience, func() { cmd.Process.Kill() })
	return p, nil
}

func (p *program) close() {
	p.in.Close()
	p.cmd.Wait()
	p.until.Stop()
}

func (p *program) pass() (result, error) {
	r := result{events: p.half}
	if _, err := p.await("run", "start"); err != nil {
		return r, err
	}
	begun := time.Now()
	used, err := cpuTime(p.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	line, err := p.await("go", "end")
	if err != nil {
		return r, err
	}
	now, err := cpuTime(p.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	r.cpu, r.wall = now-used, time.Since(begun)
	if _, err := fmt.Sscan(line, &r.results, &r.sum); err != nil {
		return r, fmt.Errorf("%q: %w", line, err)
	}
	_, err = p.await("", "done")
	return r, err
}

// await says something, if anything, and returns what follows a word in the
// answer. Lines that begin otherwise are what libraries print.
func (p *program) await(say, word string) (string, error) {
	if say != "" {
		if _, err := io.WriteString(p.in, say+"\n"); err != nil {
			return "", fmt.Errorf("it has ended: %w", err)
		}
	}
	for p.lines.Scan() {
		switch first, rest, _ := strings.Cut(p.lines.Text(), " "); first {
		case word:
			return rest, nil
		case "failed":
			return "", errors.New(rest)
		}
	}
	return "", fmt.Errorf("it has ended before it said %s", strconv.Quote(word))
}
