// Package alerting says what an alert is, and decides when one is raised and
// cleared.
//
// Everything here is a pure function of its arguments: each decision takes the
// event time `now`, reads no clock, and gives its reason, which the caller
// counts and shows. Sending is the business of package notify, below this one.
package alerting
