package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// cli stands for the program: two commands, of which one has the keys.
type cli struct {
	Serve struct {
		Config
	} `cmd:""`
	Version struct{} `cmd:""`
}

// world is an environment and files without the process's.
type world struct {
	env   map[string]string
	files map[string]string
}

func (w world) parse(t *testing.T, args ...string) (*Config, *Source, *kong.Context, error) {
	t.Helper()
	s := newSource(
		func(k string) (string, bool) { v, ok := w.env[k]; return v, ok },
		func(name string) ([]byte, error) {
			for k, v := range w.files {
				if filepath.Base(name) == k {
					return []byte(v), nil
				}
			}
			return nil, os.ErrNotExist
		},
	)
	s.given = slices.Collect(maps.Keys(w.env))
	var c cli
	k, err := kong.New(&c, append(s.Options(), kong.Exit(func(int) { t.Fatal("exit") }))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := k.Parse(append([]string{"serve"}, args...))
	return &c.Serve.Config, s, ctx, err
}

const (
	strongText = "Zm9ydHkgdHdvIGRpZmZlcmVudCBieXRlcywgbm9uZSBvZiB0aGVtIHdlYWs="
	weakSecret = "hunter2-hunter2"
)

func TestDefaultsNeedNothing(t *testing.T) {
	c, s, ctx, err := world{}.parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if warnings, err := c.Check(); err != nil || len(warnings) != 0 {
		t.Fatal(warnings, err)
	}
	data, _ := filepath.Abs("gotong-data")
	if c.Addr != "127.0.0.1:8080" || c.AdminAddr != "127.0.0.1:8081" || c.AccessTokenLife != 30*time.Minute ||
		c.RefreshLife != 720*time.Hour || c.StoreURL() != "sqlite://"+data+"/gotong.db" {
		t.Errorf("%+v, %s", c, c.StoreURL())
	}
	for _, e := range s.Entries(ctx) {
		if e.From != "default" {
			t.Errorf("%+v", e)
		}
	}
}

func TestPrecedence(t *testing.T) {
	w := world{
		env: map[string]string{
			"GOTONG_CONFIG": "g.yaml", "GOTONG_ADDR": "env:1", "GOTONG_ADMIN_ADDR": "env:2",
			"GOTONG_STORE_FILE": "store-url",
		},
		files: map[string]string{
			"g.yaml":    "addr: file:1\nadmin-addr: file:2\nlog-level: debug\nuser-burst: 7\nstore: file://x\n",
			"store-url": "surreal://root:" + weakSecret + "@db\n",
		},
	}
	c, s, ctx, err := w.parse(t, "--addr=flag:1")
	if err != nil {
		t.Fatal(err)
	}
	if c.Addr != "flag:1" || c.AdminAddr != "env:2" || c.LogLevel != "debug" || c.UserBurst != 7 ||
		c.Store != "surreal://root:"+weakSecret+"@db" || c.LogFormat != "json" {
		t.Errorf("%+v", c)
	}
	from := map[string]string{}
	for _, e := range s.Entries(ctx) {
		from[e.Key] = e.From
	}
	for key, want := range map[string]string{
		"addr": "flag", "admin-addr": "env GOTONG_ADMIN_ADDR", "log-level": "file g.yaml, line 3",
		"store": "env GOTONG_STORE_FILE", "log-format": "default", "config": "env GOTONG_CONFIG",
	} {
		if from[key] != want {
			t.Errorf("%s comes from %q, want %q", key, from[key], want)
		}
	}
}

func TestConfigFlagBeatsItsVariable(t *testing.T) {
	w := world{
		env:   map[string]string{"GOTONG_CONFIG": "a.yaml"},
		files: map[string]string{"a.yaml": "addr: a:1", "b.yaml": "addr: b:1"},
	}
	c, _, _, err := w.parse(t, "--config", "b.yaml")
	if err != nil || c.Addr != "b:1" {
		t.Fatalf("%q, %v", c.Addr, err)
	}
}

// Push services reject every push of a contact at a reserved domain, so it is a fault.
func TestPushContact(t *testing.T) {
	for contact, good := range map[string]bool{
		"mailto:ops@rt05.id": true, "https://rt05.id/contact": true, "mailto:ops@localhost": false, "mailto:ops@rt05.invalid": false,
		"mailto:ops@rt05.example": false, "mailto:x": false, "mailto:": false, "ops@rt05.id": false, "http://rt05.id": false,
		"https://192.168.1.1": false, "https://localhost": false, "https://chat.local/": false, "mailto:Ops <ops@rt05.id>": false,
		"mailto:ops@10.0.0.1": false, "https://": false,
	} {
		if reachable(contact) != good {
			t.Errorf("%q: accepted %v", contact, !good)
		}
	}
}

func TestMailNeedsAServerASenderAndTheAddressOfThePage(t *testing.T) {
	for name, tc := range map[string]struct{ smtp, from, public, fault string }{
		"off":                {"", "", "", ""},
		"TLS":                {"smtps://u@example.org:p%40@mail.example.org:465", "Gotong <a@example.org>", "https://rt05.example", ""},
		"STARTTLS":           {"smtp://mail.example.org", "a@example.org", "https://rt05.example", ""},
		"no sender":          {"smtp://mail.example.org", "", "https://rt05.example", "mail-from"},
		"two senders":        {"smtp://mail.example.org", "a@example.org, b@example.org", "https://rt05.example", "mail-from"},
		"a header":           {"smtp://mail.example.org", "a@example.org\r\nBcc: b@example.org", "https://rt05.example", "mail-from"},
		"no page":            {"smtp://mail.example.org", "a@example.org", "", "public-url"},
		"another scheme":     {"https://mail.example.org", "a@example.org", "https://rt05.example", "smtp"},
		"a path":             {"smtp://mail.example.org/x", "a@example.org", "https://rt05.example", "smtp"},
		"no host":            {"smtp://", "a@example.org", "https://rt05.example", "smtp"},
		"a port that is not": {"smtps://u:secret@mail.example.org:99999", "a@example.org", "https://rt05.example", "smtp"},
		"a raw password":     {"smtps://u:secret/x@mail.example.org", "a@example.org", "https://rt05.example", "smtp"},
	} {
		c, _, _, err := world{}.parse(t, "--smtp="+tc.smtp, "--mail-from="+tc.from, "--public-url="+tc.public)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Check()
		switch text := fmt.Sprint(err); {
		case (err == nil) != (tc.fault == ""), err != nil && !strings.HasPrefix(text, tc.fault+": "), strings.Contains(text, "secret"):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryKeyEverywhere(t *testing.T) {
	samples := map[string]string{
		"env": "production", "log-level": "warn", "log-format": "text", "jwt-keys": "kid=a,alg=HS256,key=b",
		"signing-key": strongText, "dev-bypass": "true", "bus": "redis", "proxy-header": "forwarded",
		"unsafe-engine": "true", "allow-untested": "true", "edge-pod": "rules", "console": "true", "push-contact": "mailto:ops@rt05.id",
	}
	typ := reflect.TypeFor[Config]()
	if typ.NumField() > 54 {
		t.Errorf("%d keys are too many", typ.NumField())
	}
	for f := range typ.Fields() {
		key := f.Tag.Get("name")
		if key == fileKey {
			continue
		}
		sample, ok := samples[key]
		switch f.Type.Kind() {
		case reflect.Int, reflect.Float64:
			sample = "3"
		case reflect.Int64:
			sample = "17m"
		default:
			if !ok {
				sample = "/some:1"
			}
		}
		ways := map[string]func() (*Config, error){
			"flag": func() (*Config, error) { c, _, _, err := world{}.parse(t, "--"+key+"="+sample); return c, err },
			"env": func() (*Config, error) {
				c, _, _, err := world{env: map[string]string{variable(key): sample}}.parse(t)
				return c, err
			},
			"file": func() (*Config, error) {
				w := world{files: map[string]string{"g.yaml": key + ": " + sample}}
				c, _, _, err := w.parse(t, "--config=g.yaml")
				return c, err
			},
		}
		want, err := ways["flag"]()
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		for way, parse := range ways {
			got, err := parse()
			if err != nil {
				t.Errorf("%s by %s: %v", key, way, err)
				continue
			}
			a, b := reflect.ValueOf(*got).FieldByName(f.Name), reflect.ValueOf(*want).FieldByName(f.Name)
			if a.IsZero() || !reflect.DeepEqual(a.Interface(), b.Interface()) {
				t.Errorf("%s by %s is %v, by flag %v", key, way, a, b)
			}
		}
	}
}

func TestBadFiles(t *testing.T) {
	tests := []struct{ name, yaml, want string }{
		{"unknown", "adr: x", "g.yaml:1: adr is not a key; did you mean addr?"},
		{"underscore", "\nadmin_addr: x", "g.yaml:2: admin_addr is not a key; did you mean admin-addr?"},
		{"case", "Log-Level: x", "did you mean log-level?"},
		{"far off", "zzzzzz: x", "zzzzzz is not a key"},
		{"config in config", "config: x", "config is not a key"},
		{"twice", "addr: a\naddr: b", "g.yaml:2: addr is set twice"},
		{"not YAML", "addr: [", "this is not YAML"},
		{"list", "- addr", "must be keys with values"},
		{"null", "addr:", "addr has a malformed value"},
		{"deep", "jwt-keys: [{kid: {a: b}}]", "malformed value"},
		{"two documents", "addr: a\n---\naddr: b", "second document"},
		{"bad number", "user-burst: many", "user-burst"},
		{"bad enum", "log-level: loud", "log-level"},
		{"text that is no key", "jwt-keys: [" + weakSecret + "]", "must be name=value pairs"},
		{"comma in a kid", "jwt-keys: [{kid: 'a,b', alg: HS256, key: " + weakSecret + "}]", "malformed value"},
		{"unknown in a key", "jwt-keys: [{kid: a, algo: HS256, key: " + weakSecret + "}]", "a part other than kid, alg"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, _, _, err := world{files: map[string]string{"g.yaml": tc.yaml}}.parse(t, "--config=g.yaml")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
			if strings.Contains(err.Error(), weakSecret) {
				t.Errorf("shows a secret: %v", err)
			}
		})
	}
	if _, _, _, err := (world{}).parse(t, "--config=gone.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, _, _, err := (world{files: map[string]string{"g.yaml": "# nothing\n"}}).parse(t, "--config=g.yaml"); err != nil {
		t.Errorf("empty file: %v", err)
	}
}

func TestSecretFiles(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"both", map[string]string{"GOTONG_SIGNING_KEY": weakSecret, "GOTONG_SIGNING_KEY_FILE": "k"}, "both set"},
		{"gone", map[string]string{"GOTONG_SIGNING_KEY_FILE": "gone"}, "GOTONG_SIGNING_KEY_FILE"},
		{"bad keys", map[string]string{"GOTONG_JWT_KEYS": weakSecret}, "jwt-keys"},
		{"not for what is no secret", map[string]string{"GOTONG_ADDR_FILE": "k"}, "GOTONG_ADDR?"},
	}
	for _, tc := range tests {
		_, _, _, err := world{env: tc.env, files: map[string]string{"k": "x"}}.parse(t)
		switch {
		case err == nil, !strings.Contains(err.Error(), tc.want):
			t.Errorf("%s: %v", tc.name, err)
		case strings.Contains(err.Error(), weakSecret):
			t.Errorf("%s shows a secret: %v", tc.name, err)
		}
	}
}

func TestJWTKeysFromFlagEnvAndFile(t *testing.T) {
	want := []JWTKey{{KID: "a", Alg: "HS256", Key: "x;,y=z"}, {Alg: "RS256", JWKS: "https://id.example.org/keys"}}
	text := "alg=HS256,kid=a,key=x\\;,y=z;alg=RS256,jwks=https://id.example.org/keys"
	yaml := "jwt-keys:\n- {kid: a, alg: HS256, key: 'x;,y=z'}\n- {alg: RS256, jwks: 'https://id.example.org/keys'}\n"
	for name, parse := range map[string]func() (*Config, *Source, *kong.Context, error){
		"flag": func() (*Config, *Source, *kong.Context, error) { return world{}.parse(t, "--jwt-keys", text) },
		"env": func() (*Config, *Source, *kong.Context, error) {
			return world{env: map[string]string{"GOTONG_JWT_KEYS": text}}.parse(t)
		},
		"file": func() (*Config, *Source, *kong.Context, error) {
			return world{files: map[string]string{"g.yaml": yaml}}.parse(t, "--config=g.yaml")
		},
	} {
		c, _, _, err := parse()
		if err != nil || !slices.Equal(c.JWTKeys, want) {
			t.Errorf("%s: %v, %v", name, c.JWTKeys, err)
		}
	}
}

// TestAnUnknownVariableIsAnError: its value would be ignored.
func TestAnUnknownVariableIsAnError(t *testing.T) {
	for name, want := range map[string]string{
		"GOTONG_LOGLEVEL": "GOTONG_LOG_LEVEL", "GOTONG_SIGNINGKEY_FILE": "GOTONG_SIGNING_KEY_FILE", "GOTONG_log_level": "GOTONG_LOG_LEVEL",
		"GOTONG_ADRR": "GOTONG_ADDR", "GOTONG_ADDR_FILE": "GOTONG_ADDR", "GOTONG_PUBLIC_URI": "GOTONG_PUBLIC_URL", "GOTONG_": "",
	} {
		_, _, _, err := world{env: map[string]string{name: weakSecret}}.parse(t)
		if err == nil || !strings.Contains(err.Error(), name+" is not a variable that is read") || strings.Contains(err.Error(), weakSecret) ||
			!strings.Contains(err.Error(), "did you mean "+want+"?") && want != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{
		"GOTONG_LOG_LEVEL", "GOTONG_SMTP_FILE", "GOTONG_PASSWORD", "GOTONG_TEST_X", "GOTONG_CORPUS", "XGOTONG_LOGLEVEL", "GOTONGLOG",
		"GOTONG_SERVICE_HOST", "GOTONG_SERVICE_PORT", "GOTONG_SERVICE_PORT_HTTP", "GOTONG_PORT", "GOTONG_PORT_8080_TCP", // of Kubernetes
		"GOTONG_PORT_8080_TCP_PROTO", "GOTONG_HEADLESS_SERVICE_HOST", "GOTONG_HEADLESS_PORT_8080_TCP_ADDR",
	} {
		w := world{env: map[string]string{name: "warn"}}
		if name == "GOTONG_SMTP_FILE" {
			w.files = map[string]string{"warn": "x"}
		}
		if _, _, _, err := w.parse(t); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnErrorBlamesWhereTheValueIsFrom and not a flag that nobody gave.
func TestAnErrorBlamesWhereTheValueIsFrom(t *testing.T) {
	for want, w := range map[string]world{
		"g.yaml, line 2: env must be one of":         {files: map[string]string{"g.yaml": "addr: a:1\nenv: nope"}, env: map[string]string{"GOTONG_CONFIG": "g.yaml"}},
		"g.yaml, line 1: user-rate: expected":        {files: map[string]string{"g.yaml": "user-rate: fast"}, env: map[string]string{"GOTONG_CONFIG": "g.yaml"}},
		"GOTONG_ENV must be one of":                  {env: map[string]string{"GOTONG_ENV": "nope"}},
		"GOTONG_CONSOLE: bool value must be true, 1": {env: map[string]string{"GOTONG_CONSOLE": "maybe"}},
	} {
		_, s, _, err := w.parse(t)
		if err == nil || !strings.HasPrefix(s.Blame(err.Error()), want) {
			t.Errorf("%v, not %s", s.Blame(fmt.Sprint(err)), want)
		}
	}
	_, s, _, err := world{env: map[string]string{"GOTONG_ENV": "production"}}.parse(t, "--env=nope")
	if err == nil || !strings.HasPrefix(s.Blame(err.Error()), "--env must be one of") {
		t.Error(err)
	}
}

// TestWhatIsPrintedIsRead as the same configuration, key by key.
func TestWhatIsPrintedIsRead(t *testing.T) {
	for name, args := range map[string][]string{
		"defaults": nil,
		"others": {
			"--addr=a:1", "--data=/d", "--checkpoints=/c", "--tracks=/t.yaml,/a b.yaml", "--witness=https://w.example key+1+a=", "--witness=https://v.example b",
			"--access-token-life=17m", "--user-rate=0.5", "--console=false", "--mail-from=Gotong \"RT 05\" <a@example.org>", "--instance=é # ''",
			"--jwt-keys=kid=a,alg=ES256,jwks=https://id.example/keys;kid=b,alg=HS256,file=/k",
		},
	} {
		first, s, ctx, err := world{}.parse(t, args...)
		if err != nil {
			t.Fatal(name, err)
		}
		var out bytes.Buffer
		if err := s.Print(&out, ctx); err != nil {
			t.Fatal(err)
		}
		again, _, _, err := world{files: map[string]string{"g.yaml": out.String()}}.parse(t, "--config=g.yaml")
		if err != nil {
			t.Fatal(name, err)
		}
		again.File = first.File
		for f := range reflect.TypeFor[Config]().Fields() {
			a, b := reflect.ValueOf(*first).FieldByName(f.Name), reflect.ValueOf(*again).FieldByName(f.Name)
			if empty := a.Kind() == reflect.Slice && a.Len()+b.Len() == 0; !empty && !reflect.DeepEqual(a.Interface(), b.Interface()) {
				t.Errorf("%s: %s is %v, and was %v", name, f.Name, b, a)
			}
		}
	}
}

func TestPrintBlanksSecrets(t *testing.T) {
	args := []string{
		"--signing-key=" + weakSecret, "--jwt-keys=kid=a,alg=HS256,key=" + weakSecret,
		"--store=surreal://root:" + weakSecret + "@db/x?token=" + weakSecret, "--redis=redis://:" + weakSecret + "@r",
		"--otel-endpoint=https://u:" + weakSecret + "@o", "--files=s3://k:" + weakSecret + "@s3.example/b", "--allowed-origins=https://a.example",
	}
	_, s, ctx, err := world{}.parse(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := s.Print(&out, ctx); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), weakSecret) {
		t.Error(out.String())
	}
	for _, place := range []string{"s3://k:7/%s@s3.example/b", "s3:k:%s@s3.example/b", "s3:/k:%s@s3.example/b", "s3://k:p@x/%s@s3.example/b"} {
		_, s, ctx, err := world{}.parse(t, "--files="+strings.Replace(place, "%s", weakSecret, 1))
		var out bytes.Buffer
		if err == nil {
			err = s.Print(&out, ctx)
		}
		if err != nil || strings.Contains(out.String(), weakSecret) {
			t.Errorf("%s: %v\n%s", place, err, out.String())
		}
	}
	for _, want := range []string{
		"# flag", "# default", `allowed-origins: ["https://a.example"]`, `# signing-key: "[redacted]"`,
		"kid=a,alg=HS256,key=[redacted]", "# store: \"surreal://root:xxxxx@db/x",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
	again, _, _, err := world{files: map[string]string{"g.yaml": out.String()}}.parse(t, "--config=g.yaml")
	if err != nil || !slices.Equal(again.AllowedOrigins, []string{"https://a.example"}) || again.SigningKey != "" || again.Store != "" {
		t.Errorf("what was printed is read as %+v, %v", again, err)
	}
}

func TestHelpShowsVariables(t *testing.T) {
	var out bytes.Buffer
	s := newSource(func(string) (string, bool) { return "", false }, os.ReadFile)
	var c cli
	k, err := kong.New(&c, append(s.Options(), kong.Writers(&out, &out), kong.Exit(func(int) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = k.Parse([]string{"serve", "--help"})
	for key := range maps.Keys(keys()) {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), "($"+variable(key)+")") {
			t.Errorf("%s is not in the help", variable(key))
		}
	}
}

func TestCheck(t *testing.T) {
	strong := JWTKey{KID: "a", Alg: "HS256", Key: "0123456789abcdefghijklmnopqrstuvwxyz"}
	tests := []struct {
		name    string
		change  func(*Config)
		fault   string // in any environment
		inProd  string // in production only
		warning string // in development only
	}{
		{"as it is", func(*Config) {}, "", "", ""},
		{"redis", func(c *Config) { c.Redis = "redis://:p@x:6379/1" }, "", "", ""},
		{"redis by TLS", func(c *Config) { c.Redis, c.Bus = "rediss://x", BusRedis }, "", "", ""},
		{"redis by socket", func(c *Config) { c.Redis = "unix:///run/redis.sock" }, "", "", ""},
		{"no redis URL", func(c *Config) { c.Redis = "localhost:6379" }, "redis: must be a URL", "", ""},
		{"redis nowhere", func(c *Config) { c.Bus = BusRedis }, "bus: redis needs", "", ""},
		{"redis of no use", func(c *Config) { c.Redis, c.Bus = "redis://x", BusNone }, "bus: is not redis", "", ""},
		{"livequery", func(c *Config) { c.Bus, c.Store = BusLiveQuery, "surreal://a:b@db/n/d" }, "", "", ""},
		{"postgres", func(c *Config) { c.Bus, c.Store = BusPostgres, "postgres://a:b@db/d" }, "", "", ""},
		{"postgres on SQLite", func(c *Config) { c.Bus = BusPostgres }, "bus: postgres needs", "", ""},
		{"livequery on SQLite", func(c *Config) { c.Bus = BusLiveQuery }, "bus: livequery needs", "", ""},
		{"memory", func(c *Config) { c.Store = "memory:" }, "", "store: memory: loses acknowledged writes", "store: memory: loses acknowledged writes"},
		{"memory of a name", func(c *Config) { c.Store = "memory:x" }, "store: memory:", "", ""},
		{"lossy engine", func(c *Config) { c.UnsafeEngine = true }, "", "unsafe-engine: the database", "unsafe-engine: the database"},
		{"sqlite", func(c *Config) { c.Store = "sqlite:/var/lib/a.db" }, "", "", ""},
		{"sqlite nowhere", func(c *Config) { c.Store = "sqlite:" }, "store: sqlite: needs", "", ""},
		{"sqlite in memory", func(c *Config) { c.Store = "sqlite::memory:" }, "store: sqlite: needs", "", ""},
		{"sqlite with options", func(c *Config) { c.Store = "sqlite:a.db?mode=ro" }, "store: sqlite: accepts", "", ""},
		{"addr", func(c *Config) { c.Addr = "8080" }, "addr: must be host:port", "", ""},
		{"port too high", func(c *Config) { c.Addr = "127.0.0.1:99999" }, "addr: must end with a port", "", ""},
		{"port negative", func(c *Config) { c.Addr = "127.0.0.1:-1" }, "addr: must end with a port", "", ""},
		{"port by name", func(c *Config) { c.Addr = "127.0.0.1:http" }, "addr: must end with a port", "", ""},
		{"no such address", func(c *Config) { c.Addr = "300.0.0.1:8080" }, "addr: must begin with", "", ""},
		{"no such host", func(c *Config) { c.Addr = "a b:8080" }, "addr: must begin with", "", ""},
		{"host", func(c *Config) { c.Addr = "chat.example.org:8080" }, "", "", ""},
		{"IPv6", func(c *Config) { c.Addr = "[::1]:8080" }, "", "", ""},
		{"any address", func(c *Config) { c.Addr = ":8080" }, "", "", ""},
		{"admin port", func(c *Config) { c.AdminAddr = "127.0.0.1:65536" }, "admin-addr: must end with a port", "", ""},
		{"hashes", func(c *Config) { c.PasswordHashes = 1_000_000 }, "password-hashes: must be between", "", ""},
		{"no hashes", func(c *Config) { c.PasswordHashes = 0 }, "password-hashes: must be between", "", ""},
		{"data in a file", func(c *Config) { c.Data = "config_test.go" }, "data: must name a directory", "", ""},
		{"origin with a port too high", func(c *Config) { c.AllowedOrigins = []string{"https://a:65536"} }, "allowed-origins", "", ""},
		{"collector with a port too high", func(c *Config) { c.OTelEndpoint = "http://c:70000" }, "otel-endpoint", "", ""},
		{"JWKS with a port too high", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "ES256", JWKS: "https://x:70000/k"}} }, "http or https", "", ""},
		{"sessions", func(c *Config) { c.MaxSessions = 2_000_000 }, "max-sessions", "", ""},
		{"grace", func(c *Config) { c.ShutdownGrace = -time.Second }, "shutdown-grace", "", ""},
		{"same addr", func(c *Config) { c.AdminAddr = c.Addr }, "must differ", "", ""},
		{"any ports", func(c *Config) { c.Addr, c.AdminAddr = "127.0.0.1:0", "127.0.0.1:0" }, "", "", ""},
		{"public admin", func(c *Config) { c.AdminAddr = ":8081" }, "", "admin-addr", ""},
		{"private admin", func(c *Config) { c.AdminAddr = "10.0.0.7:8081" }, "", "", ""},
		{"no data", func(c *Config) { c.Data = "" }, "data", "", ""},
		{"any origin", func(c *Config) { c.AllowedOrigins = []string{"*"} }, "allowed-origins", "", ""},
		{"origin with path", func(c *Config) { c.AllowedOrigins = []string{"https://a/"} }, "allowed-origins", "", ""},
		{"origins", func(c *Config) { c.AllowedOrigins = []string{"https://a.example:8443", "http://localhost"} }, "", "", ""},
		{"proxy", func(c *Config) { c.TrustedProxies = []string{"home"} }, "trusted-proxies", "", ""},
		{"outbound", func(c *Config) { c.OutboundNetworks = []string{"home"} }, "outbound-networks", "", ""},
		{"short life", func(c *Config) { c.AccessTokenLife = 14 * time.Minute }, "access-token-life", "", ""},
		{"long life", func(c *Config) { c.AccessTokenLife = 61 * time.Minute }, "access-token-life", "", ""},
		{"refresh", func(c *Config) { c.RefreshLife = time.Minute }, "refresh-token-life", "", ""},
		{"rate", func(c *Config) { c.UserRate = 0 }, "user-rate", "", ""},
		{"sample", func(c *Config) { c.OTelSample = 0 }, "otel-sample", "", ""},
		{"collector", func(c *Config) { c.OTelEndpoint = "collector:4317" }, "otel-endpoint", "", ""},
		{"signing key", func(c *Config) { c.SigningKey = strongText }, "", "", ""},
		{"no base64", func(c *Config) { c.SigningKey = "%%%" }, "signing-key: must be base64", "", ""},
		{"tiny signing key", func(c *Config) { c.SigningKey = "AAAA" }, "far too short", "", ""},
		{"31 bytes", func(c *Config) { c.SigningKey = b64(strongText[:31]) }, "", "signing-key: weak", "signing-key: weak"},
		{"32 bytes", func(c *Config) { c.SigningKey = b64(strongText[:32]) }, "", "", ""},
		{"repetitive", func(c *Config) { c.SigningKey = b64(strings.Repeat("ab", 32)) }, "", "weak", "weak"},
		{"an example's", func(c *Config) { c.SigningKey = b64("ChangeMe, please, this is 32 bytes and more") }, "", "weak", "weak"},
		{"HS256", func(c *Config) { c.JWTKeys = []JWTKey{strong} }, "", "", ""},
		{"weak HS256", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "HS256", Key: weakSecret}} }, "", "jwt-keys[0]: weak", "jwt-keys[0]: weak"},
		{"same kid", func(c *Config) { c.JWTKeys = []JWTKey{strong, strong} }, "kid of another", "", ""},
		{"no alg", func(c *Config) { c.JWTKeys = []JWTKey{{Key: "x"}} }, "needs exactly one alg", "", ""},
		{"alg none", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "none", Key: "x"}} }, "needs exactly one alg", "", ""},
		{"two algs", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "RS256|ES256", Key: "x"}} }, "needs exactly one alg", "", ""},
		{"no key", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "RS256"}} }, "exactly one of key", "", ""},
		{"two keys", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "RS256", Key: "x", JWKS: "https://x"}} }, "exactly one of key", "", ""},
		{"HS256 by JWKS", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "HS256", JWKS: "https://x/k"}} }, "not published", "", ""},
		{"JWKS", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "ES256", JWKS: "https://x/k"}} }, "", "", ""},
		{"plain JWKS", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "ES256", JWKS: "http://x/k"}} }, "", "plain http", "plain http"},
		{"odd JWKS", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "ES256", JWKS: "file:///etc/passwd"}} }, "http or https", "", ""},
		{"gone key file", func(c *Config) { c.JWTKeys = []JWTKey{{Alg: "ES256", File: "/nonexistent/k"}} }, "cannot be read", "", ""},
	}
	for _, tc := range tests {
		for _, env := range []string{Development, Production} {
			t.Run(tc.name+" in "+env, func(t *testing.T) {
				c, _, _, err := world{}.parse(t, "--env="+env)
				if err != nil {
					t.Fatal(err)
				}
				tc.change(c)
				for i := range c.JWTKeys {
					c.JWTKeys[i].Iss, c.JWTKeys[i].Aud = "https://id.example", "gotong"
				}
				warnings, err := c.Check()
				want, warning := tc.fault, tc.warning
				if env == Production {
					warning = ""
					if tc.inProd != "" {
						want = tc.inProd
					}
				}
				if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("fault %v, want %q", err, want)
				}
				all := strings.Join(warnings, "\n")
				if (all != "") != (warning != "") || !strings.Contains(all, warning) {
					t.Errorf("warnings %q, want %q", all, warning)
				}
				if err != nil && strings.Contains(err.Error(), weakSecret) {
					t.Errorf("shows a secret: %v", err)
				}
			})
		}
	}
}

