// Package detectrun runs a detector over a CSV file and shows what it saw: as CSV
// with scores, as a summary in words, as a plot of characters and as a page with an
// interactive plot. It is behind 'cepd detect'.
package detectrun
