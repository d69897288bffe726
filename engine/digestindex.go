package engine

// digestIndex finds the entries of a memory by their digests. It holds their
// numbers alone, in a table with open addressing, and so takes about 12 bytes for
// an entry, where a map, which holds the digests as well, takes more than 60.
type digestIndex struct {
	chains []chain // a power of two, at most three quarters of them taken
	n      int     // that are taken
}

// chain is where the entries of one digest begin and end; zero where none is. The
// bits of newest that are not needed for that are some of the digest: where others
// are looked for, the entry, which is far away, need not be looked at.
type chain struct{ oldest, newest entryRef }

// entryRef is the number of an entry, as far as it takes to know it among those
// that are there, and one; 0: there is none.
type entryRef uint32

// refBits is how much of a number a reference has. There are [maxRemembered]
// entries at most. What is above that and its carry is for [signOf].
const (
	refBits  = 24
	signBits = refBits + 1
)

func refTo(n uint64) entryRef { return entryRef(n&(1<<refBits-1)) + 1 }

// signOf returns some bits of a digest, where a reference has none.
func signOf(d *digest) entryRef { return entryRef(d[len(d)-1]) << signBits }

// chainOf returns the chain of a digest with one entry.
func chainOf(d *digest, n uint64) chain { return chain{refTo(n), refTo(n) | signOf(d)} }

// like reports whether a chain may be that of a digest with a sign.
func (c *chain) like(sign entryRef) bool { return c.newest&^(1<<signBits-1) == sign }

// number returns the number that a reference stands for: the last one that ends
// so.
func (m *memory) number(ref entryRef) uint64 {
	last := m.end() - 1
	return last - (last-uint64(ref&(1<<signBits-1)-1))&(1<<refBits-1)
}

// leastChains is the length of the smallest table.
const leastChains = 16

// home is where the chain of a digest is, if no other is there before it.
func (x *digestIndex) home(d *digest) int {
	return int(hashDigest(d) & keyHash(len(x.chains)-1))
}

// find returns the chain of a digest, nil if there is none. It is good until
// another is inserted or removed.
func (m *memory) find(d digest) *chain {
	x := &m.index
	if x.n == 0 {
		return nil
	}
	sign := signOf(&d)
	for i := x.home(&d); ; i = (i + 1) & (len(x.chains) - 1) {
		switch c := &x.chains[i]; {
		case c.newest == 0:
			return nil
		case c.like(sign) && m.at(m.number(c.newest)).digest == d:
			return c
		}
	}
}

// insert adds the chain of a digest that has none.
func (m *memory) insert(d digest, c chain) {
	x := &m.index
	if 4*(x.n+1) > 3*len(x.chains) {
		old := x.chains
		*x = digestIndex{chains: make([]chain, max(2*len(old), leastChains))}
		for _, c := range old {
			if c.newest != 0 {
				x.put(&m.at(m.number(c.newest)).digest, c)
			}
		}
	}
	x.put(&d, c)
}

func (x *digestIndex) put(d *digest, c chain) {
	i := x.home(d)
	for x.chains[i].newest != 0 {
		i = (i + 1) & (len(x.chains) - 1)
	}
	x.chains[i] = c
	x.n++
}

// remove takes a chain out, and moves those behind it that would not be found any
// more.
func (m *memory) remove(c *chain) {
	x, d := &m.index, m.at(m.number(c.newest)).digest
	mask := len(x.chains) - 1
	free := x.home(&d)
	for &x.chains[free] != c {
		free = (free + 1) & mask
	}
	for i := (free + 1) & mask; x.chains[i].newest != 0; i = (i + 1) & mask {
		home := x.home(&m.at(m.number(x.chains[i].newest)).digest)
		if (i-home)&mask >= (i-free)&mask { // its way from home leads over what is free
			x.chains[free] = x.chains[i]
			free = i
		}
	}
	x.chains[free] = chain{}
	x.n--
}
