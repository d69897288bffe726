package engine

import (
	"fmt"

	"github.com/cepd/cepd/event"
)

// RowInfo says what a row holds, for people to read.
type RowInfo struct {
	What string // such as "state", "watermark"
	Rule string // that it belongs to; empty if to none
	Key  string // encoded
}

// DescribeRow says what a row of a name holds.
func DescribeRow(name []byte) RowInfo {
	if len(name) == 0 {
		return RowInfo{What: "unknown"}
	}
	rd := event.NewReader(name[1:])
	switch name[0] {
	case rowClock:
		return RowInfo{What: "clock"}
	case rowMarks:
		return RowInfo{What: "watermark"}
	case rowOwn:
		return RowInfo{What: "alerts of cepd itself"}
	case rowLane:
		return RowInfo{What: "progress"}
	case rowRule:
		return RowInfo{What: "definition", Rule: rd.Text()}
	case rowState:
		rd.Byte()
		return RowInfo{What: "state", Rule: rd.Text(), Key: rd.Rest()}
	case rowKey:
		rd.Byte()
		rd.Byte()
		rd.Text()
		rd.Text()
		return RowInfo{What: "times of keys", Key: rd.Rest()}
	case rowWaiting:
		return RowInfo{What: "events held back"}
	case rowParent, rowChange:
		return RowInfo{What: "alerts that hold back others"}
	case rowMemory, rowChunk:
		return RowInfo{What: "events remembered to know them again"}
	}
	return RowInfo{What: "unknown"}
}

// String names what the row holds.
func (i RowInfo) String() string {
	switch {
	case i.Rule == "" && i.Key == "":
		return i.What
	case i.Rule == "":
		return fmt.Sprintf("%s: key %q", i.What, event.KeyText(i.Key))
	case i.Key == "":
		return fmt.Sprintf("%s of rule %s", i.What, i.Rule)
	}
	return fmt.Sprintf("%s of rule %s and key %q", i.What, i.Rule, event.KeyText(i.Key))
}
