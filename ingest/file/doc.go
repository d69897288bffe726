// Package file reads records from files and pipes: JSON lines, and CSV whose
// rows become JSON objects, so that a CSV file can stand in for a stream of
// JSON messages. Names that end in .gz are decompressed.
//
// Lines are sliced out of large chunks that are never used again, so that a
// record costs no allocation and no copy.
package file
