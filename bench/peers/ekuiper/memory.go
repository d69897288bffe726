package main

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/lf-edge/ekuiper/pkg/api"
	"github.com/lf-edge/ekuiper/pkg/modules"
)

// memory is a workload over rows that are in memory, and the source and the sink
// of its rule.
type memory struct {
	workload string
	rows     []api.SourceTuple
	windows  int    // that end
	half     func() // is called where the second half begins
	server   *server
	marks    chan struct{} // one for each that came out
	ended    chan error    // all results are there, or there will be no more

	mu      sync.Mutex
	batches int // of results
	results int64
	sum     float64 // of all numbers in them
}

func newMemory(workload string, rows []api.SourceTuple, s *server, half func()) *memory {
	m := &memory{workload: workload, rows: rows, server: s, half: half, marks: make(chan struct{}, 4), ended: make(chan error, 1)}
	minute := func(i int) int64 { return rows[i].Timestamp().Unix() / 60 }
	m.windows = int(minute(len(rows)-1) - minute(0))
	modules.RegisterSource("rows", func() api.Source { return rowSource{m} })
	modules.RegisterSink("count", func() api.Sink { return countSink{m} })
	return m
}

// pass goes over all rows and says what came of them.
func (m *memory) pass() error {
	m.batches, m.results, m.sum = 0, 0, 0
	if err := m.server.begin(m.rule()); err != nil {
		return err
	}
	if err := <-m.ended; err != nil {
		return err
	}
	fmt.Println("end", m.results, m.sum)
	if err := m.server.check(); err != nil {
		return err
	}
	return m.server.end()
}

// rule returns the stream and the rule of the workload.
func (m *memory) rule() (stream string, rule object) {
	stream = `CREATE STREAM events () WITH (TYPE="rows", DATASOURCE="memory", FORMAT="json"`
	options, sink := object{"sendError": false}, object{}
	rule = object{"options": options, "actions": []any{object{"count": sink}}}
	switch m.workload {
	case "filter":
		rule["sql"] = "SELECT device, temperature AS x FROM events WHERE temperature > 80"
	case "rules":
		delete(rule, "actions")
		rule["graph"] = filters()
	case "window":
		rule["sql"] = "SELECT device, count(*) AS n, avg(temperature) AS mean, max(temperature) AS top FROM events GROUP BY device, TUMBLINGWINDOW(mi, 1)"
		stream += `, TIMESTAMP="ms"`
		options["isEventTime"], options["lateTolerance"] = true, 0
		options["bufferLength"] = 2 * len(m.rows) // each has a watermark
	}
	return stream + ")", rule
}

// names are those of the trades.
const names = 100

func nameOf(i int) string { return fmt.Sprintf("S%02d", i) }

// filters returns a switch with a case for each name. As rules of their own they
// would have a source and buffers each, which takes twelve times as much. The cases
// exclude each other, so stopAtFirstMatch changes no result. Without it the switch
// reads what the operators behind it write, and now and then all stands still.
func filters() object {
	nodes, edges := object{}, object{"in": []string{"switch"}}
	nodes["in"] = object{"type": "source", "nodeType": "rows", "props": object{"sourceName": "events"}}
	cases, outs := make([]string, names), make([][]string, names)
	for i := range names {
		pick, sink := "pick"+nameOf(i), "sink"+nameOf(i)
		cases[i], outs[i] = fmt.Sprintf("name = %q AND volume > 990", nameOf(i)), []string{pick}
		nodes[pick] = object{"type": "operator", "nodeType": "pick", "props": object{"fields": []string{"name", "volume AS x"}}}
		nodes[sink] = object{"type": "sink", "nodeType": "count", "props": object{}}
		edges[pick] = []string{sink}
	}
	nodes["switch"] = object{"type": "operator", "nodeType": "switch", "props": object{"cases": cases, "stopAtFirstMatch": true}}
	edges["switch"] = outs
	return object{"nodes": nodes, "topo": object{"sources": []string{"in"}, "edges": edges}}
}

// rowSource emits the rows.
type rowSource struct{ *memory }

func (rowSource) Configure(string, map[string]any) error { return nil }
func (rowSource) Close(api.StreamContext) error          { return nil }

func (s rowSource) Open(_ api.StreamContext, out chan<- api.SourceTuple, _ chan<- error) {
	if s.workload == "window" {
		s.feed(out)
	} else {
		s.feedInChunks(out)
	}
}

// feed emits all rows at once, for a rule whose buffers hold them all. The sink
// knows the end.
func (m *memory) feed(out chan<- api.SourceTuple) {
	for i, r := range m.rows {
		if i == len(m.rows)/2 {
			for taken := 0; taken < i; time.Sleep(time.Millisecond) {
				var err error
				if taken, err = m.server.count("_window_0_records_in_total"); err != nil {
					m.ended <- err
					return
				}
			}
			m.half()
		}
		out <- r
	}
}

// chunk is how many rows go before a mark, which a filter lets pass. An operator
// of eKuiper drops what finds the next one's buffer full, and no more than two
// chunks are on their way, which fit into one of 1,024, the default.
const chunk = 500

// feedInChunks emits all rows with marks between them.
func (m *memory) feedInChunks(out chan<- api.SourceTuple) {
	marks, open := m.marksOfAll(), 0
	send := func(mark api.SourceTuple, allowed int) {
		out <- mark
		for open++; open > allowed; open-- {
			<-m.marks
		}
	}
	settle := func() {
		for _, mark := range marks {
			send(mark, 0)
		}
	}
	for i, r := range m.rows {
		if i == len(m.rows)/2 {
			settle()
			m.half()
		} else if i%chunk == 0 {
			send(marks[0], 1)
		}
		out <- r
	}
	settle()
	m.ended <- nil
}

// marksOfAll returns a row for each filter that is hotter, or more, than any.
func (m *memory) marksOfAll() (marks []api.SourceTuple) {
	n, most := 1, math.Inf(1)
	if m.workload == "rules" {
		n = names
	}
	for i := range n {
		fields := object{"name": nameOf(i), "volume": most, "device": "", "temperature": most}
		marks = append(marks, api.NewDefaultSourceTupleWithTime(fields, nil, m.rows[0].Timestamp()))
	}
	return marks
}

// countSink counts results and adds up the numbers in them.
type countSink struct{ *memory }

func (countSink) Configure(map[string]any) error { return nil }
func (countSink) Open(api.StreamContext) error   { return nil }
func (countSink) Close(api.StreamContext) error  { return nil }

func (s countSink) Collect(_ api.StreamContext, batch any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, result := range batch.([]map[string]any) {
		if x, ok := result["x"].(float64); ok && math.IsInf(x, 1) {
			s.marks <- struct{}{}
			continue
		}
		s.results++
		for _, v := range result {
			switch v := v.(type) {
			case float64:
				s.sum += v
			case int64:
				s.sum += float64(v)
			case int:
				s.sum += float64(v)
			}
		}
	}
	if s.batches++; s.workload == "window" && s.batches == s.windows {
		s.ended <- nil
	}
	return nil
}
