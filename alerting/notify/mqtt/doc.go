// Package mqtt publishes changes of alerts, and derived events, to an MQTT
// broker.
//
// With Retain, the default way to use it, the broker keeps the message of an
// alert on the alert's topic for as long as it fires; when it clears, an empty
// retained message takes it away. So whoever subscribes sees what fires now.
//
// A [Client] is a connection of its own: it says on its status topic, by a
// retained message, that it is online, and the broker says "offline" for it
// when it is lost (the client's will). A [Sink] publishes through a Client or
// anything else that is a [Publisher].
//
// # Connections
//
// The MQTT library can connect again by itself, but then it sends again,
// without being asked, whatever was not confirmed before: the raise of an
// alert could come after its clear, and stay retained for ever. So each
// connection is a client of the library of its own, and what the loss of one
// cuts short is an error, which the dispatcher answers by another try.
//
// A Client runs one goroutine, from [Dial] to [Client.Close], beside those of
// the library. Client and Sink may be used from any number of goroutines.
package mqtt
