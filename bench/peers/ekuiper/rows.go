package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lf-edge/ekuiper/pkg/api"
)

// readRows reads a stream, of which the first line names the columns, as eKuiper
// has events when they are decoded.
func readRows(file string) ([]api.SourceTuple, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan()
	names, texts := strings.Split(lines.Text(), ","), map[string]any{}
	var rows []api.SourceTuple
	for lines.Scan() {
		fields := make(map[string]any, len(names))
		for i, text := range strings.Split(lines.Text(), ",") {
			if fields[names[i]], err = parse(names[i], text, texts); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, len(rows)+2, err)
			}
		}
		rows = append(rows, api.NewDefaultSourceTupleWithTime(fields, nil, time.UnixMilli(fields["ms"].(int64))))
	}
	return rows, lines.Err()
}

// parse returns the value of a column. Equal texts share memory.
func parse(column, text string, texts map[string]any) (any, error) {
	switch column {
	case "ms", "volume":
		return strconv.ParseInt(text, 10, 64)
	case "device", "name", "status":
		if _, ok := texts[text]; !ok {
			texts[text] = strings.Clone(text)
		}
		return texts[text], nil
	}
	return strconv.ParseFloat(text, 64)
}
