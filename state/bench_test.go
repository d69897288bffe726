package state

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkStore measures the epochs of a state of 100,000 rows: the first, one
// in which a tenth has changed, and opening, which reads and verifies all.
func BenchmarkStore(b *testing.B) {
	const n = 100_000
	rows := func(from, n, epoch int) [][]Row {
		value := bytes.Repeat([]byte{byte(epoch)}, 150)
		var batches [][]Row
		for at := from; at < from+n; at += 1000 {
			batch := make([]Row, 1000)
			for i := range batch {
				batch[i] = Row{fmt.Appendf(nil, "rule and key of row %08d", (at+i)*7919%100_000), value}
			}
			batches = append(batches, batch)
		}
		return batches
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			s, _, err := Open(filepath.Join(b.TempDir(), "s"), plenty())
			if err != nil {
				b.Fatal(err)
			}
			if err := write(s, false, 1, rows(0, n, 1)...); err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	dir := filepath.Join(b.TempDir(), "s")
	s, _, err := Open(dir, plenty())
	if err != nil {
		b.Fatal(err)
	}
	if err := write(s, false, 1, rows(0, n, 1)...); err != nil {
		b.Fatal(err)
	}
	seq := 1
	b.Run("tenth", func(b *testing.B) {
		for b.Loop() {
			seq++
			if err := write(s, false, uint64(seq), rows(seq*n/10%n, n/10, seq)...); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n/10)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			s, rec, err := Open(dir, plenty())
			if err != nil || rec.Back() {
				b.Fatal(rec, err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	s, _, err = Open(dir, plenty())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("rows", func(b *testing.B) {
		for b.Loop() {
			for range s.Rows(s.Epochs()[0].Epoch) {
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
