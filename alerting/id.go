package alerting

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/cepd/cepd/event"
)

// Identity is what makes one change of an alert, or one derived event, the same
// on every try, replay, number of shards and batch size. Nothing in it depends
// on when a batch or a tick came.
type Identity struct {
	Log         string         // made with the state directory; empty in replay and test
	Rule        string         // the rule's name
	Started     event.Position // of the record that last started the rule afresh
	Key         string         // encoded
	Change      Change         // zero for a derived event
	Time        event.Time     // event time of the decision
	First, Last event.Position // of the events involved; zero for none
	Ordinal     int            // among changes that are equal in all of the above
}

// TransitionID hashes an identity to 32 hexadecimal digits, the first half of
// a SHA-256 over an unambiguous encoding.
func TransitionID(id Identity) string {
	var room [128]byte // for most, so that it lies on the stack
	b := event.AppendText(room[:0], id.Log)
	b = event.AppendText(b, id.Rule)
	b = id.Started.AppendBinary(b)
	b = append(event.AppendText(b, id.Key), byte(id.Change))
	b = binary.BigEndian.AppendUint64(b, uint64(id.Time))
	b = id.Last.AppendBinary(id.First.AppendBinary(b))
	b = binary.AppendUvarint(b, uint64(id.Ordinal))
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Issuer is whose an event is: what the ids of all that a rule emits have in
// common. Like [Identity] says of it.
type Issuer struct {
	Log     string
	Rule    string
	Started event.Position
}

// DeliveryID names one delivery of a transition or derived event, by its own
// id, to one sink. It is what a webhook gets as webhook-id, and the same on
// every try; repeat is 0 for the first delivery and counts the times that a
// firing alert is sent again.
func DeliveryID(id, sink string, repeat int) string {
	b := event.AppendText(event.AppendText(nil, id), sink)
	b = binary.AppendUvarint(b, uint64(repeat))
	sum := sha256.Sum256(b)
	return "msg_" + hex.EncodeToString(sum[:16])
}
