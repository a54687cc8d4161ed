package gates

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/storetest"
	"gotong.dev/gotong/internal/surreal"
)

// accessName is the name of the record access that the probe creates in the
// scratch, and of the table of its users.
const accessName = "gates_people"

const closeWay = "close it: DEFINE TABLE OVERWRITE … PERMISSIONS NONE, with the rest of the definition as it is (INFO FOR DB shows it)"

func checkAccess(ctx context.Context, r *run, f *findings) error {
	s, err := r.openStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // a store of this probe alone
	owner, err := surreal.Open(ctx, r.store, clientOptions())
	if err != nil {
		return err
	}
	defer owner.Close()
	a := &accessProbe{r: r, s: s, owner: owner, password: surreal.Secret(rand.Text())}
	if err := a.write(ctx); err != nil {
		return err
	}
	made, err := schemaOf(ctx, owner)
	if err != nil {
		return err
	}
	a.tables = slices.Sorted(maps.Keys(made.tables))
	made.tellOpen(f, "this program's schema")
	if err := a.roles(ctx, f); err != nil {
		return err
	}
	if err := a.appendOnly(ctx, f); err != nil {
		return err
	}
	return r.yourTables(ctx, f)
}

// accessProbe tries the tables of the scratch's store, role by role.
type accessProbe struct {
	r        *run
	s        store.Store
	owner    *surreal.Client
	password surreal.Secret
	tables   []string
}

// define creates an access for record users, and viewers.
func (a *accessProbe) define(ctx context.Context) error {
	statements := []string{
		"DEFINE TABLE IF NOT EXISTS " + accessName + " SCHEMALESS PERMISSIONS NONE",
		"DEFINE ACCESS OVERWRITE " + accessName + " ON DATABASE TYPE RECORD " +
			"SIGNUP (CREATE " + accessName + ")", // each socket is a user of its own
	}
	for _, at := range []string{"DATABASE", "NAMESPACE"} {
		if at == "NAMESPACE" && a.r.o.Target.Level != surreal.LevelRoot {
			continue // the namespace is the operator's
		}
		// A password cannot be a parameter here; this one is of random letters and digits.
		statements = append(statements,
			fmt.Sprintf("DEFINE USER OVERWRITE gates_viewer ON %s PASSWORD '%s' ROLES VIEWER", at, string(a.password)))
	}
	for _, statement := range statements {
		if err := a.owner.Exec(ctx, statement, nil); err != nil {
			return err
		}
	}
	return nil
}

// write writes to as many tables as a store can: commits, a register, a cursor and
// a job.
func (a *accessProbe) write(ctx context.Context) error {
	stream := unused()
	d := storetest.Draft{Stream: stream, Events: 1, Claims: []gotong.Claim{{Space: "gate", Name: string(stream)}}}
	if err := a.r.write(ctx, a.s, storetest.NewMaker(a.s.Epoch()), d); err != nil {
		return err
	}
	key := gotong.Key{Collection: "gates", Owner: "u", Name: stream.ID()}
	if err := a.s.SetRegister(ctx, key, 0, []byte("kept"), 0); err != nil {
		return err
	}
	step := store.Step{Reader: stream.ID(), Partition: gotong.PartitionOf(stream), From: 0, To: 1}
	step.Jobs = []store.Job{{Queue: "gates", ID: stream.ID(), Due: a.r.o.Now(), Body: []byte("{}")}}
	return a.s.Advance(ctx, step)
}

type person struct {
	who    string
	login  surreal.Login
	system bool // a user of the system, who may read but must not write
}

func (a *accessProbe) people() []person {
	cfg := a.r.store
	list := []person{
		{who: "guest"},
		{who: "record user", login: cfg.AsNewRecord(accessName, nil)},
		{who: "viewer of the database", login: cfg.AsUser(surreal.LevelDatabase, "gates_viewer", a.password), system: true},
	}
	if a.r.o.Target.Level == surreal.LevelRoot {
		list = append(list, person{
			who: "viewer of the namespace", login: cfg.AsUser(surreal.LevelNamespace, "gates_viewer", a.password), system: true,
		})
	}
	return list
}

func (a *accessProbe) roles(ctx context.Context, f *findings) error {
	err := a.define(ctx)
	if refused(err) {
		f.skipf("run this gate once as an owner", "what record users and viewers can do: your user may not create any: %s", err)
		return nil
	}
	if err != nil {
		return err
	}
	for _, p := range a.people() {
		cfg := a.r.store
		cfg.Login, cfg.Sockets = p.login, 1
		db, err := surreal.Open(ctx, cfg, clientOptions())
		if err != nil {
			if refused(err) {
				f.goodf("%s: is refused", p.who)
				continue
			}
			return fmt.Errorf("%s: %w", p.who, err)
		}
		err = a.try(ctx, f, p, db)
		db.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", p.who, err)
		}
	}
	return nil
}

// refused reports whether the server rejected the call, rather than gave no answer.
func refused(err error) bool {
	var e *surreal.Error
	return errors.As(err, &e)
}

