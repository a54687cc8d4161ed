// Package config holds the settings of an operator: one struct of flags, read from
// the command line, from GOTONG_* variables and from a YAML file, in this order of
// precedence, with defaults below them. The server needs none of them to be set.
//
// Each key has one name: the flag --admin-addr is GOTONG_ADMIN_ADDR and, in
// the file, admin-addr. A key that holds a secret can also be read from a file
// named by the variable with _FILE behind it, as container platforms do it. An
// unknown key in the file is an error with a suggestion.
//
// # Caveats
//
// kong lets a file override the environment and prints the value of a variable
// that it cannot read, secrets too; so the environment is read here, by
// [Source], and never by kong. Embed [Config] into a command and pass
// [Source.Options] to kong.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// The two environments.
const (
	Development = "development"
	Production  = "production"
)

// Groups are the titles under which the help shows the keys.
var Groups = []kong.Group{
	{Key: "place", Title: "Where it listens and what it keeps:"},
	{Key: "edge", Title: "Browsers and proxies:"},
	{Key: "accounts", Title: "Accounts and tokens:"},
	{Key: "pod", Title: "Edge-Pod (models):"},
	{Key: "push", Title: "Push:"},
	{Key: "limits", Title: "Limits:"},
	{Key: "telemetry", Title: "Logs and traces:"},
}

