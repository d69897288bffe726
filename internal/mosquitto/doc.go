// Package mosquitto runs the mosquitto broker for tests, on the loopback
// interface, and ends it with them.
//
// Where the program is not installed a test is skipped, loudly, unless the
// environment has CEPD_REQUIRE_EXTERNAL=1: then it fails.
package mosquitto