// What is only unwise is said in every environment, and refused in none.
func TestUnboundKeysAreTold(t *testing.T) {
	key := func(more string) string {
		return "kid=a,alg=HS256," + more + "key=0123456789abcdefghijklmnopqrstuvwxyz"
	}
	for text, want := range map[string]string{
		key(""):                  "no iss and no aud",
		key("iss=i,"):            "no aud",
		key("aud=gotong,"):       "no iss",
		key("aud=gotong,iss=i,"): "",
	} {
		for _, env := range []string{Development, Production} {
			c, _, _, err := world{}.parse(t, "--env="+env, "--jwt-keys="+text)
			if err != nil {
				t.Fatal(err)
			}
			warnings, err := c.Check()
			all := strings.Join(warnings, "\n")
			if err != nil || (all == "") != (want == "") || !strings.Contains(all, want) {
				t.Errorf("%s in %s: %q, %v", text, env, all, err)
			}
		}
	}
	var twice JWTKey
	if err := twice.UnmarshalText([]byte("kid=a,kid=b," + key("aud=gotong,"))); err == nil {
		t.Errorf("two kids: %+v", twice)
	}
	k := JWTKey{KID: "a", Alg: "ES256", Iss: "https://id.example", Aud: "gotong", JWKS: "https://id.example/keys"}
	var again JWTKey
	if err := again.UnmarshalText([]byte(k.String())); err != nil || again != k {
		t.Errorf("%s: %+v, %v", k, again, err)
	}
}