// Config holds every key. The value of a key with the tag secret is never shown, and
// may be read from a file named by GOTONG_…_FILE.
type Config struct {
	File string `name:"config" group:"place" help:"YAML file with these keys." placeholder:"FILE" type:"path"`

	Env           string   `name:"env" group:"place" help:"What this node is for: ${enum}." enum:"development,production" default:"development"`
	Addr          string   `name:"addr" group:"place" help:"Where the API listens." default:"127.0.0.1:8080"`
	AdminAddr     string   `name:"admin-addr" group:"place" help:"Where metrics and profiling listen; keep it private." default:"127.0.0.1:8081"`
	Data          string   `name:"data" group:"place" help:"Directory for all data." default:"gotong-data" type:"path"`
	Store         string   `name:"store" group:"place" help:"Store URL; by default an SQLite file in the data directory." placeholder:"URL" secret:""`
	Checkpoints   string   `name:"checkpoints" group:"place" help:"Directory for the signed checkpoints of the log and their key, outside that of the database; by default beside the data directory, with -checkpoints at the end of its name." placeholder:"DIR" type:"path"`
	Instance      string   `name:"instance" group:"place" help:"Name of this server in its checkpoints, such as chat.example.org; by default a random one. It is fixed when the key is created." placeholder:"NAME"`
	Witnesses     []string `name:"witness" group:"place" help:"Witness that cosigns the checkpoints: its URL, a blank, and its verifier key. Repeatable." placeholder:"URL KEY"`
	WitnessQuorum int      `name:"witness-quorum" group:"place" help:"How many of the witnesses must cosign a checkpoint before proofs use it; 0 is all." default:"0"`
	Redis         string   `name:"redis" group:"place" help:"Redis URL (redis://, rediss:// or unix://) for wake-ups, signals and rate limits between nodes." placeholder:"URL" secret:""`
	Bus           string   `name:"bus" group:"place" help:"How nodes that share a store reach each other: ${enum}." enum:"auto,none,redis,livequery,postgres" default:"auto"`

	Files string `name:"files" group:"place" help:"Where attachments are kept: a directory, or a bucket of an S3-compatible server as s3://KEY:SECRET@HOST/BUCKET; by default files in the data directory." placeholder:"URL" secret:""`

	Tracks []string `name:"tracks" group:"place" help:"YAML files with further tracks for cases." placeholder:"FILE" type:"path"`

	UnsafeEngine  bool `name:"unsafe-engine" group:"place" help:"Accept a database that may lose acknowledged writes: a SurrealDB on mem or surrealkv, a PostgreSQL with fsync off; for trials only."`
	AllowUntested bool `name:"allow-untested" group:"place" help:"Accept a version of SurrealDB that was not tested with this version of Gotong."`

	Console bool `name:"console" group:"edge" help:"Serve the console, a page for people, at /." default:"true"`

	PublicURL string `name:"public-url" group:"edge" help:"Address at which users reach this server, such as https://chat.example.org, for links that they get." placeholder:"URL"`

	AllowedOrigins []string `name:"allowed-origins" group:"edge" help:"Web origins whose pages may call the server, for CORS and WebSocket." placeholder:"ORIGIN"`
	TrustedProxies []string `name:"trusted-proxies" group:"edge" help:"Addresses or networks of proxies whose header names a request's client." placeholder:"CIDR"`
	ProxyHeader    string   `name:"proxy-header" group:"edge" help:"The one header of trusted proxies that the server reads: ${enum}." enum:"x-forwarded-for,forwarded" default:"x-forwarded-for"`

	OutboundNetworks []string `name:"outbound-networks" group:"edge" help:"Private addresses or networks to which the server may connect for others, such as the owners of webhooks; plain http is possible to these alone." placeholder:"CIDR"`

	SigningKey      string        `name:"signing-key" group:"accounts" help:"Key that signs access tokens, base64 of 32 bytes or more; by default generated at the first start and kept in the data directory." placeholder:"BASE64" secret:""`
	JWTKeys         []JWTKey      `name:"jwt-keys" group:"accounts" help:"Keys of other issuers whose tokens are accepted: kid=…,alg=HS256|RS256|ES256|EdDSA, iss=… and aud=… that their tokens must have, and one of key=…, file=…, jwks=URL." placeholder:"KEY" sep:";" secret:""`
	AccessTokenLife time.Duration `name:"access-token-life" group:"accounts" help:"How long an access token is valid, 15m to 60m." default:"30m"`
	RefreshLife     time.Duration `name:"refresh-token-life" group:"accounts" help:"How long a login lives without a refresh." default:"720h"`
	PasswordHashes  int           `name:"password-hashes" group:"accounts" help:"Password hashes computed at once, each with 19 MiB, on at most half of the processors." default:"4"`

	SMTP     string `name:"smtp" group:"accounts" help:"Mail server that sends the links with which users set a new password: smtps://USER:PASSWORD@HOST:465, or smtp:// for STARTTLS, which is required except on this machine. By default no mail is sent." placeholder:"URL" secret:""`
	MailFrom string `name:"mail-from" group:"accounts" help:"Sender of mail, such as \"Gotong <no-reply@example.org>\"." placeholder:"ADDRESS"`

	DevBypass bool `name:"dev-bypass" group:"accounts" help:"For development on this machine only: accept the token dev-bypass-token for the user dev-user."`

	EdgePod      string `name:"edge-pod" group:"pod" help:"Who answers the contracts of the Edge-Pod: ${enum}. rules computes answers in the server, without a model." enum:"none,rules,http,openai" default:"none"`
	EdgePodURL   string `name:"edge-pod-url" group:"pod" help:"For http: the HTTPS URL below which the contracts lie, such as https://pod.example.org/api/v1/edge-pod/ai. For openai: the base URL of a server of the OpenAI chat API, such as http://127.0.0.1:11434/v1." placeholder:"URL"`
	EdgePodModel string `name:"edge-pod-model" group:"pod" help:"For openai: the name of the model." placeholder:"NAME"`
	EdgePodToken string `name:"edge-pod-token" group:"pod" help:"Bearer token for the URL." placeholder:"TOKEN" secret:""`

	EdgePodMediaHosts []string `name:"edge-pod-media-hosts" group:"pod" help:"Hosts whose media URLs may be passed to the Edge-Pod; by default none." placeholder:"HOST"`

	PushContact string        `name:"push-contact" group:"push" help:"How operators of push services reach you: mailto:YOU@YOUR.DOMAIN or an https URL. It enables Web Push, which is off by default." placeholder:"URL"`
	PushDelay   time.Duration `name:"push-delay" group:"push" help:"How long to wait for a message to be read before it is pushed." default:"5s"`

	UserRate     float64 `name:"user-rate" group:"limits" help:"Requests of one user per second, sustained." default:"50"`
	UserBurst    int     `name:"user-burst" group:"limits" help:"Requests of one user in a burst." default:"100"`
	CommandRate  float64 `name:"command-rate" group:"limits" help:"Commands of one user over WebSocket per second, sustained." default:"500"`
	CommandBurst int     `name:"command-burst" group:"limits" help:"Commands of one user over WebSocket in a burst." default:"1000"`
	AddressRate  float64 `name:"address-rate" group:"limits" help:"Requests of one address per second, sustained." default:"200"`
	AddressBurst int     `name:"address-burst" group:"limits" help:"Requests of one address in a burst." default:"400"`

	PendingPerAddress int `name:"pending-per-address" group:"limits" help:"Maximum of open connections of one IPv4 address or IPv6 /64 that have not authenticated." default:"256"`
	PendingConns      int `name:"pending-conns" group:"limits" help:"Maximum of open connections of all addresses that have not authenticated." default:"4096"`

	FileSize      int `name:"file-size" group:"limits" help:"Maximum size of an attachment, in MiB." default:"20"`
	FilesPerUser  int `name:"files-per-user" group:"limits" help:"Maximum size of all attachments of one user, in MiB." default:"1024"`
	FilesPerGroup int `name:"files-per-group" group:"limits" help:"Maximum size of all attachments in the threads of one group, scope or direct thread, in MiB." default:"10240"`

	MaxSessions int `name:"max-sessions" group:"limits" help:"Maximum of open realtime connections of this node." default:"20000"`

	ShutdownGrace time.Duration `name:"shutdown-grace" group:"limits" help:"How long requests in flight may take after SIGTERM." default:"10s"`

	LogLevel     string  `name:"log-level" group:"telemetry" help:"One of ${enum}." enum:"debug,info,warn,error" default:"info"`
	LogFormat    string  `name:"log-format" group:"telemetry" help:"One of ${enum}." enum:"json,text" default:"json"`
	OTelEndpoint string  `name:"otel-endpoint" group:"telemetry" help:"Base URL of an OTLP/HTTP collector for traces; OTEL_EXPORTER_OTLP_ENDPOINT is read too." placeholder:"URL" alsoenv:"OTEL_EXPORTER_OTLP_ENDPOINT" secret:""`
	OTelSample   float64 `name:"otel-sample" group:"telemetry" help:"Share of traces that are recorded, above 0 up to 1." default:"1"`
}

