package outbox

import "fmt"

// recover reads the log from its start.
func (o *Outbox) recover() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.log.Read(0, func(seq uint64, data []byte) error {
		if len(data) > 1 && data[1] > recordVersion {
			return fmt.Errorf("record %d is of format %d, and this cepd reads formats up to %d: start the newer cepd that wrote it", seq, data[1], recordVersion)
		}
		if len(data) > 0 && data[0] == kindMarks {
			m, err := readMarks(data)
			if err != nil {
				return fmt.Errorf("record %d: %w", seq, err)
			}
			o.applyMarks(m)
			return nil
		}
		if len(data) > 0 && data[0] == kindIDs {
			ids, err := readIDs(data)
			if err != nil {
				return fmt.Errorf("record %d: %w", seq, err)
			}
			o.applyIDs(seq, len(data), ids)
			return nil
		}
		rec, err := readRecord(data)
		if err != nil {
			return fmt.Errorf("record %d: %w", seq, err)
		}
		rec.body = nil
		o.apply(seq, len(data), rec, nil)
		return nil
	})
	for fp, f := range o.firing { // the raises that were given up for want of room
		if !o.queue(firingQueue).waits.has(f.seq) {
			o.cease(fp)
		}
	}
	return err
}
