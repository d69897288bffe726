package mqttconn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Config says how to reach a broker. URL and ClientID must be set; a zero
// value of anything else stands for its default.
type Config struct {
	// URL of the broker: mqtt://host:1883, mqtts://host:8883, ws://host/path or
	// wss://host/path. A port that is left out is 1883, 8883, 80 or 443. User
	// and password may stand in it, as in mqtt://user:password@host, if User
	// does not say otherwise.
	URL string
	// ClientID is the name of the client at the broker, which lets one client
	// of a name in at a time.
	ClientID string
	// User is the name to log in with. Empty: none.
	User string
	// Password goes with User.
	Password string
	// PasswordFile holds the password, in place of Password. A line end at its
	// end does not count. It is read again for each connection.
	PasswordFile string
	// TLS says whom to trust and who we are. It needs mqtts:// or wss://.
	TLS TLS
	// KeepAlive is the longest silence before a ping. Default 30s; at least 1s.
	KeepAlive time.Duration
	// ConnectTimeout bounds one attempt to connect. Default 10s.
	ConnectTimeout time.Duration
	// WriteTimeout bounds the writing of one packet. Default 10s.
	WriteTimeout time.Duration
	// ReconnectMax is the longest wait between two attempts. Default 30s.
	ReconnectMax time.Duration
}

// TLS names the files of a TLS connection. The zero value trusts what the
// system trusts and shows no certificate.
type TLS struct {
	CAFile     string // PEM; whom to trust in place of what the system trusts
	CertFile   string // PEM; our certificate, with its chain. Needs KeyFile
	KeyFile    string // PEM; the key of CertFile
	ServerName string // name that the broker's certificate must have; default: the host of the URL
	SkipVerify bool   // accept any certificate: for tests with a broker of one's own
}

// IsZero reports whether nothing is set.
func (t TLS) IsZero() bool { return t == TLS{} }

// EnsureDefaults fills what is left out.
func (c *Config) EnsureDefaults() {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.KeepAlive, 30*time.Second)
	set(&c.ConnectTimeout, 10*time.Second)
	set(&c.WriteTimeout, 10*time.Second)
	set(&c.ReconnectMax, 30*time.Second)
}

// Validate reports every contradiction in c at once. It opens no file.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if u, err := c.parse(); err != nil {
		errs = append(errs, err)
	} else if !c.TLS.IsZero() && !isTLS(u.Scheme) {
		bad("tls is set, but url says %s://; use mqtts:// or wss://", u.Scheme)
	}
	if c.ClientID == "" {
		bad("client_id is empty")
	}
	if c.Password != "" && c.PasswordFile != "" {
		bad("password and password_file are both set")
	}
	if c.User == "" && (c.Password != "" || c.PasswordFile != "") {
		bad("a password needs a user")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad("tls: cert_file and key_file go together")
	}
	for _, d := range []struct {
		name string
		d    time.Duration
		min  time.Duration
	}{{"keep_alive", c.KeepAlive, time.Second}, {"connect_timeout", c.ConnectTimeout, 0},
		{"write_timeout", c.WriteTimeout, 0}, {"reconnect_max", c.ReconnectMax, 0}} {
		if d.d != 0 && (d.d < d.min || d.d < 0) {
			bad("%s is %v, which is too short", d.name, d.d)
		}
	}
	return errors.Join(errs...)
}

var defaultPorts = map[string]string{"mqtt": "1883", "tcp": "1883", "mqtts": "8883", "ssl": "8883", "tls": "8883", "ws": "80", "wss": "443"}

func isTLS(scheme string) bool {
	return scheme == "mqtts" || scheme == "ssl" || scheme == "tls" || scheme == "wss"
}

// parse returns the URL with its port. Errors show no user or password.
func (c Config) parse() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil { // the error of url.Parse quotes the text, password and all
		return nil, errors.New("url is not a URL like mqtt://broker.example:1883")
	}
	port, ok := defaultPorts[u.Scheme]
	if !ok || u.Hostname() == "" {
		return nil, fmt.Errorf("url %q is not a URL like mqtt://broker.example:1883 (mqtt, mqtts, ws or wss)", Redact(c.URL))
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, nil
}

// Options returns options for the MQTT client: protocol 3.1.1, connecting
// again by itself, at first and after each loss. Sessions, handlers, will and
// acknowledgement are the caller's to set. It reads the files that c names, so
// that a missing one is found at the start.
func (c Config) Options() (*paho.ClientOptions, error) {
	c.EnsureDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	u, err := c.parse()
	if err != nil {
		return nil, err
	}
	login, err := c.login(u.User)
	if err != nil {
		return nil, err
	}
	u.User = nil
	o := paho.NewClientOptions()
	o.Servers = []*url.URL{u}
	o.SetClientID(c.ClientID)
	o.SetProtocolVersion(4)
	o.SetKeepAlive(c.KeepAlive)
	o.SetPingTimeout(min(c.KeepAlive, 10*time.Second))
	o.SetConnectTimeout(c.ConnectTimeout)
	o.SetWriteTimeout(c.WriteTimeout)
	o.SetAutoReconnect(true)
	o.SetMaxReconnectInterval(c.ReconnectMax)
	o.SetConnectRetry(true)
	o.SetConnectRetryInterval(min(c.ReconnectMax, 5*time.Second))
	o.SetDialer(&net.Dialer{Timeout: c.ConnectTimeout})
	if login != nil {
		o.SetCredentialsProvider(login)
	}
	if isTLS(u.Scheme) {
		t, err := c.TLS.Config(u.Hostname())
		if err != nil {
			return nil, err
		}
		o.SetTLSConfig(t)
	}
	return o, nil
}

// login returns the function that the client asks for user and password before
// each connection; nil where there are none. A password file that cannot be
// read later leaves the last password that could.
func (c Config) login(inURL *url.Userinfo) (paho.CredentialsProvider, error) {
	user, password := c.User, c.Password
	if user == "" && inURL != nil {
		user = inURL.Username()
		password, _ = inURL.Password()
	}
	if user == "" {
		return nil, nil
	}
	if c.PasswordFile == "" {
		return func() (string, string) { return user, password }, nil
	}
	password, err := readSecret(c.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("reading password_file: %w", err)
	}
	var mu sync.Mutex
	return func() (string, string) {
		mu.Lock()
		defer mu.Unlock()
		if p, err := readSecret(c.PasswordFile); err == nil {
			password = p
		}
		return user, password
	}, nil
}

func readSecret(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// Redact returns a URL without its user and password, for logs and errors.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a URL)"
	}
	if u.User != nil {
		u.User = url.User("***")
	}
	return u.String()
}
