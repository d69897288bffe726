// Package mqttconn turns connection settings into options of the MQTT client:
// address, client id, credentials, TLS and the pace of reconnecting. The MQTT
// source and the MQTT sink share it, so that both take the same keys and mean
// the same by them.
//
// Secrets are read here and go nowhere else: no error of this package, and no
// text that [Redact] returns, holds a password.
//
// A [Config] is a plain value. [Config.Options] reads the files it names, and
// the functions that it puts into the options read password and client
// certificate anew for each connection, from the client's goroutines.
package mqttconn
