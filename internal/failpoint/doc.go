// Package failpoint names the moments at which a crash would be worst, and lets
// tests make one of them happen, in the real program.
//
// CEPD_FAILPOINTS in the environment says what happens where, as in
//
//	CEPD_FAILPOINTS=input.after-write=kill,sink.after-send=fail@3
//
// kill ends the process as SIGKILL does; fail makes the operation at hand fail;
// sleep takes ten seconds, so that somebody can do something meanwhile. With @N it
// happens the N-th time that the program comes there, without it the first time;
// fail and sleep happen once. Without the variable a failpoint costs the look at a
// pointer.
//
// The names are in docs/durability.md, with what is guaranteed at each.
package failpoint
