// Package config reads cepd.yaml, the daemon's own file: which rule files to
// load, where events come from and where alerts go.
//
// [Parse] reports every mistake at once, each with its place in the file. An
// unknown key is a mistake. Values (never keys) may hold ${NAME} or
// ${NAME:-default}, which stand for environment variables; they are replaced
// after the YAML is read, so that no variable can change the shape of the file.
// $${ stands for a literal ${. Rule files never expand anything.
//
// Relative paths start from the folder that the file is in. A secret can stand
// in a file of its own, named by a key that ends in _file; nothing that this
// package reports holds the value of a secret.
//
// Parse reads no clock, starts nothing and opens none of the files that the
// settings name.
package config
