package daemon

import (
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestGroupLimit(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s + "\n")} }
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  int64
	}{
		{"nothing is known", fstest.MapFS{}, 0},
		{"no limit", fstest.MapFS{"proc/self/cgroup": file("0::/a"), "sys/fs/cgroup/a/memory.max": file("max")}, 0},
		{"its own", fstest.MapFS{"proc/self/cgroup": file("0::/a/b"), "sys/fs/cgroup/a/b/memory.max": file("1000")}, 1000},
		{"of the group above", fstest.MapFS{"proc/self/cgroup": file("0::/a/b"), "sys/fs/cgroup/a/memory.max": file("500"), "sys/fs/cgroup/a/b/memory.max": file("1000")}, 500},
		{"in a container, which sees itself as the root", fstest.MapFS{"proc/self/cgroup": file("0::/"), "sys/fs/cgroup/memory.max": file("2000")}, 2000},
		{"version 1", fstest.MapFS{"proc/self/cgroup": file("4:cpu,cpuacct:/x\n3:memory:/y"), "sys/fs/cgroup/memory/y/memory.limit_in_bytes": file("700")}, 700},
		{"version 1 without a limit", fstest.MapFS{"proc/self/cgroup": file("3:memory:/"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712")}, 0},
		{"no sense", fstest.MapFS{"proc/self/cgroup": file("0::/\nx"), "sys/fs/cgroup/memory.max": file("lots")}, 0},
	} {
		if got := groupLimit(c.files); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestLimitMemory(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	was := debug.SetMemoryLimit(-1)
	r := newRigWith(t, tooHot, func(o *Options) { o.Config.State.Memory = 512 << 20 })
	r.start(t)
	if got := debug.SetMemoryLimit(-1); got < 256<<20 || got > 512<<20 { // less by what mapped files take
		t.Errorf("the limit is %d", got)
	}
	r.stop(t)
	if got := debug.SetMemoryLimit(-1); got != was {
		t.Errorf("afterwards the limit is %d, and was %d", got, was)
	}
}

// A heap of next to nothing is not collected again and again, one that is not
// small is collected as Go does it, and one that has just become larger, or smaller,
// as a small one.
func TestGrowth(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		lives       [2]int64
		least, most int64 // bytes that the larger one may grow by
	}{
		{[2]int64{0, 2 * mb}, 4 * mb, 4 * mb}, {[2]int64{3 * mb, 4 * mb}, 8 * mb, 8 * mb}, {[2]int64{6 * mb, 4 * mb}, 12 * mb, 12 * mb}, {[2]int64{8 * mb, 6 * mb}, 8 * mb, 12 * mb},
		{[2]int64{2 * mb, 30 * mb}, 18 * mb, 18 * mb}, {[2]int64{30 * mb, 2 * mb}, 18 * mb, 18 * mb},
		{[2]int64{100 * mb, 47 * mb}, 60 * mb, 60 * mb}, {[2]int64{100 * mb, 48 * mb}, 100 * mb, 100 * mb},
	} {
		grows := max(c.lives[0], c.lives[1]) * int64(growth(c.lives)) / 100
		if grows < c.least || grows > c.most {
			t.Errorf("%d: it may grow by %d, want %d to %d", c.lives, grows, c.least, c.most)
		}
	}
}
