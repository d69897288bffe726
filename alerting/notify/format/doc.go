// Package format writes what receivers want to be told, each in its own words:
// the bodies of requests, such as Alertmanager's webhook message, a CloudEvent,
// a message of a chat, or a text that the user has written.
//
// A format is a function from a delivery to a body. It keeps no state, and the
// same delivery always gives the same body. What a service limits is cut to its
// limits, so that no alert is refused for its length. Texts of rules go into
// chats as they are, with whatever marks of emphasis they hold, but cannot call
// people by name: what devices send stands in them too.
//
// Bodies are written with no goroutine, clock or socket; functions may be called
// from any goroutine.
package format
