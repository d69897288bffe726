package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
)

// row is one line of the table. Names are those of benchmarks, without
// "Benchmark" and the number of processors.
type row struct {
	what     string
	name     string
	baseline string // empty: the figure stands alone
	metric   string
	target   string
}

const (
	cpu  = "cpu-ns/event"
	wall = "events/s"
)

var rows = []row{
	{"three steps, linked, 10,000 keys, in memory", "Memory/cepd", "Memory/loop", cpu, "1.75 of a loop by hand"},
	{"the same with a lag of 5 s", "Memory/lag=5s", "Memory/cepd", cpu, ""},
	{"JSON lines to alerts, one core", "JSONL/cepd", "JSONL/newlines", cpu, "20 of a count of newlines"},
	{"", "JSONL/cepd", "JSONL/jsonparser", cpu, "1.5 of jsonparser.EachKey"},
	{"", "JSONL/cepd", "JSONL/encoding-json", cpu, "0.2 of encoding/json"},
	{"1,000 rules with a guard each", "Rules/rules=1000", "Rules/rules=1", cpu, "3 of one rule"},
	{"10,000 rules with a guard each", "Rules/rules=10000", "Rules/rules=1", cpu, "4 of one rule"},
	{"two shards, events per second", "Shards/shards=2", "Shards/shards=1", wall, "at least 1.8 of one"},
	{"two engines that share nothing", "Shards/apart", "Shards/shards=1", wall, "what the machine allows"},
	{"3 steps, window of 10,000", "Sequence/follow=->/steps=3/window=10000", "Sequence/follow=->/steps=3/window=100", cpu, "6 of a window of 100"},
	{"25 steps, window of 10,000", "Sequence/follow=->/steps=25/window=10000", "Sequence/follow=->/steps=25/window=100", cpu, "6 of a window of 100"},
	{"25 steps, any follow, window of 10,000", "Sequence/follow=~>/steps=25/window=10000", "Sequence/follow=~>/steps=25/window=100", cpu, "6 of a window of 100"},
	{"a loop, window of 10,000", "Pattern/pattern=loop/window=10000", "Pattern/pattern=loop/window=100", cpu, "6 of a window of 100"},
	{"alternatives, window of 10,000", "Pattern/pattern=either/window=10000", "Pattern/pattern=either/window=100", cpu, "6 of a window of 100"},
	{"by name, window of 10,000", "Pattern/pattern=by/window=10000", "Pattern/pattern=by/window=100", cpu, "6 of a window of 100"},
	{"MQTT QoS 1, durable", "MQTT/cepd-native", "MQTT/bare-paho", cpu, "0.5 of a bare Paho"},
	{"", "MQTT/cepd-native", "MQTT/bare-paho", wall, "at least 0.9 of a bare Paho"},
	{"MQTT QoS 1, durable, client: paho", "MQTT/cepd-paho", "MQTT/bare-paho", cpu, "1.15 of a bare Paho"},
	{"", "MQTT/cepd-paho", "MQTT/bare-paho", wall, "at least 0.9 of a bare Paho"},
	{"bytes of a key with an open partial match", "Keys", "", "B/key", "400"},
	{"the daemon, 10,000 keys, over HTTP", "Resident/source=http/snapshots=off", "", "peak-MB", "64"},
	{"the same, with snapshots", "Resident/source=http/snapshots=on", "", "peak-MB", "120"},
	{"the daemon, 10,000 keys, over MQTT", "Resident/source=mqtt/snapshots=off", "", "peak-MB", "64"},
	{"the same, with snapshots", "Resident/source=mqtt/snapshots=on", "", "peak-MB", "120"},
	{"reloads under load", "Resident/reload", "", "peak-MB", "120"},
	{"a start after kill -9", "Resident/restart", "", "peak-MB", "120"},
	{"more devices than a limit of 128 MB holds", "Resident/limit=128MB/snapshots=off", "", "peak-MB", "128"},
	{"the same, with snapshots", "Resident/limit=128MB/snapshots=on", "", "peak-MB", "128"},
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	figures, err := read(in)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tfigure\tunit\tbaseline\tratio\tto be held against")
	for _, r := range rows {
		f, ok := figures[r.name][r.metric]
		if !ok {
			continue
		}
		base, ratio := "", ""
		if b, ok := figures[r.baseline][r.metric]; ok {
			base, ratio = number(b), fmt.Sprintf("%.2f", f/b)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.what, number(f), r.metric, base, ratio, r.target)
	}
	return w.Flush()
}

func number(f float64) string {
	if f < 100 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// processors is what Go adds to the name of a benchmark.
var processors = regexp.MustCompile(`-\d+$`)

// read returns the figures by benchmark and metric, and of several the best.
func read(in io.Reader) (map[string]map[string]float64, error) {
	figures := map[string]map[string]float64{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := processors.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")
		if figures[name] == nil {
			figures[name] = map[string]float64{}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			f, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", lines.Text(), err)
			}
			old, known := figures[name][fields[i+1]]
			better := f < old
			if fields[i+1] == wall {
				better = f > old
			}
			if !known || better {
				figures[name][fields[i+1]] = f
			}
		}
	}
	return figures, lines.Err()
}
