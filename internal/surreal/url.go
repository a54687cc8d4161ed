package surreal

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Secret is a text that is never shown: formats, logs and encoders receive dots.
type Secret string

const dots = "…"

// String returns dots.
func (Secret) String() string { return dots }

// GoString returns dots.
func (Secret) GoString() string { return dots }

// LogValue returns dots.
func (Secret) LogValue() slog.Value { return slog.StringValue(dots) }

// MarshalText returns dots.
func (Secret) MarshalText() ([]byte, error) { return []byte(dots), nil }

// Level is where a user of the database was defined.
type Level string

// The levels of users.
const (
	LevelRoot      Level = "root"
	LevelNamespace Level = "namespace"
	LevelDatabase  Level = "database"
)

// Config is the address of a database and the login of its client.
type Config struct {
	Address   string // host:port
	TLS       bool
	Namespace string
	Database  string
	Login     Login
	Sockets   int // 0 for the default of Options
}

// Schemes and defaults of [Parse].
const (
	Scheme      = "surreal"
	SchemeTLS   = "surreals"
	defaultPort = "8000"
	maxSockets  = 64
)

var (
	errURL = errors.New("a SurrealDB URL is surreal://user:password@host:port/namespace/database?level=root&sockets=4, " +
		"with surreals:// for TLS")
	name = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// Parse parses a URL of the form
//
//	surreal://user:password@host:port/namespace/database?level=root&sockets=4
//
// with surreals:// for TLS. level is where the user was defined: root, which is
// the default, namespace or database. Without a user the sockets are guests.
// Errors never contain the password.
func Parse(text string) (Config, error) {
	u, err := url.Parse(text)
	if err != nil { // its text holds the URL with the password
		return Config{}, fmt.Errorf("it is malformed; %w", errURL)
	}
	if u.Scheme != Scheme && u.Scheme != SchemeTLS {
		return Config{}, fmt.Errorf("it begins with neither %s:// nor %s://; %w", Scheme, SchemeTLS, errURL)
	}
	if u.Hostname() == "" || u.Opaque != "" || u.Fragment != "" {
		return Config{}, fmt.Errorf("it has no host, or a fragment (#…); %w", errURL)
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) != 2 || !name.MatchString(parts[0]) || !name.MatchString(parts[1]) {
		return Config{}, fmt.Errorf("its path is not a namespace and a database, of letters, digits, _ and -; %w", errURL)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	cfg := Config{
		Address:   net.JoinHostPort(u.Hostname(), port),
		TLS:       u.Scheme == SchemeTLS,
		Namespace: parts[0],
		Database:  parts[1],
	}
	level, err := cfg.options(u.RawQuery)
	if err != nil {
		return Config{}, err
	}
	if u.User == nil {
		return cfg, nil
	}
	password, _ := u.User.Password()
	cfg.Login = cfg.AsUser(level, u.User.Username(), Secret(password))
	return cfg, nil
}

func (c *Config) options(raw string) (Level, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", fmt.Errorf("its query is malformed; %w", errURL)
	}
	level := LevelRoot
	for key, all := range values {
		value := all[0]
		switch {
		case len(all) > 1:
			return "", fmt.Errorf("%q occurs twice; %w", key, errURL)
		case key == "level" && (value == string(LevelRoot) || value == string(LevelNamespace) || value == string(LevelDatabase)):
			level = Level(value)
		case key == "level":
			return "", fmt.Errorf("level is root, namespace or database; %w", errURL)
		case key == "sockets":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > maxSockets {
				return "", fmt.Errorf("sockets is a number from 1 to %d; %w", maxSockets, errURL)
			}
			c.Sockets = n
		default:
			return "", fmt.Errorf("%q is unknown; %w", key, errURL)
		}
	}
	return level, nil
}

// String returns the URL without user and password.
func (c Config) String() string {
	scheme := Scheme
	if c.TLS {
		scheme = SchemeTLS
	}
	return fmt.Sprintf("%s://%s/%s/%s", scheme, c.Address, c.Namespace, c.Database)
}

func (c Config) rpc() string {
	if c.TLS {
		return "wss://" + c.Address + "/rpc"
	}
	return "ws://" + c.Address + "/rpc"
}

// Login is how a socket signs in. The zero Login is that of a guest.
type Login struct {
	method string
	params any
}

// String returns the way of signing in, without user and password.
func (l Login) String() string { return l.method + dots }

// GoString is [Login.String].
func (l Login) GoString() string { return l.String() }

// LogValue is [Login.String].
func (l Login) LogValue() slog.Value { return slog.StringValue(l.String()) }

// AsUser returns the login of a user that was defined at level.
func (c Config) AsUser(level Level, user string, password Secret) Login {
	params := map[string]any{"user": user, "pass": string(password)}
	if level != LevelRoot {
		params["NS"] = c.Namespace
	}
	if level == LevelDatabase {
		params["DB"] = c.Database
	}
	return Login{method: "signin", params: params}
}

// AsNewRecord returns a login that signs up by the access method of that name:
// each socket creates a record user of its own.
func (c Config) AsNewRecord(access string, vars Vars) Login {
	params := map[string]any{"NS": c.Namespace, "DB": c.Database, "AC": access}
	maps.Copy(params, vars)
	return Login{method: "signup", params: params}
}
