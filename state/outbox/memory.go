package outbox

import "sync"

// memory is a [Log] that is lost with the process.
type memory struct {
	mu      sync.Mutex
	first   uint64 // number of records[0], less one
	records [][]byte
	bytes   int64
}

func (m *memory) Append(group [][]byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := m.first + uint64(len(m.records)) + 1
	for _, b := range group {
		m.records = append(m.records, b)
		m.bytes += int64(len(b))
	}
	return first, nil
}

func (m *memory) Read(after uint64, f func(uint64, []byte) error) error {
	for seq := after + 1; ; seq++ {
		m.mu.Lock()
		seq = max(seq, m.first+1)
		i := seq - m.first - 1
		if i >= uint64(len(m.records)) {
			m.mu.Unlock()
			return nil
		}
		b := m.records[i]
		m.mu.Unlock()
		if err := f(seq, b); err != nil {
			return err
		}
	}
}

func (m *memory) Truncate(below uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := min(max(below, m.first+1)-m.first-1, uint64(len(m.records)))
	for i := range n {
		m.bytes -= int64(len(m.records[i]))
		m.records[i] = nil
	}
	m.records = m.records[n:]
	if m.first += n; len(m.records) == 0 {
		m.records = nil
	}
	return nil
}

func (m *memory) Bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

func (m *memory) Close() error { return nil }
