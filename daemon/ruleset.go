package daemon

import (
	"context"
	"fmt"
	"strings"

	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/durable"
	"github.com/cepd/cepd/engine"
	"github.com/cepd/cepd/event"
	"github.com/cepd/cepd/internal/failpoint"
	"github.com/cepd/cepd/rules"
	"github.com/cepd/cepd/web"
)

// ReloadReport says what a reload did, by names of rules.
type ReloadReport struct {
	Hash    string   `json:"hash"`              // of the set in force
	Rules   int      `json:"rules"`             // in it
	Added   []string `json:"added,omitempty"`   // new ones
	Kept    []string `json:"kept,omitempty"`    // whose state goes on
	Afresh  []string `json:"afresh,omitempty"`  // that begin anew, since the shape of their state changed
	Removed []string `json:"removed,omitempty"` // whose alerts are cleared
	Same    bool     `json:"same,omitempty"`    // no file changed
}

// MistakesError says that rule files have mistakes.
type MistakesError struct{ Report *rules.Report }

func (e *MistakesError) Error() string { return strings.TrimRight(e.Report.String(), "\n") }

// Details says it in a line, with the names of the rules that are not as they
// were.
func (r ReloadReport) Details() string {
	text := r.String()
	for _, p := range []struct {
		what  string
		names []string
	}{{"added", r.Added}, {"started afresh", r.Afresh}, {"removed", r.Removed}} {
		if len(p.names) > 0 {
			text += "; " + p.what + ": " + strings.Join(p.names, ", ")
		}
	}
	return text
}

// String says it in a line.
func (r ReloadReport) String() string {
	if r.Same {
		return plural(r.Rules, "rule") + ", nothing changed"
	}
	parts := []string{plural(r.Rules, "rule")}
	for _, p := range []struct {
		names []string
		what  string
	}{{r.Added, "added"}, {r.Kept, "kept with state"}, {r.Afresh, "started afresh"}, {r.Removed, "removed"}} {
		if len(p.names) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", len(p.names), p.what))
		}
	}
	return strings.Join(parts, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Reload reads the rule files again and brings them into force, all or nothing:
// if there is a mistake in any of them, the error is the report of all, and
// what was in force stays so. cepd.yaml is not read again.
func (d *Daemon) Reload(ctx context.Context) (ReloadReport, error) {
	report, err := d.reload(ctx)
	result, ok := "success", 1.0
	if err != nil {
		result, ok = "failure", 0
	}
	d.metrics.Add(web.Reloads, 1, result)
	d.metrics.Set(web.ReloadSuccessful, ok)
	if d.opts.OnReload != nil {
		d.opts.OnReload(report, err)
	}
	return report, err
}

// reload waits while the daemon starts: a record that names rules must find a
// place where they are kept.
func (d *Daemon) reload(ctx context.Context) (ReloadReport, error) {
	select {
	case <-d.begun:
	case <-d.halted:
		return ReloadReport{}, errStopped
	case <-ctx.Done():
		return ReloadReport{}, ctx.Err()
	}
	d.reloading.Lock()
	defer d.reloading.Unlock()
	if d.closing {
		return ReloadReport{}, errStopped
	}
	next, report, err := d.readRules()
	if err == nil {
		d.watchTables(report.TableFiles) // also after a mistake: the correction may come in one of them
		if !report.OK() {
			err = &MistakesError{report}
		}
	}
	if err != nil {
		d.log.Error("reload refused, the running rules stay", "err", err)
		return ReloadReport{}, fmt.Errorf("reloading rules: %w", err)
	}
	if old := d.rules.Load(); old != nil && old.hash == next.hash {
		d.log.Info("rules are unchanged", "rules", len(next.set.Rules), "hash", next.hash)
		return ReloadReport{Hash: next.hash, Rules: len(next.set.Rules), Same: true}, nil
	}
	done, err := d.bringIntoForce(ctx, next)
	if err != nil {
		return ReloadReport{}, err
	}
	d.log.Info("rules reloaded", "rules", done.Rules, "added", done.Added, "kept", len(done.Kept),
		"afresh", done.Afresh, "removed", done.Removed, "hash", done.Hash)
	return done, d.resubscribe(next.set)
}

// ruleSet is a set of rules with what it was compiled from.
type ruleSet struct {
	hash      string // of the bundle; records name sets by it
	set       *rules.Set
	bundle    []byte // encoded; nil once it is kept
	topicless []string
}

// readRules reads and compiles the rule files. There is a set only if the
// report has no mistakes.
func (d *Daemon) readRules() (*ruleSet, *rules.Report, error) {
	bundle, set, report, err := d.cfg.LoadBundle()
	if err != nil || !report.OK() {
		return nil, report, err
	}
	r := &ruleSet{set: set, topicless: bundle.Topicless}
	r.bundle, r.hash = bundle.Encode()
	return r, report, nil
}

// bringIntoForce writes the record that makes a set the one in force.
func (d *Daemon) bringIntoForce(ctx context.Context, next *ruleSet) (ReloadReport, error) {
	err := failpoint.Hit("reload", "before-bundle")
	if err == nil {
		err = d.keepRules(next)
	}
	if err == nil {
		err = failpoint.Hit("reload", "before-record")
	}
	if err != nil {
		return ReloadReport{}, fmt.Errorf("bringing rules into force: %w", err)
	}
	d.mu.Lock()
	d.coming[next.hash] = next
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.coming, next.hash)
	}()
	var done engine.Reload
	c := command{
		records: []event.Record{{Kind: event.KindRuleSet, Arrival: d.clock.now(), Payload: []byte(next.hash)}},
		after: func(out *engine.Output) {
			if out.Reload != nil {
				done = *out.Reload
			}
		},
		done: make(chan error, 1),
	}
	if err := d.send(ctx, c); err != nil {
		return ReloadReport{}, fmt.Errorf("bringing rules into force: %w", err)
	}
	if err := failpoint.Hit("reload", "after-record"); err != nil {
		return ReloadReport{}, fmt.Errorf("bringing rules into force: %w", err)
	}
	if done.Err != nil {
		return ReloadReport{}, fmt.Errorf("bringing rules into force: %w", done.Err)
	}
	d.inForce(next)
	return ReloadReport{
		Hash: next.hash, Rules: len(next.set.Rules),
		Added: done.Added, Kept: done.Kept, Afresh: done.Restarted, Removed: done.Removed,
	}, nil
}

