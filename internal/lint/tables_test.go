package lint

// imports says, for every package of this module, which packages of this module
// it may import; tests may import more. Arrows point down only: a package
// stands below all those that may import it. What is not listed may not exist.
var imports = map[string]string{
	// Layer 0: what an event is.
	"event": "",

	// Layer 0 too: the tz database, how editors are told of settings, and the
	// moments at which tests let the program die.
	"internal/failpoint":  "",
	"internal/zone":       "",
	"internal/jsonschema": "",
	"internal/deepsize":   "",

	// Layer 1: one subject each, ignorant of the others.
	"alerting":  "event",
	"decode":    "event",
	"detectors": "event",
	"expr":      "event",
	"ingest":    "event",
	"mqttconn":  "",
	"nfa":       "event",
	"state/vfs": "",
	"window":    "event",

	// Layer 1 too: what is on disk.
	"state":         "event state/vfs",
	"state/segment": "internal/failpoint state/vfs",
	"state/wal":     "event state/segment state/vfs",

	// Layer 2: rules from files, sources, sinks.
	"rules":                   "event expr nfa decode window detectors internal/jsonschema internal/zone",
	"ingest/file":             "event ingest",
	"ingest/http":             "event decode ingest",
	"ingest/mqtt":             "event ingest mqttconn",
	"alerting/notify":         "event decode alerting internal/failpoint",
	"alerting/notify/file":    "event alerting/notify",
	"alerting/notify/format":  "event expr decode alerting alerting/notify alerting/notify/text",
	"alerting/notify/mqtt":    "event alerting alerting/notify alerting/notify/format mqttconn",
	"alerting/notify/stdout":  "event alerting alerting/notify alerting/notify/text",
	"alerting/notify/text":    "event alerting alerting/notify",
	"alerting/notify/webhook": "event alerting alerting/notify alerting/notify/format",

	// What must outlive the process.
	"state/outbox": "event alerting alerting/notify state/segment state/vfs",

	// Layer 3: all rules as one deterministic state machine.
	"engine": "event expr nfa window detectors decode rules alerting internal/deepsize",

	// Layer 4: the engine driven from a file; settings; what operators look at.
	"config":         "event alerting/notify/file alerting/notify/format alerting/notify/mqtt alerting/notify/webhook ingest/file ingest/http internal/jsonschema mqttconn rules",
	"bench":          "event decode rules engine",
	"bench/generate": "bench",
	"bench/peers":    "event engine bench bench/overmqtt internal/mosquitto",
	"bench/overmqtt": "bench config daemon ingest/mqtt internal/mosquitto mqttconn",
	"bench/table":    "",
	"scenario":       "event decode expr detectors nfa window rules engine alerting alerting/notify alerting/notify/text ingest ingest/file state/wal",
	"web":            "event alerting",
	"doctor":         "alerting/notify/webhook config mqttconn rules state/vfs",

	"durable": "internal/failpoint event rules engine alerting alerting/notify state state/vfs",

	// Layer 5: wiring, and all long-lived goroutines.
	"daemon": "internal/failpoint internal/pool event config doctor durable rules engine alerting alerting/notify alerting/notify/file alerting/notify/mqtt alerting/notify/stdout alerting/notify/text " +
		"alerting/notify/webhook ingest ingest/file ingest/http ingest/mqtt mqttconn state state/outbox state/segment state/vfs state/wal web",
	"trydemo": "event alerting/notify/mqtt config engine daemon mqttconn",

	// Layer 6: flags.
	"cmd/cepd": "detectors doctor internal/detectrun internal/pool internal/zone event config alerting alerting/notify alerting/notify/text engine ingest/file rules scenario state/vfs state/wal daemon trydemo",

	// What tests share.
	"alerting/notify/internal/sample": "event alerting",

	// Measurements and checks.
	"internal/lint":      "",
	"internal/chaos":     "",
	"internal/mosquitto": "",
	"internal/leak":      "",
	"internal/detectrun": "event detectors",
	"internal/nab":       "event detectors",
	"internal/pool":      "",
	"internal/sim":       "event alerting alerting/notify durable engine rules state state/outbox state/vfs state/wal",
	"detectors/faults":   "event detectors",
}

// core lists the packages that decide: plain functions over values.
var core = []string{"event", "expr", "nfa", "decode", "window", "detectors", "alerting", "rules", "engine"}

// foreign says which packages may import a module, or a part of one, from
// elsewhere: one dependency, one package. The MQTT client has three: it reads,
// it writes, and both connect the same way.
var foreign = map[string]string{
	"cel.dev/cel-go":                      "expr",
	"github.com/goccy/go-yaml":            "rules config",
	"github.com/gorhill/cronexpr":         "rules",
	"github.com/cespare/xxhash/v2":        "event alerting rules engine state/segment",
	"github.com/dgraph-io/badger/v4":      "state",
	"github.com/eclipse/paho.mqtt.golang": "mqttconn ingest/mqtt alerting/notify/mqtt doctor bench/overmqtt",
	"github.com/mochi-mqtt/server/v2":     "trydemo",
	"github.com/prometheus/client_golang": "web",
	"github.com/fsnotify/fsnotify":        "daemon",
	"github.com/spf13/cobra":              "cmd/cepd",
	"github.com/schollz/progressbar/v3":   "cmd/cepd",
	"go.uber.org/goleak":                  "internal/leak",
	"golang.org/x/net":                    "mqttconn",
	"golang.org/x/term":                   "cmd/cepd",
}

// banned says what the core must not import: whatever depends on the machine,
// the clock, chance or another goroutine. A path ending in / stands for all
// that begins so; net/netip, which only computes with addresses, is exempt.
var banned = []string{"sync", "sync/", "os", "os/", "net", "net/", "math/rand", "math/rand/", "crypto/rand",
	"log", "log/", "runtime", "runtime/", "syscall", "io/fs", "io/ioutil", "path/filepath", "unique", "maphash", "hash/maphash", "embed/"}

// exempt are files that may import something banned. Tables of keys are found by
// hashes that nobody can foresee, as Go's own maps are, and have no order that can
// be seen.
var exempt = map[string]string{"engine/keytable.go": "hash/maphash"}

// bannedCalls are the functions of otherwise useful packages that the core must
// not name.
var bannedCalls = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"},
	"fmt":  {"Print", "Printf", "Println"},
}

// maxLines bounds a file: past it, the file has two subjects.
const maxLines = 700
