package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cepd/cepd/alerting"
	"github.com/cepd/cepd/alerting/notify"
	"github.com/cepd/cepd/alerting/notify/format"
)

// Config sets up a [Sink].
type Config struct {
	// URL to post to, http or https. User and password in it are sent as basic
	// authentication.
	URL string
	// URLFile holds the URL, in place of URL, where the URL is a secret.
	URLFile string
	// Secret signs the messages: whsec_ and 24 to 64 bytes in base64. Several,
	// with spaces between, give a signature each, to change secrets by.
	Secret string
	// SecretFile holds the secret, in place of Secret.
	SecretFile string
	// Format of the bodies, one of [format.Names]. Default: alertmanager.
	Format string
	// Body and EventBody are the templates of alerts and of derived events, where
	// Format is template. Without EventBody the sink takes alerts only.
	Body, EventBody string
	// ContentType of what the templates make. Default: application/json.
	ContentType string
	// RoutingKey is the integration key of a service, for the format pagerduty.
	RoutingKey string
	// RoutingKeyFile holds the integration key, in place of RoutingKey.
	RoutingKeyFile string
	// Token goes with each message as Authorization: Bearer.
	Token string
	// TokenFile holds the token, in place of Token.
	TokenFile string
	// Headers are further headers. They may not be those that the sink sets
	// itself.
	Headers map[string]string
	// SkipResolved sends no message when an alert clears.
	SkipResolved bool
	// ExternalURL is where people reach this cepd; goes into messages.
	ExternalURL string
	// Version of cepd, for the User-Agent header. Default: dev.
	Version string
	// TLS says whom to trust and who we are. nil: what the system trusts.
	TLS *tls.Config
}

// EnsureDefaults fills what is left out.
func (c *Config) EnsureDefaults() {
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.Format == "" {
		c.Format = format.Alertmanager
	}
	if c.Format == format.PagerDuty && c.URL == "" && c.URLFile == "" {
		c.URL = format.PagerDutyURL
	}
}

// options returns what the format needs, but for what stands in files.
func (c Config) options() format.Options {
	return format.Options{
		Name: c.Format, ExternalURL: c.ExternalURL, RoutingKey: c.RoutingKey,
		ContentType: c.ContentType, Body: c.Body, EventBody: c.EventBody,
	}
}

// TakesEvents reports whether the sink takes events that rules emit.
func (c Config) TakesEvents() bool { return c.options().TakesEvents() }

// Mistakes returns what is wrong with Body and EventBody, and where in them.
func (c Config) Mistakes() (body, eventBody []format.Mistake) { return c.options().Mistakes() }

