package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cepd/cepd/alerting/notify/webhook"
	"github.com/cepd/cepd/config"
	"github.com/cepd/cepd/state/vfs"
)

// state looks at the folder that must keep what cepd has acknowledged.
func (x *examination) state() {
	dir := x.cfg.State.Dir
	if dir == "" {
		x.say(Warn, "state.dir is not set: a restart forgets all state, and what was acknowledged and not delivered", "set state: {dir: data}")
		return
	}
	dir = existing(dir)
	took, err := syncs(dir)
	if err != nil {
		x.fail(fmt.Errorf("%s cannot be written: %w", dir, err))
		return
	}
	x.say(OK, fmt.Sprintf("%s can be written; a sync to the disk takes %v", dir, took.Round(10*time.Microsecond)))
	free, err := vfs.OS().Free(dir)
	if err != nil {
		x.fail(fmt.Errorf("free space of %s: %w", dir, err))
		return
	}
	const little = 1 << 30
	if free < little {
		x.say(Warn, fmt.Sprintf("%d MB are free in %s; cepd takes in nothing when the disk is full", free>>20, dir))
		return
	}
	x.say(OK, fmt.Sprintf("%d GB are free", free>>30))
}

// existing returns the folder, or the nearest above it that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// syncs returns the median time of a small write with a sync, as the log makes
// them.
func syncs(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".cepd-doctor-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	for range 15 {
		begin := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// folder looks at where a file sink writes, as far as its path is fixed.
func (x *examination) folder(path string) {
	fixed, _, _ := strings.Cut(path, "{")
	dir := existing(filepath.Dir(fixed))
	f, err := os.CreateTemp(dir, ".cepd-doctor-*")
	if err != nil {
		x.fail(fmt.Errorf("%s cannot be written: %w", dir, err))
		return
	}
	f.Close()
	os.Remove(f.Name())
	x.say(OK, dir+" can be written")
}

// file looks at the file of a source.
func (x *examination) file(path string) {
	if path == "-" {
		x.say(OK, "reads the standard input")
		return
	}
	f, err := os.Open(path)
	if err != nil {
		x.fail(err)
		return
	}
	f.Close()
	x.say(OK, path+" can be read")
}

// intake looks at the address of an HTTP source.
func (x *examination) intake(h config.HTTPSource) {
	_, secretErr := h.Secret()
	_, tlsErr := h.TLS.Config()
	if err := errors.Join(secretErr, tlsErr); err != nil {
		x.fail(err)
		return
	}
	l, err := net.Listen("tcp", h.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		x.say(Note, h.Listen+" is in use, which is as it should be if cepd runs now")
	case err != nil:
		x.fail(err)
	default:
		l.Close()
		x.say(OK, "can listen on "+h.Listen)
	}
	if h.TLS.IsZero() && h.Token+h.TokenFile != "" {
		x.say(Warn, "the token goes over the network as plain text", "set tls: {cert_file, key_file}, or put a proxy with TLS in front")
	}
}

// webhook sets a sink up, as a start does, and connects to its receiver, without
// posting.
func (x *examination) webhook(ctx context.Context, w config.WebhookSink) {
	sink, err := webhook.New(w.Config)
	if err != nil {
		x.fail(err)
		return
	}
	u := sink.URL()
	ctx, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		x.fail(err, "check the url, and that nothing blocks the way; a proxy of the environment is not tried here")
		return
	}
	defer conn.Close()
	if u.Scheme == "https" {
		t, err := w.TLS.Config(u.Hostname())
		if err != nil {
			x.fail(err)
			return
		}
		if err := tls.Client(conn, t).HandshakeContext(ctx); err != nil {
			x.fail(fmt.Errorf("TLS with %s: %w", u.Host, err), "set tls: {ca_file} to the authority that signed its certificate")
			return
		}
	}
	x.say(OK, u.Scheme+"://"+u.Host+" answers; nothing was posted")
}
