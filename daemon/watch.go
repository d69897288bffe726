package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long the rule files must be left alone before they are read:
// an editor writes a file in several steps, a deployment several files.
const settle = 250 * time.Millisecond

// startWatch reloads the rules when something changes in a folder that holds
// rule files or files of their tables. Folders are watched, not files, since editors and mounted volumes
// replace files.
func (d *Daemon) startWatch(context.Context) error {
	if !d.cfg.Watch {
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching rule files: %w", err)
	}
	for _, dir := range watchedDirs(d.cfg.Rules) {
		if err := w.Add(dir); err != nil {
			_ = w.Close()
			return fmt.Errorf("watching rule files in %s: %w", dir, err)
		}
	}
	d.reloading.Lock()
	d.watcher = w
	var tables []string
	for _, t := range d.Rules().Tables {
		tables = append(tables, t.File)
	}
	d.watchTables(tables)
	d.reloading.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.watch(ctx, w)
	}()
	d.started("watcher", func(context.Context) {
		cancel()
		_ = w.Close()
		<-done
	})
	return nil
}

// watchTables watches the folders of the files of tables too, as far as they
// exist. The caller holds d.reloading.
func (d *Daemon) watchTables(files []string) {
	if d.watcher == nil {
		return
	}
	for _, f := range files {
		dir := filepath.Dir(f)
		d.mu.Lock()
		d.tables[filepath.Clean(f)] = true
		d.mu.Unlock()
		if slices.Contains(d.watcher.WatchList(), dir) {
			continue
		}
		if err := d.watcher.Add(dir); err != nil {
			d.log.Warn("watching tables", "folder", dir, "err", err)
		}
	}
}

// watchedDirs returns the folders of names and patterns. A folder that is
// itself a pattern is not watched; SIGHUP reloads what is in it.
func watchedDirs(patterns []string) []string {
	var dirs []string
	for _, p := range patterns {
		dir := filepath.Dir(p)
		if found, err := filepath.Glob(dir); err == nil && slices.Contains(found, dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// concerns reports whether something that has changed in a watched folder may
// be, or lead to, a rule file or a table. Our own log may be written beside
// them: to read the rules for each of its lines would write the next one.
func (d *Daemon) concerns(name string) bool {
	name = filepath.Clean(name)
	for _, p := range d.cfg.Rules {
		if ok, err := filepath.Match(filepath.Clean(p), name); ok || err != nil {
			return true
		}
	}
	d.mu.Lock()
	table := d.tables[name]
	d.mu.Unlock()
	if table {
		return true
	}
	info, err := os.Lstat(name)
	return err == nil && !info.Mode().IsRegular() // a mounted volume changes a link to a folder
}

// watch reloads after each burst of changes, until ctx is cancelled.
func (d *Daemon) watch(ctx context.Context, w *fsnotify.Watcher) {
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if e.Op != fsnotify.Chmod && d.concerns(e.Name) {
				quiet.Reset(settle)
			}
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			d.log.Warn("watching rule files", "err", err)
			quiet.Reset(settle) // events may have been lost
		case <-quiet.C:
			_, _ = d.Reload(ctx) // it has logged what it did
		}
	}
}