var ownHeaders = []string{"Content-Type", "Content-Length", "User-Agent", "Host", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"}

// Validate reports every contradiction in c at once, but for [Config.Mistakes]. It
// opens no file.
func (c Config) Validate() error {
	c.EnsureDefaults()
	errs := c.validateFormat()
	switch {
	case c.URL != "" && c.URLFile != "":
		errs = append(errs, errors.New("url and url_file are both set"))
	case c.URL == "" && c.URLFile == "":
		errs = append(errs, errors.New("no url; write url: https://hooks.example/cepd, or url_file"))
	case c.URL != "":
		_, err := parseURL(c.URL)
		errs = append(errs, err)
	}
	if c.Secret != "" && c.SecretFile != "" {
		errs = append(errs, errors.New("secret and secret_file are both set"))
	}
	if _, err := parseSecrets(c.Secret); err != nil {
		errs = append(errs, err)
	}
	if c.Token != "" && c.TokenFile != "" {
		errs = append(errs, errors.New("token and token_file are both set"))
	}
	errs = append(errs, checkToken(c.Token))
	for name, value := range c.Headers {
		known := textproto.CanonicalMIMEHeaderKey(name)
		if slices.Contains(ownHeaders, known) {
			errs = append(errs, fmt.Errorf("header %s is set by the sink itself", name))
		}
		if known == "Authorization" && c.Token+c.TokenFile != "" {
			errs = append(errs, errors.New("the header Authorization and a token are both set"))
		}
		if !validHeaderName(name) || strings.ContainsAny(value, "\r\n\x00") {
			errs = append(errs, fmt.Errorf("header %q cannot be sent", name))
		}
	}
	return errors.Join(errs...)
}

// validateFormat reports what of c does not go with its format.
func (c Config) validateFormat() []error {
	var errs []error
	bad := func(text string, args ...any) { errs = append(errs, fmt.Errorf(text, args...)) }
	if !slices.Contains(format.Names(), c.Format) {
		bad("there is no format %q; formats are %s", c.Format, strings.Join(format.Names(), ", "))
	}
	if c.Format == format.Template {
		if c.Body == "" {
			bad("format template needs a body; write body: | and the text on the lines below")
		}
		if c.ContentType != "" {
			errs = append(errs, format.CheckContentType(c.ContentType))
		}
	} else if c.Body != "" || c.EventBody != "" || c.ContentType != "" {
		bad("body, event_body and content_type go with format: template")
	}
	switch hasKey := c.RoutingKey != "" || c.RoutingKeyFile != ""; {
	case c.Format != format.PagerDuty && hasKey:
		bad("routing_key goes with format: pagerduty")
	case c.RoutingKey != "" && c.RoutingKeyFile != "":
		bad("routing_key and routing_key_file are both set")
	case c.Format == format.PagerDuty && !hasKey:
		bad("format pagerduty needs the integration key of a service; write routing_key_file, or routing_key")
	}
	if u, err := parseURL(c.URL); c.Format == format.Ntfy && err == nil {
		_, err = cutTopic(u)
		errs = append(errs, err)
	}
	return errs
}

// cutTopic takes the topic of ntfy from the end of an address: messages as JSON
// are posted to what stands before it.
func cutTopic(u *url.URL) (topic string, err error) {
	path := strings.TrimSuffix(u.Path, "/")
	i := strings.LastIndexByte(path, '/')
	if topic = path[i+1:]; topic == "" {
		return "", errors.New("format ntfy needs a topic; write url: https://ntfy.sh/TOPIC")
	}
	u.Path, u.RawPath = path[:i+1], ""
	return topic, nil
}

// checkToken reports what cannot stand in a header. Its error does not show it.
func checkToken(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("a token is of ASCII letters, digits and marks, with no space in it")
	}
	return nil
}

// validHeaderName reports whether name is a token of RFC 9110.
func validHeaderName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	}) < 0
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("url is not a URL like https://hooks.example/cepd") // the text itself may be a secret
	}
	return u, nil
}

// Sink is a [notify.Notifier] that posts to a URL.
type Sink struct {
	cfg     Config
	format  *format.Format
	url     *url.URL
	secrets [][]byte
	token   string // empty: none
	client  *http.Client
}

// New returns a sink. It reads the files that cfg names.
func New(cfg Config) (*Sink, error) {
	cfg.EnsureDefaults()
	s, err := newSink(cfg)
	if err != nil {
		return nil, fmt.Errorf("setting up a webhook: %w", err)
	}
	return s, nil
}

// URL returns the address that s posts to. It may hold a secret.
func (s *Sink) URL() *url.URL { return s.url }

func newSink(cfg Config) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	raw, err := fileOr(cfg.URLFile, cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("reading url_file: %w", err)
	}
	u, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	raw, err = fileOr(cfg.SecretFile, cfg.Secret)
	if err != nil {
		return nil, fmt.Errorf("reading secret_file: %w", err)
	}
	secrets, err := parseSecrets(raw)
	if err != nil {
		return nil, err
	}
	if cfg.SecretFile != "" && len(secrets) == 0 {
		return nil, errors.New("secret_file is empty")
	}
	token, err := fileOr(cfg.TokenFile, cfg.Token)
	if err != nil {
		return nil, fmt.Errorf("reading token_file: %w", err)
	}
	if cfg.TokenFile != "" && token == "" {
		return nil, errors.New("token_file is empty")
	}
	if err := checkToken(token); err != nil {
		return nil, err
	}
	bodies, err := cfg.open(u)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.TLS != nil {
		transport.TLSClientConfig = cfg.TLS
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Sink{cfg: cfg, format: bodies, url: u, secrets: secrets, token: token, client: client}, nil
}