// StoreURL returns the store's address: by default the SQLite file gotong.db in the
// data directory.
func (c *Config) StoreURL() string {
	if c.Store != "" {
		return c.Store
	}
	return (&url.URL{Scheme: "sqlite", Path: filepath.ToSlash(filepath.Join(c.Data, "gotong.db"))}).String()
}

// FilesPlace returns the directory or the bucket of attachments.
func (c *Config) FilesPlace() string {
	if c.Files != "" {
		return c.Files
	}
	return filepath.Join(c.Data, "files")
}

// CheckpointsDir returns the directory of the checkpoints.
func (c *Config) CheckpointsDir() string {
	if c.Checkpoints != "" {
		return c.Checkpoints
	}
	return strings.TrimRight(c.Data, `/\`) + "-checkpoints"
}

// checkCheckpoints rejects a directory that a backup or a restore of the database
// would take with it: a rollback would not be noticed.
func checkCheckpoints(c *Config, fault func(key, detail string)) {
	dirs := []string{c.Data}
	if u, err := url.Parse(c.StoreURL()); err == nil && u.Scheme == "sqlite" {
		dirs = append(dirs, filepath.Dir(filepath.FromSlash(u.Host+u.Path+u.Opaque)))
	}
	for _, dir := range dirs {
		of, err := filepath.Abs(dir)
		mine, err2 := filepath.Abs(c.CheckpointsDir())
		rel, err3 := filepath.Rel(of, mine)
		if errors.Join(err, err2, err3) == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			fault("checkpoints", "must not be in the directory of the database")
			return
		}
	}
}

// The ways in which nodes reach each other.
const (
	BusAuto      = "auto"      // redis if one is set, else that of the database of the store, else none
	BusNone      = "none"      // no bus: nodes read the store
	BusRedis     = "redis"     // over Redis
	BusLiveQuery = "livequery" // by SurrealDB's live queries
	BusPostgres  = "postgres"  // by PostgreSQL's notifications
)

// BusKind returns Bus, with auto resolved.
func (c *Config) BusKind() string {
	switch {
	case c.Bus != BusAuto && c.Bus != "":
		return c.Bus
	case c.Redis != "":
		return BusRedis
	case strings.HasPrefix(c.Store, "surreal"):
		return BusLiveQuery
	case OnPostgres(c.Store):
		return BusPostgres
	default:
		return BusNone
	}
}

// Check returns all faults of the values as one error, and warnings about values
// that are only unwise. It reads the key files.
func (c *Config) Check() (warnings []string, err error) {
	var faults []error
	fault := func(key, detail string) { faults = append(faults, fmt.Errorf("%s: %s", key, detail)) }

	checkAddrs(c, fault)
	checkBypass(c, fault)
	lossy := checkStore(c, fault)
	checkBus(c, fault)
	checkEdgePod(c, fault)
	if c.PushContact != "" && !reachable(c.PushContact) {
		fault("push-contact", "must be mailto: with an address, or an https URL, at a domain of the public internet")
	}
	checkCheckpoints(c, fault)
	checkMail(c, fault)
	if c.PublicURL != "" && !isOrigin(c.PublicURL) {
		fault("public-url", "must be an http or https URL without a path")
	}
	for _, o := range c.AllowedOrigins {
		if !isOrigin(o) {
			fault("allowed-origins", fmt.Sprintf("%q is no origin such as https://app.example.org", o))
		}
	}
	for _, parse := range []func() ([]netip.Prefix, error){c.Proxies, c.Outbound} {
		if _, err := parse(); err != nil {
			faults = append(faults, err)
		}
	}
	checkBounds(c, fault)
	if u, err := url.Parse(c.OTelEndpoint); c.OTelEndpoint != "" && (err != nil || !isHTTP(u.Scheme) || !hasHost(u)) {
		fault("otel-endpoint", "must be an http or https URL")
	}
	weak := append(checkSecrets(c, fault), lossy...)
	if c.Env == Production {
		for _, w := range weak {
			faults = append(faults, fmt.Errorf("%s; rejected in production", w))
		}
		weak = nil
	}
	weak = append(weak, c.unbound()...)
	if c.DevBypass {
		weak = append(weak, "dev-bypass: anybody who sends the token dev-bypass-token is authenticated")
	}
	return weak, errors.Join(faults...)
}

// checkBypass confines the bypass to development on one machine.
func checkBypass(c *Config, fault func(key, detail string)) {
	if !c.DevBypass {
		return
	}
	host, _, _ := net.SplitHostPort(c.Addr)
	ip, err := netip.ParseAddr(host)
	switch {
	case c.Env != Development:
		fault("dev-bypass", "is for --env development only")
	case err != nil || !ip.IsLoopback():
		fault("dev-bypass", "needs addr to be a loopback address such as 127.0.0.1:8080")
	case len(c.TrustedProxies) > 0:
		fault("dev-bypass", "is rejected behind a proxy; unset trusted-proxies")
	}
}

// checkStore reports faults, and returns settings that may lose acknowledged writes.
func checkStore(c *Config, fault func(key, detail string)) (weak []string) {
	if c.UnsafeEngine {
		weak = append(weak, "unsafe-engine: the database may lose acknowledged writes")
	}
	if c.Store == "memory:" {
		weak = append(weak, "store: memory: loses acknowledged writes when the process ends")
	}
	if err := CheckStore(c.Store); c.Store != "" && err != nil {
		fault("store", err.Error())
	}
	return weak
}

func checkBus(c *Config, fault func(key, detail string)) {
	u, err := url.Parse(c.Redis)
	switch {
	case c.Bus == BusLiveQuery && !strings.HasPrefix(c.Store, "surreal"):
		fault("bus", "livequery needs a SurrealDB, in the key store")
	case c.Bus == BusPostgres && !OnPostgres(c.Store):
		fault("bus", "postgres needs a PostgreSQL, in the key store")
	case c.Redis == "" && c.Bus == BusRedis:
		fault("bus", "redis needs the address of a Redis, in the key redis")
	case c.Redis == "":
	case c.Bus == BusNone || c.Bus == BusLiveQuery || c.Bus == BusPostgres:
		fault("bus", "is not redis although the key redis is set; leave one of them unset")
	case err != nil, u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix", u.Host == "" && u.Path == "":
		fault("redis", "must be a URL such as redis://:PASSWORD@host:6379/0, with rediss:// for TLS")
	}
}

func checkEdgePod(c *Config, fault func(key, detail string)) {
	u, err := url.Parse(c.EdgePodURL)
	switch remote := c.EdgePod == "http" || c.EdgePod == "openai"; {
	case !remote && c.EdgePodURL != "":
		fault("edge-pod-url", "needs edge-pod to be http or openai")
	case remote && (err != nil || !isHTTP(u.Scheme) || !hasHost(u) || u.User != nil || u.RawQuery != "" || u.Fragment != ""):
		fault("edge-pod-url", "must be a URL with a host and a path only")
	case c.EdgePod == "http" && u.Scheme != "https" && c.Env == Production:
		fault("edge-pod-url", "must be an https URL in production")
	case c.EdgePod == "openai" && c.EdgePodModel == "":
		fault("edge-pod-model", "must name the model")
	}
}

func checkMail(c *Config, fault func(key, detail string)) {
	if c.SMTP == "" {
		return
	}
	u, err := url.Parse(c.SMTP)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || !hasHost(u) || u.Path+u.RawQuery+u.Fragment != "" {
		fault("smtp", "must be smtps://USER:PASSWORD@HOST:465 or smtp://USER:PASSWORD@HOST:587")
	}
	if from, err := mail.ParseAddress(c.MailFrom); err != nil || !strings.Contains(from.Address, "@") {
		fault("mail-from", "must be an address such as Gotong <no-reply@example.org>, which smtp needs")
	}
	if c.PublicURL == "" {
		fault("public-url", "must be set, for the links in mail, which smtp needs")
	}
}

// reachable reports whether push services accept a contact: some reject every push if
// it is at localhost or at a domain that is reserved for tests.
func reachable(contact string) bool {
	u, err := url.Parse(contact)
	if err != nil || len(contact) > 256 {
		return false
	}
	host := u.Hostname()
	switch address, err := mail.ParseAddress(u.Opaque); {
	case u.Scheme == "mailto" && err == nil && address.Address == u.Opaque:
		_, host, _ = strings.Cut(u.Opaque, "@")
	case u.Scheme != "https":
		return false
	}
	dot := strings.LastIndexByte(host, '.')
	_, err = netip.ParseAddr(host)
	return dot > 0 && err != nil &&
		!slices.Contains([]string{"", "localhost", "invalid", "test", "example", "local", "internal"}, strings.ToLower(host[dot+1:]))
}

// maxHashes bounds the memory of password hashes, each with 19 MiB.
const maxHashes = 256

func checkBounds(c *Config, fault func(key, detail string)) {
	between := func(key string, v, low, high time.Duration) {
		if v < low || v > high {
			fault(key, fmt.Sprintf("must be between %s and %s", low, high))
		}
	}
	between("access-token-life", c.AccessTokenLife, 15*time.Minute, time.Hour)
	between("refresh-token-life", c.RefreshLife, time.Hour, 365*24*time.Hour)
	between("push-delay", c.PushDelay, 0, 10*time.Minute)
	between("shutdown-grace", c.ShutdownGrace, 0, time.Minute)
	if c.PasswordHashes < 1 || c.PasswordHashes > maxHashes {
		fault("password-hashes", fmt.Sprintf("must be between 1 and %d", maxHashes))
	}
	for key, v := range map[string]float64{
		"pending-per-address": float64(c.PendingPerAddress), "pending-conns": float64(c.PendingConns),
		"max-sessions": float64(c.MaxSessions),
		"file-size":    float64(c.FileSize), "files-per-user": float64(c.FilesPerUser), "files-per-group": float64(c.FilesPerGroup),
		"command-rate": c.CommandRate, "command-burst": float64(c.CommandBurst),
		"user-rate": c.UserRate, "user-burst": float64(c.UserBurst),
		"address-rate": c.AddressRate, "address-burst": float64(c.AddressBurst),
	} {
		if !(v > 0 && v <= 1e6) {
			fault(key, "must be above 0, at most 1,000,000")
		}
	}
	if !(c.OTelSample > 0 && c.OTelSample <= 1) {
		fault("otel-sample", "must be above 0, at most 1")
	}
}
