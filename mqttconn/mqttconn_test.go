package mqttconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	write(t, file, "first\r\n")
	tests := []struct {
		cfg            Config
		server         string
		user, password string
	}{
		{Config{URL: "mqtt://broker.example"}, "mqtt://broker.example:1883", "", ""},
		{Config{URL: "mqtts://broker.example"}, "mqtts://broker.example:8883", "", ""},
		{Config{URL: "ws://broker.example/mqtt"}, "ws://broker.example:80/mqtt", "", ""},
		{Config{URL: "wss://[::1]/mqtt"}, "wss://[::1]:443/mqtt", "", ""},
		{Config{URL: "tcp://127.0.0.1:18830", User: "u", Password: "p"}, "tcp://127.0.0.1:18830", "u", "p"},
		{Config{URL: "mqtt://me:pw@h"}, "mqtt://h:1883", "me", "pw"},
		{Config{URL: "mqtt://me:pw@h", User: "u"}, "mqtt://h:1883", "u", ""},
		{Config{URL: "mqtt://h", User: "u", PasswordFile: file}, "mqtt://h:1883", "u", "first"},
	}
	for _, tt := range tests {
		tt.cfg.ClientID = "c"
		o, err := tt.cfg.Options()
		if err != nil {
			t.Errorf("%+v: %v", tt.cfg, err)
			continue
		}
		if got := o.Servers[0].String(); got != tt.server {
			t.Errorf("%s gives server %s, want %s", tt.cfg.URL, got, tt.server)
		}
		var user, password string
		if o.CredentialsProvider != nil {
			user, password = o.CredentialsProvider()
		}
		if user != tt.user || password != tt.password {
			t.Errorf("%s gives %s and %s, want %s and %s", tt.cfg.URL, user, password, tt.user, tt.password)
		}
		if o.KeepAlive != 30 || o.MaxReconnectInterval != 30*time.Second || o.ConnectTimeout != 10*time.Second || o.ProtocolVersion != 4 {
			t.Errorf("defaults are not set: %+v", o)
		}
	}
}

// A password that changes is used by the next connection; a file that is gone
// for a moment leaves the last one.
func TestPasswordFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, "one\n")
	cfg := Config{URL: "mqtt://h", ClientID: "c", User: "u", PasswordFile: file}
	o, err := cfg.Options()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ text, want string }{{"two\n", "two"}, {"", "two"}, {" three ", " three "}} {
		if step.text == "" {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, file, step.text)
		}
		if _, got := o.CredentialsProvider(); got != step.want {
			t.Errorf("password %q, want %q", got, step.want)
		}
	}
	if _, err := (Config{URL: "mqtt://h", ClientID: "c", User: "u", PasswordFile: file + "x"}).Options(); err == nil {
		t.Error("a password file that is not there is no error at the start")
	}
}

func TestValidate(t *testing.T) {
	tests := map[string]Config{
		"client_id is empty":                {URL: "mqtt://h"},
		"is not a URL like mqtt://":         {URL: "http://me:hush@h", ClientID: "c"},
		"url is not a URL like":             {URL: "mqtt://me:hush@h:\x7f", ClientID: "c"},
		`url ""`:                            {ClientID: "c"},
		"use mqtts:// or wss://":            {URL: "mqtt://h", ClientID: "c", TLS: TLS{CAFile: "ca"}},
		"password and password_file":        {URL: "mqtt://h", ClientID: "c", User: "u", Password: "hush", PasswordFile: "f"},
		"a password needs a user":           {URL: "mqtt://h", ClientID: "c", Password: "hush"},
		"cert_file and key_file":            {URL: "mqtts://h", ClientID: "c", TLS: TLS{CertFile: "c"}},
		"keep_alive is 1ms, which is too":   {URL: "mqtt://h", ClientID: "c", KeepAlive: time.Millisecond},
		"connect_timeout is -1s, which is ": {URL: "mqtt://h", ClientID: "c", ConnectTimeout: -time.Second},
	}
	for want, cfg := range tests {
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%+v: %v, want it to say %q", cfg, err, want)
		}
		if _, err := cfg.Options(); err == nil {
			t.Errorf("%+v gives options", cfg)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"mqtt://me:hush@h:1883/x": "mqtt://%2A%2A%2A@h:1883/x",
		"mqtt://h":                "mqtt://h",
		"mqtt://me:hush@h:\x7f":   "(not a URL)",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

// Both sides of a TLS connection show certificates, ours from files.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pair := selfSigned(t, cert, key)
	ours := TLS{CAFile: cert, CertFile: cert, KeyFile: key}
	client, err := ours.Config("broker.test")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	server := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	if err := handshake(t, server, client); err != nil {
		t.Errorf("handshake: %v", err)
	}
	wrong, err := TLS{CAFile: cert, CertFile: cert, KeyFile: key, ServerName: "other.test"}.Config("broker.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, server, wrong); err == nil {
		t.Error("a certificate of another name is accepted")
	}

	garbage := filepath.Join(dir, "garbage")
	write(t, garbage, "no PEM")
	for _, bad := range []TLS{{CAFile: filepath.Join(dir, "none")}, {CAFile: garbage}, {CertFile: cert, KeyFile: garbage}, {CertFile: cert}} {
		if _, err := bad.Config("h"); err == nil {
			t.Errorf("%+v is no error", bad)
		}
	}
	if _, err := (Config{URL: "mqtts://h", ClientID: "c", TLS: TLS{CAFile: garbage}}).Options(); err == nil {
		t.Error("a CA file without certificates is no error at the start")
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// selfSigned writes a certificate for broker.test that is its own authority.
func selfSigned(t *testing.T, cert, key string) tls.Certificate {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"broker.test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	write(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})))
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// handshake connects over a real socket: over a pipe without a buffer, two
// sides that both report an error would wait for each other.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	errs := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			errs <- err
			return
		}
		defer c.Close()
		errs <- tls.Server(c, server).Handshake()
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	err = tls.Client(conn, client).Handshake()
	serverErr := <-errs
	conn.Close()
	if err == nil {
		err = serverErr
	}
	return err
}
