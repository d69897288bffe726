// Package engine runs a set of rules over the input log as one deterministic
// state machine.
//
// [Engine.Step] takes records that are durable already and returns what they
// lead to. Nothing here reads a clock, a random number or the order of a map:
// the same records give the same output for any number of shards and any size
// of batches.
//
// # The way of an event
//
// Readers, as many as there are shards, turn the messages of a batch into events,
// each a part of it. They decode a message into the slots of its stream, find its
// event time, and ask the conditions that tell which rules can want the event at
// all; for those, once for each distinct `by`, they encode its key. All of that
// depends on nothing but the message and the rules. Most events concern nobody,
// and end here.
//
// The router goes over what was read in log order: it moves the stream's
// watermark, leaves out what is late or came before, and sends the event to the
// shards that own its keys.
//
// A shard holds events back in lanes, one for each set of streams that rules
// read together, until the lane's watermark passes them. Then it judges them
// in the order of [event.Compare], with timers between them.
//
// Rules that read other rules' derived events are on a higher level. A level
// runs when all shards have finished the one below; the derived events are
// exchanged between shards in between.
//
// # Time
//
// An event is judged when its lane's watermark reaches its time. Timers that
// end an interval fire when the watermark reaches them, before the events of
// that time; timers that ask for steadiness fire when it has passed them.
//
// With `watermark: {per: key}` each key of a table has a time of its own: its
// lane is keyed, and its events and timers wait in queues of the key. Only
// silence goes by the lane's time, the highest of all keys'. Since what comes
// out of such a lane into others depends on the order of the log, a plan with
// such ties is run record by record, by one goroutine.
//
// # Snapshots
//
// [Engine.Snapshot] takes the state at a position of the log; it is written
// while the engine goes on, and costs what has changed since the last one. Who
// adds state makes it part of one of the three kinds that [Snapshot] describes,
// and reads it back in restore.go. [Restore] gives an engine that goes on as if
// it had never stopped.
//
// # Reloads
//
// A rule set comes into force at the position of its record. State stays where it
// is as far as it can, and comes to what a restart with the new rules would make of
// it. Who adds state that refers to a rule, a table or a stream by pointer or
// number sees to that in carry.go.
//
// An Engine may be used by one goroutine at a time. [Config.Do] may run its
// shards on several.
package engine
