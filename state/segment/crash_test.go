package segment_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/cepd/cepd/state/segment"
	"github.com/cepd/cepd/state/vfs"
)

var errDisk = syscall.EIO

// user is somebody who writes to a log, and keeps book of what the log
// promised.
type user struct {
	opts     segment.Options
	made     int      // records thought of
	logged   []string // appended without an error, by number
	durable  int      // how many of them a loss of power must leave
	unknown  []string // a group whose Append failed last
	truncate uint64   // what was truncated below, at most
}

// work opens the log and does a few things to it. It goes on after an error as a
// daemon would, that is, it tries again a little later; after a crash it ends.
func (u *user) work(fs vfs.FS) error {
	var l *segment.Log
	for try := 0; l == nil; try++ {
		var err error
		if l, _, err = segment.Open(fs, dir, u.opts); errors.Is(err, vfs.ErrCrashed) || errors.Is(err, segment.ErrCorrupt) || try > 5 {
			return err
		}
	}
	u.settle(l)
	for step := range 20 {
		var err error
		switch {
		case step%9 == 8:
			u.truncate = max(u.truncate, l.Last()/2)
			err = l.Truncate(u.truncate)
		case step%5 == 4:
			if err = l.Sync(); err == nil {
				u.durable = len(u.logged)
			}
		default:
			err = u.append(l, 1+step%3, 40*(step%4))
		}
		if errors.Is(err, vfs.ErrCrashed) {
			return err
		}
	}
	err := l.Close()
	if err == nil {
		u.durable = len(u.logged)
	}
	return err
}

// settle takes note of what a log that was just opened holds.
func (u *user) settle(l *segment.Log) {
	if n := int(l.Last()); n > len(u.logged) {
		u.logged = append(u.logged, u.unknown...)
	} else {
		u.logged = u.logged[:n]
	}
	u.unknown = nil
	u.durable = len(u.logged) // Open makes it so
}

func (u *user) append(l *segment.Log, n, size int) error {
	g := texts(u.made, n, size)
	u.made += n
	_, err := l.Append(group(g...))
	if err != nil {
		u.unknown = g
		return err
	}
	u.logged, u.unknown = append(u.logged, g...), nil
	if u.opts.Sync == segment.Always {
		u.durable = len(u.logged)
	}
	return nil
}

// check opens the log and says what it has lost, or has twice. What Open lets
// it see is durable from then on.
func (u *user) check(m *vfs.Mem, durable int) error {
	last, err := u.look(m, durable)
	if err != nil {
		return err
	}
	m.Crash(rand.New(rand.NewPCG(uint64(last), 3)))
	if again, err := u.look(m, last); err != nil || again != last {
		return fmt.Errorf("what could be read was not durable: %d records, and then %d: %w", last, again, err)
	}
	return nil
}

func (u *user) look(fs vfs.FS, durable int) (last int, err error) {
	l, _, err := segment.Open(fs, dir, u.opts)
	if err != nil {
		return 0, fmt.Errorf("opening again: %w", err)
	}
	got, err := contents(l, 0)
	if err != nil {
		return 0, err
	}
	if err := l.Verify(); err != nil {
		return 0, err
	}
	if l.First() > max(1, u.truncate) {
		return 0, fmt.Errorf("the log begins at %d, and was truncated below %d", l.First(), u.truncate)
	}
	if int(l.Last()) < durable {
		return 0, fmt.Errorf("the log ends at %d, and %d were durable", l.Last(), durable)
	}
	all := append(slices.Clone(u.logged), u.unknown...)
	if int(l.Last()) > len(u.logged) && int(l.Last()) != len(all) {
		return 0, fmt.Errorf("the log ends at %d, within a group", l.Last())
	}
	if want := all[l.First()-1 : l.Last()]; !slices.Equal(got, want) {
		return 0, fmt.Errorf("got records %q, want %q", got, want)
	}
	return int(l.Last()), nil
}

func users() map[string]*user {
	out := map[string]*user{}
	for name, sync := range map[string]segment.Policy{"always": segment.Always, "interval": segment.Interval, "never": segment.Never} {
		out[name] = &user{opts: options(segment.Options{Sync: sync, SegmentBytes: 600})}
	}
	return out
}

// The power goes at every operation, and again at every third one of the run
// after that. Each time the log opens, holds what was durable and nothing else,
// in order, and goes on.
func TestCrashes(t *testing.T) {
	for name := range users() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 1
			for crashed := true; crashed; n++ {
				for seed := range uint64(3) {
					var err error
					if crashed, err = crashTwice(users()[name], n, seed); err != nil {
						t.Fatalf("operation %d, seed %d: %v", n, seed, err)
					}
				}
			}
			if n < 100 {
				t.Errorf("there were only %d operations", n)
			}
		})
	}
}

// crashTwice lets the power go at an operation and again some time later. It
// reports whether there were so many operations.
func crashTwice(u *user, n int, seed uint64) (crashed bool, err error) {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	m := vfs.NewMem()
	for _, at := range []int{n, 1 + rng.IntN(80), 1 << 30} {
		down := false
		err := u.work(vfs.NewFault(m, func(op vfs.Op) *vfs.Failure {
			if down = down || op.N >= at; !down {
				return nil
			}
			return &vfs.Failure{Err: vfs.ErrCrashed, Effect: vfs.Effect(rng.IntN(3))}
		}))
		if at == n {
			crashed = down
		}
		if err != nil && !down {
			return crashed, err
		}
		m.Crash(rng)
		if err := u.check(m, u.durable); err != nil {
			return crashed, err
		}
	}
	return crashed, nil
}

// The n-th operation fails once, for every n until there are not so many: with an
// error of the disk, with no room, with half or all of it done. All that was
// acknowledged is there afterwards, in order, and nothing is there twice.
func TestEveryOperationFails(t *testing.T) {
	for name := range users() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, x := range []vfs.Failure{{Err: errDisk}, {Err: syscall.ENOSPC, Effect: vfs.Half}, {Err: errDisk, Effect: vfs.Whole}} {
				for n, failed := 1, true; failed; n++ {
					for _, power := range []bool{true, false} {
						var err error
						if failed, err = failOnce(users()[name], n, &x, power); err != nil {
							t.Fatalf("operation %d fails with %v, effect %d: %v", n, x.Err, x.Effect, err)
						}
					}
				}
			}
		})
	}
}

// failOnce lets an operation fail, and afterwards ends the process or takes the
// power away. It reports whether there were so many operations.
func failOnce(u *user, n int, x *vfs.Failure, power bool) (failed bool, err error) {
	m := vfs.NewMem()
	lost := false
	err = u.work(vfs.NewFault(m, func(op vfs.Op) *vfs.Failure {
		if op.N != n {
			return nil
		}
		failed = true
		lost = op.Name == "sync" && u.opts.Sync == segment.Never // that is what it risks
		return x
	}))
	durable := len(u.logged)
	if power {
		m.Crash(rand.New(rand.NewPCG(uint64(n), 7)))
		if err != nil || lost { // Close has failed
			durable = u.durable
		}
		if err := u.check(m, durable); err != nil {
			return failed, err
		}
	} else {
		m.Kill()
	}
	if err := u.work(m); err != nil { // it goes on
		return failed, err
	}
	return failed, u.check(m, len(u.logged))
}