func TestBypassIsForThisMachineOnly(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string // of the fault; empty: it is taken, with a warning
	}{
		"loopback":     {nil, ""},
		"loopback v6":  {[]string{"--addr=[::1]:8080"}, ""},
		"every card":   {[]string{"--addr=:8080"}, "loopback"},
		"any address":  {[]string{"--addr=0.0.0.0:8080"}, "loopback"},
		"private":      {[]string{"--addr=10.0.0.7:8080"}, "loopback"},
		"a name":       {[]string{"--addr=localhost:8080"}, "loopback"},
		"production":   {[]string{"--env=production"}, "--env development"},
		"behind proxy": {[]string{"--trusted-proxies=127.0.0.1"}, "proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, _, err := world{}.parse(t, append(tc.args, "--dev-bypass")...)
			if err != nil {
				t.Fatal(err)
			}
			warnings, err := c.Check()
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
			if err == nil && !strings.Contains(strings.Join(warnings, ""), "is authenticated") {
				t.Errorf("says nothing: %q", warnings)
			}
		})
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestAllFaultsAtOnce(t *testing.T) {
	c, _, _, err := world{}.parse(t, "--redis=x", "--addr=nope", "--user-rate=0")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Check()
	for _, want := range []string{"redis", "addr", "user-rate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v has no %s", err, want)
		}
	}
}

