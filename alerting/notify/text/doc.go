// Package text prints changes of alerts for people: one block of a few lines
// for each, the evidence below.
//
// What devices send is printed so that it cannot move the cursor or change
// colours. The package holds no state; its functions may be called from any
// goroutine.
package text
