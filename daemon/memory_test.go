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

// A heap of next to nothing is not collected again and again, and one that is
// not small is collected as Go does it.
func TestGrowth(t *testing.T) {
	for _, c := range []struct{ live, least, most int64 }{
		{0, 4 << 20, 4 << 20}, {1 << 20, 4 << 20, 4 << 20}, {3 << 20, 8 << 20, 12 << 20}, {8 << 20, 8 << 20, 12 << 20},
		{20 << 20, 12 << 20, 12 << 20}, {47 << 20, 28 << 20, 29 << 20}, {48 << 20, 48 << 20, 48 << 20},
	} {
		percent := int64(growth(c.live))
		if grows := max(c.live, 1<<20) * percent / 100; grows < c.least || grows > c.most {
			t.Errorf("%d bytes grow by %d%%, which is %d; want %d to %d", c.live, percent, grows, c.least, c.most)
		}
	}
}