// open returns the format, and takes from the address what goes into bodies.
func (c Config) open(u *url.URL) (*format.Format, error) {
	o := c.options()
	var err error
	if o.RoutingKey, err = fileOr(c.RoutingKeyFile, c.RoutingKey); err != nil {
		return nil, fmt.Errorf("reading routing_key_file: %w", err)
	}
	if c.Format == format.PagerDuty && o.RoutingKey == "" {
		return nil, errors.New("routing_key_file is empty")
	}
	if c.Format == format.Ntfy {
		if o.Topic, err = cutTopic(u); err != nil {
			return nil, err
		}
	}
	return format.New(o)
}

func fileOr(file, text string) (string, error) {
	if file == "" {
		return text, nil
	}
	b, err := os.ReadFile(file)
	return strings.TrimSpace(string(b)), err
}

// Close closes the connections that wait to be used again.
func (s *Sink) Close() { s.client.CloseIdleConnections() }

// Notify posts a delivery. An answer of 2xx confirms it.
func (s *Sink) Notify(ctx context.Context, d notify.Delivery) error {
	if s.cfg.SkipResolved && d.Transition != nil && d.Transition.Change == alerting.Cleared {
		return nil
	}
	body, err := s.format.Append(nil, &d)
	if err != nil {
		return notify.Permanent(notify.ReasonClient, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(body))
	if err != nil {
		return notify.Permanent(notify.ReasonClient, s.where(errors.New("the request cannot be made")))
	}
	for name, value := range s.cfg.Headers {
		req.Header.Set(name, value)
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", s.format.ContentType())
	req.Header.Set("User-Agent", "cepd/"+s.cfg.Version)
	req.Header.Set("Webhook-Id", d.ID)
	req.Header.Set("Webhook-Timestamp", at)
	if len(s.secrets) > 0 {
		req.Header.Set("Webhook-Signature", sign(s.secrets, d.ID, at, body))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return s.failed(err)
	}
	defer resp.Body.Close()
	return s.judge(resp)
}

// where says in an error whom it is about.
func (s *Sink) where(err error) error {
	return fmt.Errorf("posting to %s://%s: %w", s.url.Scheme, s.url.Host, err)
}

// failed turns an error of the HTTP client into one that shows no URL.
func (s *Sink) failed(err error) error {
	reason := notify.ReasonConnection
	var ue *url.Error
	if errors.As(err, &ue) {
		if ue.Timeout() {
			reason = notify.ReasonTimeout
		}
		err = ue.Err
	}
	return notify.Retry(reason, s.where(err))
}

const (
	shownBody   = 200      // bytes of an answer that an error shows
	drainedBody = 64 << 10 // bytes of an answer that are read, so that the connection can be used again
)

// judge turns an answer into nil or an error that says whether to try again.
func (s *Sink) judge(resp *http.Response) error {
	start, _ := io.ReadAll(io.LimitReader(resp.Body, shownBody))
	_, _ = io.CopyN(io.Discard, resp.Body, drainedBody)
	code := resp.StatusCode
	if code/100 == 2 {
		return nil
	}
	err := fmt.Errorf("status %d %s", code, http.StatusText(code))
	if len(start) > 0 {
		err = fmt.Errorf("%w: %q", err, start)
	}
	err = s.where(err)
	after := retryAfter(resp.Header.Get("Retry-After"), time.Now())
	switch {
	case code == http.StatusTooManyRequests:
		return notify.RetryAfter(notify.ReasonRateLimited, after, err)
	case code == http.StatusRequestTimeout:
		return notify.RetryAfter(notify.ReasonTimeout, after, err)
	case code == http.StatusTooEarly:
		return notify.RetryAfter(notify.ReasonServer, after, err)
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired:
		return notify.Permanent(notify.ReasonAuth, err)
	case code/100 == 4:
		return notify.Permanent(notify.ReasonClient, err)
	case code/100 == 3: // often a page that says that a service is down, so it may mend
		return notify.RetryAfter(notify.ReasonRedirect, after, err)
	}
	return notify.RetryAfter(notify.ReasonServer, after, err)
}

// retryAfter reads a Retry-After header: seconds, or a date. Anything else, and
// a date in the past, is 0.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	t, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(t.Sub(now), 0)
}
