// Package nab runs detectors over the Numenta Anomaly Benchmark and scores them as
// the benchmark does. The data are not part of this module: `make nab NAB=DIR`
// names their folder, which holds data/ and labels/combined_windows.json.
package nab