// try reads, subscribes to and writes each table as one person.
func (a *accessProbe) try(ctx context.Context, f *findings, p person, db *surreal.Client) error {
	live, err := a.subscribe(ctx, db)
	if err != nil {
		return err
	}
	if live != nil {
		defer live.Close()
	}
	var read, wrote []string
	for _, table := range a.tables {
		some, err := answered(ctx, db, "SELECT id FROM "+table+" LIMIT 1")
		if err != nil {
			return err
		}
		made, err := answered(ctx, db, "CREATE "+table+":gates_"+strings.ToLower(rand.Text()))
		if err != nil {
			return err
		}
		if some {
			read = append(read, table)
		}
		if made {
			wrote = append(wrote, table)
		}
	}
	told, err := a.listen(ctx, live)
	if err != nil {
		return err
	}
	if p.system {
		f.judgef(len(wrote) == 0, "report this version: a viewer must not write",
			"%s: reads %d of %d tables, as a user of the system may; writes %s",
			p.who, len(read), len(a.tables), noneOr(wrote))
		return nil
	}
	f.judgef(len(read)+len(wrote)+len(told) == 0, closeWay, "%s: of %d tables SELECT reads %s, LIVE SELECT reports %s, CREATE writes %s",
		p.who, len(a.tables), noneOr(read), noneOr(told), noneOr(wrote))
	return nil
}

// answered reports whether a statement returned a row; a rejected one did not.
func answered(ctx context.Context, db *surreal.Client, statement string) (bool, error) {
	var rows []surreal.Raw
	err := db.Select(ctx, statement, nil, &rows)
	if refused(err) {
		return false, nil
	}
	return len(rows) > 0, err
}

func noneOr(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// subscribe returns a live query for each table; nil if they are rejected.
func (a *accessProbe) subscribe(ctx context.Context, db *surreal.Client) (*surreal.Live, error) {
	l, err := db.Live(ctx, "LIVE SELECT id FROM "+strings.Join(a.tables, "; LIVE SELECT id FROM "), nil)
	if refused(err) {
		return nil, nil
	}
	return l, err
}

// settled is how long the other users' notifications may arrive after the owner's.
const settled = 200 * time.Millisecond

// listen writes while an owner is subscribed too, and returns the tables of which a
// subscription was notified. The owner's notification shows that there was one to
// receive.
func (a *accessProbe) listen(ctx context.Context, live *surreal.Live) (told []string, err error) {
	own, err := a.owner.Live(ctx, "LIVE SELECT id FROM event", nil)
	if err != nil {
		return nil, err
	}
	defer own.Close()
	if err := a.write(ctx); err != nil {
		return nil, err
	}
	if n, err := nextNote(ctx, own); err != nil {
		return nil, err
	} else if n == nil {
		return nil, errors.New("the owner's own live query reported nothing, so the others' cannot be judged")
	}
	if live == nil {
		return nil, nil
	}
	tables, err := a.tablesOf(live)
	if err != nil {
		return nil, err
	}
	inner, cancel := context.WithTimeout(ctx, settled)
	defer cancel()
	for {
		n, err := live.Next(inner)
		if err != nil {
			slices.Sort(told)
			return slices.Compact(told), ctx.Err()
		}
		told = append(told, tables[n.Query])
	}
}

func (a *accessProbe) tablesOf(live *surreal.Live) (map[surreal.UUID]string, error) {
	tables := map[surreal.UUID]string{}
	for i, result := range live.Results() {
		var id surreal.UUID
		if err := result.Decode(&id); err != nil {
			return nil, err
		}
		tables[id] = a.tables[i]
	}
	return tables, nil
}

// appendOnly shows that not even an owner changes or deletes an event.
func (a *accessProbe) appendOnly(ctx context.Context, f *findings) error {
	for _, statement := range []string{"DELETE event", "UPDATE event SET data = ''", "DELETE request"} {
		err := a.owner.Exec(ctx, statement, nil)
		var e *surreal.Error
		if err != nil && !errors.As(err, &e) {
			return err
		}
		if e == nil || !strings.Contains(e.Text, "append-only") {
			f.badf(restore, "owner: %s was not refused by the schema", statement)
			return nil
		}
	}
	f.goodf("owner: events and requests are append-only for the owner too")
	return nil
}

// yourTables reads the definitions of the operator's own tables.
func (r *run) yourTables(ctx context.Context, f *findings) error {
	have, err := r.yours(ctx)
	if err != nil {
		return err
	}
	if len(have.tables) == 0 {
		f.goodf("your database: no tables yet")
		return nil
	}
	have.tellOpen(f, "your database")
	f.goodf("your database: users of the system, who read every table: %s of its own", noneOr(have.users))
	if len(have.accesses) > 0 {
		f.warnf("remove what this program does not need (REMOVE ACCESS … ON DATABASE): nobody but it should sign in there",
			"your database: record users may sign in by %s", strings.Join(have.accesses, ", "))
	}
	return nil
}

// tellOpen reports the tables that are open to users other than system users.
func (s schema) tellOpen(f *findings, whose string) {
	var open []string
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		if s.tables[name].readable {
			open = append(open, name)
		}
	}
	f.judgef(len(open) == 0, closeWay, "%s: of %s not PERMISSIONS NONE are %s", whose, count(len(s.tables), "table"), noneOr(open))
}
