// Package mosquitto runs the mosquitto broker for tests and measurements, on the
// loopback interface. Those of a test end with it.
//
// Where the program is not installed a test is skipped, loudly, unless the
// environment has CEPD_REQUIRE_EXTERNAL=1: then it fails.
package mosquitto