// keepRules makes durable what a set was compiled from, before a record names it.
func (d *Daemon) keepRules(next *ruleSet) error {
	if d.state != nil {
		if _, err := d.state.bundles.Put(next.bundle); err != nil {
			return err
		}
	}
	next.bundle = nil
	return nil
}

// loadRules is what the engine loads the sets with that records name: those that
// are about to come into force, and in recovery those that were. It is called by
// the loop.
func (d *Daemon) loadRules(hash string) (*rules.Set, error) {
	d.mu.Lock()
	r := d.coming[hash]
	d.mu.Unlock()
	if r == nil {
		var err error
		if r, err = d.keptRules(hash); err != nil {
			return nil, err
		}
	}
	d.standIn(r)
	return r.set, nil
}

// keptRules compiles a set from what was kept of it, whatever its files are now.
func (d *Daemon) keptRules(hash string) (*ruleSet, error) {
	if d.state == nil {
		return nil, fmt.Errorf("there is no rule set %s", hash)
	}
	return compileKept(d.state.bundles, hash)
}

func compileKept(bundles *durable.Bundles, hash string) (*ruleSet, error) {
	data, err := bundles.Get(hash)
	if err != nil {
		return nil, err
	}
	b, err := config.DecodeBundle(data)
	if err != nil {
		return nil, err
	}
	set, report := b.Compile()
	if !report.OK() {
		return nil, fmt.Errorf("the rules that were in force are wrong for this version of cepd; stop the version before with SIGTERM after it has loaded rules that both take:\n%w", &MistakesError{report})
	}
	return &ruleSet{hash: hash, set: set, topicless: b.Topicless}, nil
}
