// Package overmqtt measures what it takes programs to read a broker. A publisher
// publishes readings with QoS 1 as fast as a mosquitto takes them, and programs
// that subscribe take turns. Publisher, broker and subscriber are a process each.
//
// A subscriber says "ready" on a line once it is subscribed, and when it has
// done all, "done" with the nanoseconds of processor time that it took since, and
// how many results it has. [Main] makes the program that measures any of those
// that are here.
package overmqtt
