package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// command makes a peer's program, of which the arguments are mostly a workload and
// a file with its stream.
type command func(args ...string) *exec.Cmd

// build returns the programs of the peers that can be fetched and compiled, and
// says which cannot. That is not a failure: there is nothing to be held against
// here.
func build(out io.Writer, dir string) map[string]command {
	programs := map[string]command{}
	if err := os.MkdirAll(filepath.Join(dir, "target"), 0o777); err != nil {
		fmt.Fprintf(out, "SKIPPED: all: %v\n", err)
		return nil
	}
	if classpath, err := buildJava(dir); err != nil {
		fmt.Fprintf(out, "SKIPPED: Siddhi and Flink CEP: %v\n", err)
	} else {
		programs["siddhi"], programs["flink"] = java(classpath, "Siddhi"), java(classpath, "Flink")
	}
	if program, err := buildEKuiper(dir); err != nil {
		fmt.Fprintf(out, "SKIPPED: eKuiper: %v\n", err)
	} else {
		programs["ekuiper"] = ekuiper(program)
	}
	return programs
}

// buildJava compiles the programs in Java, and returns the path of their classes.
func buildJava(dir string) (string, error) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("they need java and mvn: %w", err)
		}
	}
	list := filepath.Join(dir, "target", "classpath.txt")
	if err := compile("mvn", "-q", "-B", "-f", filepath.Join(dir, "pom.xml"), "compile", "dependency:build-classpath", "-Dmdep.outputFile=target/classpath.txt"); err != nil {
		return "", err
	}
	jars, err := os.ReadFile(list)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "target", "classes") + string(os.PathListSeparator) + strings.TrimSpace(string(jars)), nil
}

// buildEKuiper compiles eKuiper, a module of its own, and returns the program. The
// tag leaves out what is not measured: plug-ins in other languages, the console.
func buildEKuiper(dir string) (string, error) {
	program, err := filepath.Abs(filepath.Join(dir, "target", "ekuiper"))
	if err != nil {
		return "", err
	}
	return program, compile("go", "build", "-C", filepath.Join(dir, "ekuiper"), "-tags", "core", "-o", program, ".")
}

// compile runs a tool that is silent where all is well.
func compile(tool string, args ...string) error {
	said, err := exec.Command(tool, args...).CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		why := strings.TrimSpace(err.Error() + "\n" + strings.Join(lines[:min(3, len(lines))], "\n"))
		return fmt.Errorf("could not be fetched or built, %s: %s", tool, why)
	}
	return nil
}

func java(classpath, class string) command {
	return func(args ...string) *exec.Cmd {
		return exec.Command("java", append([]string{
			// One thread collects, as one runs the rules: the collector that took the
			// least processor time with all of them.
			"-XX:+UseSerialGC", "-Xms2g", "-Xmx2g", "-Xmn1g",
			"--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.time=ALL-UNNAMED",
			"-cp", classpath, "peers." + class}, args...)...)
	}
}

func ekuiper(program string) command {
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(program, args...)
		// Garbage is collected when two gigabytes are full, as by the others, and
		// one thread does all: each operator has a goroutine, and to wake another
		// thread for each event costs more than it helps.
		cmd.Stderr = io.Discard // its log; why it fails it says otherwise
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=2GiB")
		return cmd
	}
}
