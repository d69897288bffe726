package failpoint

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Variable is the environment variable that says what happens where.
const Variable = "CEPD_FAILPOINTS"

// ErrInjected is what an operation fails with.
var ErrInjected = errors.New("a failpoint made it fail")

// actions are what happens, by name; nil without the variable.
var actions = fromEnvironment()

// action is what happens at a failpoint.
type action struct {
	do    string
	after int // how many times nothing happens before
}

// set holds the actions that have not happened yet.
type set struct {
	mu   sync.Mutex
	todo map[string]*action
}

func fromEnvironment() *set {
	text, ok := os.LookupEnv(Variable)
	if !ok || text == "" {
		return nil
	}
	s, err := parse(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "cepd: %s: %v\n", Variable, err)
		os.Exit(2)
	}
	return s
}

func parse(text string) (*set, error) {
	s := &set{todo: map[string]*action{}}
	for part := range strings.SplitSeq(text, ",") {
		name, what, ok := strings.Cut(part, "=")
		do, times, counted := strings.Cut(what, "@")
		n := 1
		if counted {
			var err error
			if n, err = strconv.Atoi(times); err != nil || n < 1 {
				return nil, fmt.Errorf("%q: %q is no number of times", part, times)
			}
		}
		if !ok || name == "" || do != "kill" && do != "fail" && do != "sleep" {
			return nil, fmt.Errorf("%q is not NAME=kill, NAME=fail or NAME=sleep, with @N or without", part)
		}
		s.todo[name] = &action{do, n - 1}
	}
	return s, nil
}

// Hit says that the program is at a failpoint: it is called by where it is and
// what is about to be, or has just been, done. The error is what the operation
// must fail with.
func Hit(where, what string) error {
	if actions == nil {
		return nil
	}
	return actions.hit(where + "." + what)
}

// sleeping is how long a sleep takes.
const sleeping = 10 * time.Second

func (s *set) hit(name string) error {
	switch s.due(name) {
	case "kill":
		fmt.Fprintf(os.Stderr, "cepd: killed at %s\n", name)
		kill()
	case "fail":
		return fmt.Errorf("%s: %w", name, ErrInjected)
	case "sleep":
		time.Sleep(sleeping)
	}
	return nil
}

// due returns what is to be done now at a failpoint, and forgets it.
func (s *set) due(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.todo[name]
	if a == nil {
		return ""
	}
	if a.after > 0 {
		a.after--
		return ""
	}
	delete(s.todo, name)
	return a.do
}

// kill ends the process at once: nothing is flushed, nobody is told.
func kill() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {} // until it has come
}
