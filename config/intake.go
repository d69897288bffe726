package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cepd/cepd/ingest/http"
)

// HTTPSource takes events that are posted to it.
type HTTPSource struct {
	// Listen is the address, host:port. Addresses that others can reach need a
	// token, or certificates of clients.
	Listen string
	// Topic of events that are posted without one. Left out: none.
	Topic string
	// Token is what clients show as "Authorization: Bearer TOKEN".
	Token string
	// TokenFile holds it, in place of Token.
	TokenFile string
	TLS       ServerTLS
}

// ServerTLS is what a server proves itself with.
type ServerTLS struct {
	// CertFile and KeyFile are the server's certificate and its key.
	CertFile, KeyFile string
	// ClientCAFile has the authorities of clients' certificates. Set: a client
	// without one of theirs is refused.
	ClientCAFile string
}

// IsZero reports whether nothing is set.
func (t ServerTLS) IsZero() bool { return t == ServerTLS{} }

func (h HTTPSource) validate(path string, bad report, missing missingReport) {
	if h.Listen == "" {
		missing(path+".listen", path, "no listen; write listen: 127.0.0.1:9478")
		return
	}
	if h.Token != "" && h.TokenFile != "" {
		bad(path+".token", "token and token_file are both set; one of them is enough")
	}
	t := h.TLS
	if !t.IsZero() && (t.CertFile == "" || t.KeyFile == "") {
		bad(path+".tls", "a server's tls needs cert_file and key_file")
	}
	if err := http.CheckListen(h.Listen, h.Token != "" || h.TokenFile != "" || t.ClientCAFile != ""); err != nil {
		bad(path+".listen", "%s", strings.TrimPrefix(err.Error(), "listen: "))
	}
}

// Secret returns the token: its own, or what its file holds; empty for none.
func (h HTTPSource) Secret() (string, error) {
	if h.TokenFile == "" {
		return h.Token, nil
	}
	b, err := os.ReadFile(h.TokenFile)
	if err != nil {
		return "", fmt.Errorf("token_file: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", fmt.Errorf("token_file: %s is empty", h.TokenFile)
	}
	return token, nil
}

// Config reads the files that t names. It returns nil if t is not set.
func (t ServerTLS) Config() (*tls.Config, error) {
	if t.IsZero() {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if t.ClientCAFile != "" {
		pem, err := os.ReadFile(t.ClientCAFile)
		if err != nil {
			return nil, fmt.Errorf("tls: client_ca_file: %w", err)
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("tls: client_ca_file " + t.ClientCAFile + " has no certificate")
		}
	}
	return c, nil
}
