package mqttconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"golang.org/x/net/proxy"
)

// Stream reports whether the broker is reached by a plain stream of bytes, TCP
// or TLS, and not through WebSocket.
func (c Config) Stream() bool {
	u, err := c.parse()
	return err == nil && u.Scheme != "ws" && u.Scheme != "wss"
}

// Login returns the user and the password to connect with, both empty where
// there are none. A password file is read now.
func (c Config) Login() (user, password string, err error) {
	u, err := c.parse()
	if err != nil {
		return "", "", err
	}
	login, err := c.login(u.User)
	if err != nil || login == nil {
		return "", "", err
	}
	user, password = login()
	return user, password, nil
}

// Dial opens a stream to the broker, within ConnectTimeout, through the proxy
// that ALL_PROXY names, if any. [Config.Stream] must hold.
func (c Config) Dial(ctx context.Context) (net.Conn, error) {
	c.EnsureDefaults()
	u, err := c.parse()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	conn, err := dial(ctx, u.Host)
	if err != nil || !isTLS(u.Scheme) {
		return conn, err
	}
	t, err := c.TLS.Config(u.Hostname())
	if err != nil {
		conn.Close()
		return nil, err
	}
	secure := tls.Client(conn, t)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secure, nil
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	d := proxy.FromEnvironmentUsing(&net.Dialer{})
	if d, ok := d.(proxy.ContextDialer); ok {
		return d.DialContext(ctx, "tcp", address)
	}
	return d.Dial("tcp", address)
}
