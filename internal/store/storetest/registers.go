package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

var registerTests = map[string]func(*env){
	"registers/versions": registerVersions,
	"registers/expiry":   registerExpiry,
	"registers/find":     registerFind,
	"registers/bodies":   registerBodies,
}

func (e *env) register(k gotong.Key) store.Register {
	e.Helper()
	r, err := store.ReadRegister(e.ctx, e.s, k)
	e.check(err)
	return r
}

// set sets a register and expects success if ok, else a conflict.
func (e *env) set(k gotong.Key, expect uint64, body string, expires gotong.Instant, ok bool) {
	e.Helper()
	var b []byte
	if body != "" {
		b = []byte(body)
	}
	err := e.s.SetRegister(e.ctx, k, expect, b, expires)
	if ok && err != nil || !ok && !errors.Is(err, store.ErrConflict) {
		e.Errorf("set %s from version %d: %v, want success %v", k.Name, expect, err, ok)
	}
}

func registerVersions(e *env) {
	k := key("session")
	equal(e, "absent", e.register(k), store.Register{Key: k})
	e.set(k, 1, "x", 0, false)
	e.set(k, 0, "one", 0, true)
	e.set(k, 0, "x", 0, false)
	e.set(k, 2, "x", 0, false)
	equal(e, "one", e.register(k), store.Register{Key: k, Version: 1, Body: []byte("one")})
	e.set(k, 1, "two", 0, true)
	e.set(k, 1, "x", 0, false)
	e.set(k, 2, "two", 0, true) // the same body is a change like any other
	equal(e, "three", e.register(k).Version, 3)
	e.set(k, 2, "", 0, false)
	e.set(k, 3, "", 0, true) // deletes
	equal(e, "deleted", e.register(k), store.Register{Key: k})
	e.set(k, 3, "x", 0, false)
	e.set(k, 0, "", 0, true) // there is nothing, as expected
	e.set(k, 0, "anew", 0, true)
	equal(e, "anew", e.register(k), store.Register{Key: k, Version: 1, Body: []byte("anew")})
	for _, other := range []gotong.Key{
		{Collection: others, Owner: k.Owner, Name: k.Name}, {Collection: things, Owner: "stranger", Name: k.Name}, key("sessiom"),
	} {
		equal(e, "another", e.register(other), store.Register{Key: other})
	}
}

// registerExpiry: from the moment of its expiry on, a register does not exist.
func registerExpiry(e *env) {
	k := key("ticket")
	at := e.now() + 1000
	e.set(k, 0, "one", at, true)
	e.set(k, 1, "two", at, true)
	e.clock.Store(int64(at) - 1)
	equal(e, "before", e.register(k), store.Register{Key: k, Version: 2, Body: []byte("two"), Expires: at})
	e.clock.Store(int64(at))
	equal(e, "expired", e.register(k), store.Register{Key: k})
	e.set(k, 2, "x", 0, false)
	e.set(k, 0, "anew", at+10, true)
	equal(e, "anew", e.register(k).Version, 1)
	e.set(k, 1, "kept", 0, true)
	e.clock.Add(3_600_000_000_000) // no expiry any more; whatever clears up leaves it
	e.set(key("other"), 0, "x", 0, true)
	equal(e, "kept", e.register(k), store.Register{Key: k, Version: 2, Body: []byte("kept")})
}

func registerFind(e *env) {
	for _, name := range []string{"c", "a", "d", "b"} {
		e.set(key(name), 0, "body of "+name, 0, true)
	}
	e.set(gotong.Key{Collection: things, Owner: "stranger", Name: "b"}, 0, "x", 0, true)
	e.set(key("b2"), 0, "expires", e.now()+5, true)
	e.set(key("bb"), 0, "deleted", 0, true)
	e.set(key("bb"), 1, "", 0, true)
	find := func(from, to string, limit int, descending bool) (names []string) {
		found, err := e.s.FindRegisters(e.ctx, store.KeyRange{
			Collection: things, Owner: "owner", From: from, To: to, Limit: limit, Descending: descending,
		})
		e.check(err)
		for _, r := range found {
			if r.Key != key(r.Key.Name) || r.Version != 1 {
				e.Errorf("register %+v", r)
			}
			names = append(names, r.Key.Name)
		}
		return names
	}
	equal(e, "before expiry", find("a", "d", 0, false), []string{"a", "b", "b2", "c", "d"})
	e.clock.Add(5)
	equal(e, "all", find("a", "d", 0, false), []string{"a", "b", "c", "d"})
	equal(e, "descending", find("a", "d", 0, true), []string{"d", "c", "b", "a"})
	equal(e, "closed range", find("b", "c", 0, false), []string{"b", "c"})
	equal(e, "limit", find("a", "d", 3, false), []string{"a", "b", "c"}) // what expired does not count
	equal(e, "last two", find("a", "d", 2, true), []string{"d", "c"})
	if none := find("e", "z", 0, false); len(none) != 0 {
		e.Errorf("found %v", none)
	}
	together(e, 1010, func(i int) (struct{}, error) {
		k := gotong.Key{Collection: others, Owner: "many", Name: fmt.Sprintf("%05d", i)}
		return struct{}{}, e.s.SetRegister(e.ctx, k, 0, []byte("x"), 0)
	})
	found, err := e.s.FindRegisters(e.ctx, store.KeyRange{Collection: others, Owner: "many", To: "~", Limit: 5000})
	e.check(err)
	equal(e, "bound", len(found), store.MaxRead)
}

// registerBodies: a body is any bytes; an empty one is no deletion.
func registerBodies(e *env) {
	for i, body := range [][]byte{{}, {0}, {0xff, 0, 0xfe}, []byte(`{"a":1}`), slices.Repeat([]byte{7}, 9000)} {
		k := key(fmt.Sprint(i))
		e.check(e.s.SetRegister(e.ctx, k, 0, body, 0))
		if r := e.register(k); r.Version != 1 || r.Body == nil || !bytes.Equal(r.Body, body) {
			e.Errorf("body %d: %v, version %d", i, r.Body, r.Version)
		}
	}
}
