// Package file reads records from files and pipes: JSON lines, and CSV whose
// rows become JSON objects, so that a CSV file can stand in for a stream of
// JSON messages. Names that end in .gz are decompressed.
//
// # Lines
//
// Every line is a record, right or wrong: deciding what is valid is the
// decoder's business, so that a bad line is rejected and counted like a bad
// message. Blank lines are skipped, a carriage return before the end of a line
// and a byte order mark at the beginning of the file do not count, and the
// last line needs no end. Of a line that is longer than any payload may be
// only the beginning is kept, which is still too long.
//
// # CSV
//
// The first row names the fields. In the others a cell that JSON would read as
// a number is a number, true and false are booleans, an empty cell is a field
// that the event lacks, and anything else is a text. Cells may be quoted as in
// RFC 4180; blanks around an unquoted cell do not count. A column without a
// name is ignored. A row with more cells than the header has, or with a quote
// that nothing closes, becomes a record that the decoder rejects.
//
// # Memory and time
//
// Lines are sliced out of large chunks, so that a record costs no allocation of
// its own and no copy. A chunk is used again when all batches that have lines
// of it have been given back, and else never. A batch holds what has been read;
// it does not wait for more, so that a pipe has no delay.
//
// A [Source] is read by one goroutine; Close may be called from any.
package file
