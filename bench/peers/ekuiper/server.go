package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lf-edge/ekuiper/cmd"
)

// server is eKuiper in this process.
type server struct {
	home string // its folder
	url  string
}

// patience is how long the server may take to listen.
const patience = 20 * time.Second

// settings log errors alone: with more, each event is logged by each operator.
const settings = `basic: {logLevel: error, fileLog: true, restIp: 127.0.0.1, restPort: %s}
store: {type: sqlite, extStateType: sqlite}
`

// startServer returns when the server answers. It has files of settings, by name,
// and what it is told in a folder of its own, which becomes the working one.
func startServer(files map[string]string) (*server, error) {
	home, err := os.MkdirTemp("", "ekuiper")
	s := &server{home: home}
	if err != nil {
		return s, err
	}
	for _, dir := range []string{"data", "log", "plugins", "etc/sources", "etc/sinks", "etc/functions", "etc/connections"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o777); err != nil {
			return s, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return s, err
	}
	s.url = "http://" + l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	files["kuiper.yaml"] = fmt.Sprintf(settings, port)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, "etc", name), []byte(text), 0o666); err != nil {
			return s, err
		}
	}
	if err := os.Chdir(home); err != nil {
		return s, err
	}
	go cmd.Main()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if err = s.call(http.MethodGet, "/ping", nil, nil); err == nil || time.Since(began) > patience {
			return s, err
		}
	}
}

// stop removes the folder; the server ends with the process.
func (s *server) stop() { os.RemoveAll(s.home) }

type object = map[string]any

// call sends a request with something as JSON, and reads the answer as such, if
// it is wanted.
func (s *server) call(method, path string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return err
	}
	if got.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s", method, path, bytes.TrimSpace(text))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// begin defines a stream and runs a rule over it.
func (s *server) begin(stream string, rule object) error {
	if err := s.call(http.MethodPost, "/streams", object{"sql": stream}, nil); err != nil {
		return err
	}
	rule["id"] = "rule"
	return s.call(http.MethodPost, "/rules", rule, nil)
}

// end takes both away.
func (s *server) end() error {
	if err := s.call(http.MethodDelete, "/rules/rule", nil, nil); err != nil {
		return err
	}
	return s.call(http.MethodDelete, "/streams/events", nil, nil)
}

// count returns the sum of the counters of the rule whose names end so.
func (s *server) count(counter string) (n int, err error) {
	var status object
	if err := s.call(http.MethodGet, "/rules/rule/status", nil, &status); err != nil {
		return 0, err
	}
	found := false
	for name, v := range status {
		if x, ok := v.(float64); ok && strings.HasSuffix(name, counter) {
			n, found = n+int(x), true
		}
	}
	if !found {
		return 0, fmt.Errorf("the rule has no %s: %v", counter, status)
	}
	return n, nil
}

// check fails where anything was lost: who finds the buffer of the next operator
// full drops a message, and counts it as an exception.
func (s *server) check() error {
	n, err := s.count("_exceptions_total")
	if err == nil && n != 0 {
		err = fmt.Errorf("%d exceptions, such as messages dropped", n)
	}
	return err
}
