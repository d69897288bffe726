// Package mqtt reads messages from an MQTT broker. It is one of the two users
// of the MQTT client; the other one is the sink.
package mqtt