func TestProxies(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3/8": "10.0.0.0/8", "127.0.0.1": "127.0.0.1/32", "::1": "::1/128",
		"::ffff:10.1.2.3": "10.1.2.3/32", "::ffff:10.1.2.3/104": "10.0.0.0/8",
	} {
		c := Config{TrustedProxies: []string{text}}
		if list, err := c.Proxies(); err != nil || len(list) != 1 || list[0].String() != want {
			t.Errorf("%s: %v, %v", text, list, err)
		}
	}
}

func TestMaterial(t *testing.T) {
	name := filepath.Join(t.TempDir(), "k")
	if err := os.WriteFile(name, []byte("secret of a file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		key  JWTKey
		want string
	}{{JWTKey{File: name}, "secret of a file"}, {JWTKey{Key: "k"}, "k"}, {JWTKey{JWKS: "https://x"}, ""}} {
		if b, err := tc.key.Material(); err != nil || string(b) != tc.want {
			t.Errorf("%v: %q, %v", tc.key, b, err)
		}
	}
}

func TestBusKind(t *testing.T) {
	const surreal, sqlite = "surreals://db/ns/db", "sqlite:x.db"
	for _, tc := range []struct{ bus, redis, store, want string }{
		{BusAuto, "", "", BusNone}, {BusAuto, "", sqlite, BusNone}, {BusAuto, "", surreal, BusLiveQuery},
		{BusAuto, "redis://x", surreal, BusRedis}, {"", "", surreal, BusLiveQuery}, {BusNone, "", surreal, BusNone},
		{BusLiveQuery, "", surreal, BusLiveQuery},
	} {
		c := Config{Bus: tc.bus, Redis: tc.redis, Store: tc.store}
		if got := c.BusKind(); got != tc.want {
			t.Errorf("%q with redis %q is %s", tc.bus, tc.redis, got)
		}
	}
}

func TestOneConnectionHasNoPool(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://u:p%40@h:1/d?pool_max_conns=3&sslmode=require&pool_min_conns=1": "postgres://u:p%40@h:1/d?sslmode=require",
		"postgres://u@h/d": "postgres://u@h/d",
	} {
		if got := OneConnection(address); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}
