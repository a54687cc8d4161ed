package gates

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"gotong.dev/gotong/internal/surreal"
)

// Target is the operator's database.
type Target struct {
	Config surreal.Config
	Level  surreal.Level // where its user was defined
}

// Parse parses the address of a database, as [surreal.Parse] does. Its errors never
// contain the password.
func Parse(text string) (Target, error) {
	cfg, err := surreal.Parse(text)
	if err != nil {
		return Target{}, err
	}
	t := Target{Config: cfg, Level: surreal.LevelRoot}
	if u, err := url.Parse(text); err == nil && u.Query().Has("level") {
		t.Level = surreal.Level(u.Query().Get("level"))
	}
	return t, nil
}

const scratchPrefix = "gotong_gates_"

// scratch is the place of the gates' probes: a namespace of its own or, for a user
// of a namespace, databases of its own in that namespace.
type scratch struct {
	target    Target
	name      string
	databases []string // those that were used
	there     bool     // the operator's database exists
	others    []string // scratches of other runs
}

// rawDatabase is the scratch's first database, for probes without the adapter.
const rawDatabase = "raw"

const cleanUp = time.Minute

func (s *scratch) config(database string) surreal.Config {
	cfg := s.target.Config
	if s.target.Level == surreal.LevelRoot {
		cfg.Namespace, cfg.Database = s.name, database
	} else {
		cfg.Database = s.name + "_" + database
	}
	if !slices.Contains(s.databases, cfg.Database) {
		s.databases = append(s.databases, cfg.Database)
	}
	return cfg
}

// clientOptions keep a probe from waiting long for a server that does not answer.
func clientOptions() surreal.Options { return surreal.Options{Call: 15 * time.Second} }

// makeScratch connects, creates the scratch and looks for what else exists.
func makeScratch(ctx context.Context, target Target) (*scratch, *surreal.Client, error) {
	if target.Level == surreal.LevelDatabase {
		return nil, nil, fmt.Errorf("%w: a user of a database cannot create one; use a user of root or of the namespace "+
			"(level=root, level=namespace)", ErrScratch)
	}
	s := &scratch{target: target, name: scratchPrefix + strings.ToLower(rand.Text()[:10])}
	if err := s.prepare(ctx); err != nil {
		return nil, nil, err
	}
	db, err := surreal.Open(ctx, s.config(rawDatabase), clientOptions())
	if err != nil {
		s.remove(ctx)
		return nil, nil, err
	}
	return s, db, nil
}

// prepare creates the scratch and looks around, on a socket of its own, because it
// enters other namespaces.
func (s *scratch) prepare(ctx context.Context) error {
	cfg := s.config(rawDatabase)
	cfg.Sockets = 1
	db, err := surreal.Open(ctx, cfg, clientOptions())
	if err != nil {
		return err
	}
	if err = s.define(ctx, db, cfg); err != nil {
		err = fmt.Errorf("%w: %w", ErrScratch, err)
	} else {
		err = s.look(ctx, db)
	}
	db.Close()
	if err != nil {
		s.remove(ctx)
	}
	return err
}

// define creates the namespace, if the user may, and the database.
func (s *scratch) define(ctx context.Context, db *surreal.Client, cfg surreal.Config) error {
	if s.target.Level == surreal.LevelRoot {
		if err := db.Exec(ctx, "DEFINE NAMESPACE IF NOT EXISTS "+cfg.Namespace, nil); err != nil {
			return err
		}
	}
	return db.Exec(ctx, "DEFINE DATABASE IF NOT EXISTS "+cfg.Database, nil)
}

// look finds out whether the operator's database exists, without entering it,
// which would create it, and what other runs have left.
func (s *scratch) look(ctx context.Context, db *surreal.Client) error {
	var names map[string]string
	if s.target.Level == surreal.LevelRoot {
		var root struct {
			Namespaces map[string]string `cbor:"namespaces"`
		}
		if err := db.Select(ctx, "INFO FOR ROOT", nil, &root); err != nil {
			return err
		}
		names = root.Namespaces
	}
	if _, ok := names[s.target.Config.Namespace]; ok || s.target.Level != surreal.LevelRoot {
		databases, err := databasesOf(ctx, db, s.target.Config.Namespace)
		if err != nil {
			return err
		}
		_, s.there = databases[s.target.Config.Database]
		if s.target.Level != surreal.LevelRoot {
			names = databases
		}
	}
	for name := range names {
		if strings.HasPrefix(name, scratchPrefix) && !strings.HasPrefix(name, s.name) {
			s.others = append(s.others, fmt.Sprintf("%s is of a run that was killed or still runs: REMOVE %s %s", name, s.kind(), name))
		}
	}
	slices.Sort(s.others)
	return nil
}

func databasesOf(ctx context.Context, db *surreal.Client, namespace string) (map[string]string, error) {
	var ns struct {
		Databases map[string]string `cbor:"databases"`
	}
	results, err := db.Query(ctx, "USE NS `"+namespace+"`; INFO FOR NS", nil)
	if err == nil {
		err = results.Err()
	}
	if err != nil {
		return nil, err
	}
	return ns.Databases, results[len(results)-1].Decode(&ns)
}

func (s *scratch) kind() string {
	if s.target.Level == surreal.LevelRoot {
		return "NAMESPACE"
	}
	return "DATABASE"
}

// remove deletes the scratch, even if ctx has ended, and returns what remains.
func (s *scratch) remove(ctx context.Context) (left []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	names := slices.Clone(s.databases)
	slices.Reverse(names) // the one that the socket is in goes last
	if s.target.Level == surreal.LevelRoot {
		names = []string{s.name}
	}
	cfg := s.config(rawDatabase)
	cfg.Sockets = 1
	db, err := surreal.Open(ctx, cfg, clientOptions())
	if err == nil {
		defer db.Close()
	}
	for _, name := range names {
		statement := fmt.Sprintf("REMOVE %s IF EXISTS %s", s.kind(), name)
		if err == nil {
			err = removed(ctx, db, statement)
		}
		if err != nil {
			left = append(left, name+" could not be removed ("+err.Error()+"): "+statement)
		}
	}
	return left
}

func removed(ctx context.Context, db *surreal.Client, statement string) error {
	for {
		err := db.Exec(ctx, statement, nil)
		if err == nil || !surreal.Conflict(err) || ctx.Err() != nil {
			return err
		}
	}
}

// live opens the operator's own database, to read definitions alone.
func (r *run) live(ctx context.Context) (*surreal.Client, error) {
	cfg := r.o.Target.Config
	cfg.Sockets = 1
	db, err := surreal.Open(ctx, cfg, clientOptions())
	if err != nil {
		return nil, errors.Join(errors.New("your database cannot be entered"), err)
	}
	return db, nil
}
