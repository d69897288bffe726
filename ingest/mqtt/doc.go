// Package mqtt reads messages from an MQTT broker, with a client of its own or
// with Eclipse Paho; both keep the same promises.
//
// # Delivery
//
// The session at the broker is persistent and outlives the daemon. A message
// of QoS 1 is acknowledged after its batch was, that is when it is safe in the
// log; until then the broker keeps it, and sends it again after the connection
// was lost. Acknowledgements go out in the order in which the messages came,
// and only on the connection on which they came: packet ids are used again, so
// one that is late could acknowledge another message. Whoever reads must
// therefore expect to see a message twice, the second time with [event.FlagDup].
//
// Back-pressure is withheld acknowledgement: a broker stops sending when its
// window of unacknowledged messages is full. What it sends nevertheless fills
// a bounded buffer. When that is full, messages of QoS 0 are shed and counted;
// at one of QoS 1 the client's reader waits for a second at most, so that it
// misses no ping, while acknowledgements go on. If the buffer is not half empty
// by then, the source disconnects, keeping its session, until it is.
//
// Where more than two messages come in a millisecond they are taken together,
// once a millisecond, and from twenty on once in two, so that many share one waking
// of the process, one group of the log and one acknowledging; see the type pace.
//
// # Connections
//
// A source connects again by itself, for ever, and subscribes on every
// connection. Connections are numbered from 1 up. Each begins with a record
// [event.KindSourceUp], whose [event.FlagSession] says whether the broker had
// kept the session, and [event.FlagLost] whether it should have, and ends with an [event.KindSourceDown], both in their
// place among the messages.
//
// # Goroutines
//
// A source has two goroutines, one for the connection and one for the
// acknowledgements that the connection does not take at once, beside those of the
// client, which is one of our own client's for each connection. Read is called by one
// goroutine; Ack, Status and Close by any.
package mqtt
