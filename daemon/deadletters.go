package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/state/outbox"
	"github.com/cepd/cepd/state/vfs"
	"github.com/cepd/cepd/web"
)

// addressFile says in a state directory where its daemon answers HTTP.
const addressFile = "ADDRESS"

// delivery is what there is once sinks have started.
type delivery struct {
	box        notify.Outbox
	dispatcher *notify.Dispatcher
}

// letters shows the dead letters of a daemon to its HTTP server.
type letters struct{ d *Daemon }

// errStarting answers who comes too early.
var errStarting = errors.New("cepd is starting")

// AppendDeadLetters appends dead letters as lines of JSON.
func (l letters) AppendDeadLetters(dst []byte, after uint64, limit int) ([]byte, uint64, error) {
	v := l.d.delivery.Load()
	if v == nil {
		return dst, 0, errStarting
	}
	ls, err := v.box.DeadLetters(after, limit)
	last := uint64(0)
	for i := range ls {
		dst = append(notify.AppendDeadLetter(dst, &ls[i]), '\n')
		last = ls[i].Seq
	}
	return dst, last, err
}

// Retry puts dead letters back to where they were given up.
func (l letters) Retry(numbers []uint64) (int, error) {
	if v := l.d.delivery.Load(); v != nil {
		return v.dispatcher.Retry(numbers)
	}
	return 0, errStarting
}

// Purge forgets dead letters.
func (l letters) Purge(numbers []uint64) (int, error) {
	if v := l.d.delivery.Load(); v != nil {
		return v.box.Purge(numbers)
	}
	return 0, errStarting
}

// publishAddress writes where the daemon answers into its state directory, for
// commands that need it.
func (d *Daemon) publishAddress() error {
	if d.state == nil {
		return nil
	}
	name := filepath.Join(d.state.path, addressFile)
	if d.addr == "" {
		return vfs.RemoveAny(d.state.fs, name)
	}
	return vfs.WriteFile(d.state.fs, name, []byte(d.addr+"\n"))
}

// DeadLetters are the dead letters of a state directory.
type DeadLetters struct{ dir string }

// OpenDeadLetters looks for the outbox of a state directory.
func OpenDeadLetters(dir string) (*DeadLetters, error) {
	if _, err := vfs.ReadFile(vfs.OS(), filepath.Join(dir, formatFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is no state directory of cepd, or cepd has not run with it yet", dir)
		}
		return nil, err
	}
	return &DeadLetters{dir}, nil
}

// Each calls f for every dead letter, oldest first, until it fails. The daemon
// may run meanwhile.
func (l *DeadLetters) Each(f func(*notify.DeadLetter) error) error {
	box, _, err := outbox.Open(vfs.OS(), filepath.Join(l.dir, outboxDir), outbox.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer box.Close()
	for after := uint64(0); ; {
		ls, err := box.DeadLetters(after, 100)
		if err != nil || len(ls) == 0 {
			return err
		}
		for i := range ls {
			if err := f(&ls[i]); err != nil {
				return err
			}
			after = ls[i].Seq
		}
	}
}

// Retry puts dead letters back to where they were given up, and returns how many
// it found. If the directory's daemon runs it is asked to.
func (l *DeadLetters) Retry(ctx context.Context, numbers []uint64) (int, error) {
	return l.change(ctx, "retry", numbers, (*outbox.Outbox).Retry)
}

// Purge forgets dead letters, and returns how many it found. If the directory's
// daemon runs it is asked to.
func (l *DeadLetters) Purge(ctx context.Context, numbers []uint64) (int, error) {
	return l.change(ctx, "purge", numbers, (*outbox.Outbox).Purge)
}

func (l *DeadLetters) change(ctx context.Context, verb string, numbers []uint64, do func(*outbox.Outbox, []uint64) (int, error)) (n int, err error) {
	if len(numbers) == 0 {
		return 0, nil
	}
	lock, err := vfs.OS().Lock(filepath.Join(l.dir, lockFile))
	if errors.Is(err, vfs.ErrLocked) {
		return l.ask(ctx, verb, numbers)
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	s := &stateDir{fs: vfs.OS(), path: l.dir}
	if err := s.checkFormat(); err != nil {
		return 0, err
	}
	box, _, err := outbox.Open(s.fs, filepath.Join(l.dir, outboxDir), outbox.Options{})
	if err != nil {
		return 0, err
	}
	n, err = do(box, numbers)
	return n, errors.Join(err, box.Close())
}

// askWithin bounds how long a daemon may take to answer.
const askWithin = 30 * time.Second

// ask asks the daemon that runs.
func (l *DeadLetters) ask(ctx context.Context, verb string, numbers []uint64) (int, error) {
	addr, err := vfs.ReadFile(vfs.OS(), filepath.Join(l.dir, addressFile))
	if err != nil {
		return 0, fmt.Errorf("a cepd that answers no HTTP runs with %s: set http.listen, or stop it first", l.dir)
	}
	body, err := json.Marshal(web.LettersRequest{Numbers: numbers})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	url := "http://" + strings.TrimSpace(string(addr)) + "/api/v1/dead-letters/" + verb
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("asking the cepd that runs: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return 0, fmt.Errorf("asking the cepd that runs: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the cepd that runs answers %s: %s", resp.Status, strings.TrimSpace(string(data)))
	}
	var answer web.LettersAnswer
	if err := json.Unmarshal(data, &answer); err != nil {
		return 0, fmt.Errorf("the cepd that runs answers %q", data)
	}
	return answer.Done, nil
}
