package proof_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/proof"
)

// What a reader may take for another proof than the one that is verified is none.
func TestProofsAreReadStrictly(t *testing.T) {
	id := gotong.NewEventID(1, 1)
	b, err := json.Marshal(proof.Event{
		Form: proof.EventForm, ID: id, Type: "a", Evidence: []proof.Event{{Form: proof.EventForm, ID: id}},
	})
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	if _, err := proof.ParseEvent(b); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"a name twice":        strings.Replace(good, `"type":"a"`, `"type":"b","type":"a"`, 1),
		"another case":        strings.Replace(good, `"type":"a"`, `"Type":"a"`, 1),
		"an unknown name":     strings.Replace(good, `"type":"a"`, `"type":"a","typ":"b"`, 1),
		"no UTF-8":            strings.Replace(good, `"type":"a"`, "\"type\":\"\xff\"", 1),
		"more":                good + `{}`,
		"evidence of no form": strings.Replace(good, `"evidence":[{"form":"`+proof.EventForm+`"`, `"evidence":[{"form":""`, 1),
	} {
		if _, err := proof.ParseEvent([]byte(bad)); !errors.Is(err, proof.ErrUnverified) || bad == good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
