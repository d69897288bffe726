package event

import "fmt"

// RecordKind says what a record of the input log is.
type RecordKind uint8

// The kinds of records. Whatever the shell learns from a clock, a connection
// or an operator reaches the core as one of these.
const (
	KindMessage    RecordKind = iota + 1 // a message, with its payload
	KindNote                             // a batch of messages that their source can replay
	KindTick                             // the clock moved to Arrival
	KindSourceUp                         // Source is connected
	KindSourceDown                       // Source is disconnected
	KindRuleSet                          // a new rule set is in force; Payload is its content hash
	KindTables                           // new tables are in force; Payload is their content hash
	KindAdmin                            // an operator's command, in Payload
	KindStart                            // the daemon started: all sources are down
	KindEnd                              // the input has ended: event time moves to Arrival
	KindNotice                           // what the shell has noticed of itself, in Payload
)

var recordKindNames = [...]string{"", "message", "note", "tick", "source up", "source down", "rule set", "tables", "admin", "start", "end", "notice"}

// String returns the kind's name.
func (k RecordKind) String() string {
	if int(k) < len(recordKindNames) && k > 0 {
		return recordKindNames[k]
	}
	return fmt.Sprintf("record kind %d", uint8(k))
}

// Flags are what an MQTT broker says of a message. The two lowest bits are
// its quality of service.
type Flags uint8

const (
	// FlagDup marks a message that the broker sends again.
	FlagDup Flags = 1 << (iota + 2)
	// FlagRetained marks a message that the broker had kept for new subscribers.
	FlagRetained
	// FlagSession marks a source up whose broker still had the session: what
	// was sent meanwhile is not lost.
	FlagSession
	// FlagLost marks a source up whose broker had forgotten a session that it
	// should have had: what was sent meanwhile may be lost.
	FlagLost
)

// QoS returns the MQTT quality of service, 0 to 2.
func (f Flags) QoS() int { return int(f & 3) }

// Dup reports whether the message was sent before.
func (f Flags) Dup() bool { return f&FlagDup != 0 }

// Retained reports whether the broker had kept the message.
func (f Flags) Retained() bool { return f&FlagRetained != 0 }

// Session reports whether the broker still had the session.
func (f Flags) Session() bool { return f&FlagSession != 0 }

// Lost reports whether the broker had forgotten the session.
func (f Flags) Lost() bool { return f&FlagLost != 0 }

// Record is one entry of the input log. Fields that a kind does not need are
// zero.
type Record struct {
	Pos       Position
	Kind      RecordKind
	Flags     Flags
	Packet    uint16 // MQTT's number of the message, from 1 up; the same when the broker sends it again
	Partition uint32 // of the source
	Arrival   Time   // by the shell's clock, never going back within a log; zero for none, as in a replay
	Conn      uint64 // number of the source's connection, from 1 up
	Source    string // name of the source
	Topic     string
	SenderID  string // what the sender calls the message, if it says so
	Payload   []byte
}
