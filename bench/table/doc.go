// Table reads the output of `go test -bench`, and prints beside each figure the
// baseline that was measured in the same run, with their ratio. Of several runs
// it takes the least.
//
//	go test -run '^$' -bench . -count 5 ./bench | go run ./bench/table
package main
