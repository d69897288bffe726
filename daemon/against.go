package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/state/vfs"
)

// rulesFile says in a state directory which rules are in force, for those who
// only ask what another set would do to their state.
const rulesFile = "RULES"

// running is what is told of the rules in force.
type running struct {
	Hash  string         `json:"hash"`
	Rules []engine.Shape `json:"rules"`
}

// inForce notes that a set is in force.
func (d *Daemon) inForce(r *ruleSet) {
	d.rules.Store(r)
	d.knowRules(r.set)
	if d.state == nil {
		return
	}
	if err := vfs.WriteFile(d.state.fs, filepath.Join(d.state.path, rulesFile), runningOf(r)); err != nil {
		d.log.Warn("the rules in force could not be noted for `cepd check --against`", "err", err)
	}
}

// runningOf says it in JSON.
func runningOf(r *ruleSet) []byte {
	data, err := json.MarshalIndent(running{r.hash, engine.Shapes(r.set)}, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("daemon: rules in force: %v", err)) // texts only
	}
	return append(data, '\n')
}

// rulesForWeb returns the rules in force.
func (d *Daemon) rulesForWeb() ([]byte, error) {
	r := d.rules.Load()
	if r == nil {
		return nil, errStarting
	}
	return runningOf(r), nil
}

// Against says what would become of the rules of a daemon if a set came into
// force there. The daemon is named by the address at which it answers HTTP, or by
// its state directory.
func Against(ctx context.Context, where string, set *rules.Set) (ReloadReport, error) {
	data, err := readRunning(ctx, where)
	if err != nil {
		return ReloadReport{}, err
	}
	var now running
	if err := json.Unmarshal(data, &now); err != nil || now.Hash == "" {
		return ReloadReport{}, fmt.Errorf("%s does not say which rules are in force", where)
	}
	re := engine.Foresee(now.Rules, set)
	return ReloadReport{Hash: set.Hash, Rules: len(set.Rules), Added: re.Added, Kept: re.Kept, Afresh: re.Restarted, Removed: re.Removed}, nil
}

// maxRunning bounds the answer of a daemon.
const maxRunning = 64 << 20

func readRunning(ctx context.Context, where string) ([]byte, error) {
	if !strings.HasPrefix(where, "http://") && !strings.HasPrefix(where, "https://") {
		data, err := vfs.ReadFile(vfs.OS(), filepath.Join(where, rulesFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is no state directory of a cepd that has run: it has no file %s", where, rulesFile)
		}
		return data, err
	}
	address, err := url.JoinPath(where, "api/v1/rules")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking for the rules in force: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxRunning))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", address, resp.Status, strings.TrimSpace(string(data)))
	}
	return data, err
}
