package cases_test

import (
	"strings"
	"testing"

	"gotong.dev/gotong/internal/community/cases"
)

// file returns a file of tracks with one track whose edges and profiles are
// these lines.
func file(profiles, stages, edges string) map[string][]byte {
	body := "profiles:\n"
	if profiles == "" {
		body = ""
	}
	for line := range strings.Lines(profiles) {
		body += "  " + line + "\n"
	}
	body += "tracks:\n  ronda:\n    stages: [" + stages + "]\n    edges:\n"
	for line := range strings.Lines(edges) {
		body += "      - " + line + "\n"
	}
	return map[string][]byte{"ronda.yaml": []byte(body)}
}

func TestTracksAreChecked(t *testing.T) {
	const ab = "{from: a, to: b, gate: routine}"
	for name, c := range map[string]struct {
		files map[string][]byte
		want  string // in the error; empty: it loads
	}{
		"whole":              {file("", " A ,b", ab), ""},
		"own profile":        {file("pilih: {gate: vote, window: 90s, quorum: 1, threshold: 66}", "a, b", "{from: a, to: b, gate: pilih}"), ""},
		"no gate":            {file("langsung: {gate: none}", "a, b", "{from: a, to: b, gate: langsung}"), ""},
		"same file":          {file("z: {gate: consent, window: 1s, vote: a}\na: {gate: vote, window: 1s, quorum: 9, threshold: 9}", "a, b", "{from: a, to: b, gate: z}"), ""},
		"unknown key":        {file("", "a, b", "{from: a, to: b, gate: routine, gates: x}"), "gates"},
		"unknown gate":       {file("", "a, b", "{from: a, to: b, gate: ronda}"), `no gate "ronda"`},
		"no gate named":      {file("", "a, b", "{from: a, to: b}"), `no gate ""`},
		"unknown complex":    {file("", "a, b", "{from: a, to: b, gate: routine, complex: x}"), `no gate "x"`},
		"laxer complex":      {file("", "a, b", "{from: a, to: b, gate: standard, complex: simple}"), "laxer"},
		"fast track as gate": {file("", "a, b", "{from: a, to: b, gate: emergency}"), "no gate"},
		"vote as fast track": {file("", "a, b", "{from: a, to: b, gate: simple, fast_track: standard}"), "no fast track"},
		"unknown stage":      {file("", "a, b", "{from: a, to: c, gate: routine}"), "two stages"},
		"loop":               {file("", "a, b", "{from: a, to: a, gate: routine}"), "two stages"},
		"edge twice":         {file("", "a, b", ab+"\n"+ab), "twice"},
		"stage twice":        {file("", "a, A, b", ab), "twice"},
		"batal named":        {file("", "a, batal, b", ab), "twice"},
		"one stage":          {file("", "a", ab), "two stages"},
		"unreachable":        {file("", "a, c, b", ab), "stage c cannot be reached"},
		"dead end":           {file("", "a, c, b", ab+"\n{from: a, to: c, gate: routine}"), "stage c cannot be reached, or leads nowhere"},
		"empty stage":        {file("", `a, " ", b`, ab), "1 to 128"},
		"long stage":         {file("", "a, "+strings.Repeat("x", 129)+", b", ab), "1 to 128"},
		"prerequisite":       {file("", "a, b", "{from: a, to: b, gate: routine, requires: [hujan]}"), `no prerequisite "hujan"`},
		"weighted":           {file("berat: {gate: vote, window: 72h, quorum: 40, threshold: 60, weight: integrity}", "a, b", ab), "weighted"},
		"unknown type":       {file("x: {gate: jury, window: 1h}", "a, b", ab), `type of gate "jury"`},
		"no window":          {file("x: {gate: vote, quorum: 30, threshold: 50}", "a, b", ab), "window"},
		"half a second":      {file("x: {gate: vote, window: 1500ms, quorum: 30, threshold: 50}", "a, b", ab), "window"},
		"quorum of consent":  {file("x: {gate: consent, window: 1h, vote: standard, quorum: 30, threshold: 50}", "a, b", ab), "quorum"},
		"quorum of 101":      {file("x: {gate: vote, window: 1h, quorum: 101, threshold: 50}", "a, b", ab), "quorum"},
		"threshold of 100":   {file("x: {gate: vote, window: 1h, quorum: 10, threshold: 100}", "a, b", ab), "threshold"},
		"consent alone":      {file("x: {gate: consent, window: 1h}", "a, b", ab), "vote is required for consent"},
		"vote of a vote":     {file("x: {gate: consent, window: 1h, vote: simple}", "a, b", ab), `no vote "simple"`},
		"challenge of vote":  {file("x: {gate: vote, window: 1h, quorum: 10, threshold: 50, challenge: 1h}", "a, b", ab), "challenge"},
		"no dispute":         {file("x: {gate: challenge, window: 1h, quorum: 10, threshold: 50, challenge: 1h}", "a, b", ab), "disputes"},
		"ratify of vote":     {file("x: {gate: vote, window: 1h, quorum: 10, threshold: 50, ratify: 1h}", "a, b", ab), "ratify"},
		"secret roles":       {file("x: {gate: vote, window: 1h, quorum: 10, threshold: 50, secret: true, yes_of: [pic]}", "a, b", ab), "yes_of"},
		"unknown role":       {file("x: {gate: vote, window: 1h, quorum: 10, threshold: 50, yes_of: [lurah]}", "a, b", ab), "role"},
		"secret consent":     {file("x: {gate: consent, window: 1h, vote: standard, secret: true}", "a, b", ab), "secret"},
		"profile taken":      {file("standard: {gate: vote, window: 1h, quorum: 10, threshold: 50}", "a, b", ab), "twice"},
		"track taken":        {map[string][]byte{"t.yaml": []byte("tracks: {Tuntaskan: {stages: [a, b], edges: [{from: a, to: b, gate: routine}]}}")}, "twice"},
		"two documents":      {map[string][]byte{"t.yaml": []byte("tracks: {}\n---\ntracks: {}\n")}, "second document"},
		"no YAML":            {map[string][]byte{"t.yaml": []byte("tracks: [")}, "t.yaml: is not a valid YAML"},
		"nothing":            {map[string][]byte{"t.yaml": nil}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cases.Load(c.files)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
