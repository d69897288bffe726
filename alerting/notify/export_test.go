package notify

// What tests in package notify_test look at.
var Backoff = backoff

// Window is how many entries a sink holds.
const Window = window
