package mqtt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cepd/cepd/ingest"
	"github.com/cepd/cepd/mqttconn"
)

// certificate makes a self-signed certificate for 127.0.0.1, good for both
// ends, and writes it and its key to files.
func certificate(t *testing.T, name string) (certFile, keyFile string, pair tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for file, b := range map[string][]byte{certFile: certPEM, keyFile: keyPEM} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile, pair
}

// A broker with a certificate of its own that asks for ours.
func TestTLS(t *testing.T) { forClients(t, testTLS) }

func testTLS(t *testing.T) {
	brokerFile, _, brokerPair := certificate(t, "broker")
	certFile, keyFile, ours := certificate(t, "cepd")
	trusted := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(ours.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	trusted.AddCert(leaf)
	_, address := startMochiWith(t, &tls.Config{
		Certificates: []tls.Certificate{brokerPair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted,
	})
	cfg := configFor(address)
	cfg.Conn.URL = "mqtts://" + address
	cfg.Conn.TLS = mqttconn.TLS{CAFile: brokerFile, CertFile: certFile, KeyFile: keyFile}
	r := &reader{t: t, source: newSource(t, cfg)}
	r.up("source up 1")
	r.source.Close()

	for name, wrong := range map[string]mqttconn.TLS{
		"no certificate of ours":      {CAFile: brokerFile},
		"a broker that nobody trusts": {CAFile: certFile, CertFile: certFile, KeyFile: keyFile},
	} {
		cfg.Conn.TLS = wrong
		cfg.MinBackoff, cfg.Rand = time.Hour, func() float64 { return 1 } // one attempt
		r := &reader{t: t, source: newSource(t, cfg)}
		r.until(name, func(s Status) bool { return s.Failures > 0 && errors.Is(s.Err, ingest.ErrNotConnected) })
		r.source.Close()
	}
}
