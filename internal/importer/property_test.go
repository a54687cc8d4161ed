package importer

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzOpen: whatever the bytes, nothing panics, and what is accepted has messages.
func FuzzOpen(f *testing.F) {
	for _, path := range samples(f) {
		raw, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		survey, list, err := opened(t, write(t, "x.txt", raw), Source{})
		if err != nil && len(list) > 0 || err == nil && survey.Steps == 0 {
			t.Errorf("%d entries, %d steps, %v", len(list), survey.Steps, err)
		}
	})
}

// TestAnExportWithoutMessages is rejected, also where a part of it could not be read.
func TestAnExportWithoutMessages(t *testing.T) {
	raw := []byte(`{"name":"x","type":"private_group","id":2,"messages":[{"id":1,"type":"service","date_unixtime":"1786960800",` +
		`"actor":"Wati","actor_id":"user1","action":"create_group","title":"RT 05","members":[],"text":""},{"id":2,`)
	if survey, list, err := opened(t, write(t, "x.json", raw), Source{}); err == nil || len(list) > 0 {
		t.Errorf("%d entries of %+v", len(list), survey)
	}
}

// TestAnAliasIsAName, also if it holds a colon.
func TestAnAliasIsAName(t *testing.T) {
	const chat = "17/08/26, 10:00 - Toko: Budi: halo: ya\n"
	for name, alias := range map[string]map[string]string{"Toko": nil, "Budi": {"Toko: Budi": "Budi"}} {
		if list := entriesOf(t, Source{Format: WhatsApp, Alias: alias}, chat); len(list) != 1 || list[0].Author != name {
			t.Errorf("%v: %+v", alias, list)
		}
	}
	itself := map[string]string{"Toko: Budi": "Toko: Budi"}
	before, after := entriesOf(t, Source{Format: WhatsApp}, chat)[0], entriesOf(t, Source{Format: WhatsApp, Alias: itself}, chat)[0]
	if before.RequestID() != after.RequestID() || after.Author != "Toko: Budi" {
		t.Errorf("%+v has another identity than %+v", after, before)
	}
}

// TestAReaderOfSlackStops where its caller does, also within a damaged day.
func TestAReaderOfSlackStops(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{
		"users.json": "[]", "channels.json": `[{"id":"C1","name":"rt"}]`,
		"rt/2026-08-17.json": `[{"type":"message","user":"U1","text":"halo","ts":"1786960800.000100"},{"ts":`,
	} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(write(t, "x.zip", b.Bytes()), Source{})
	if err != nil {
		t.Fatal(err)
	}
	for stop := range 4 {
		n := 0
		for _, err := range f.entries(Source{Format: Slack}, &evidence{}) {
			if n++; n > stop || err != nil {
				break
			}
		}
	}
}
