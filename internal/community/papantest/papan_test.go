package papantest_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/papantest"
)

// The world checks after each command what holds of every kind: Needs names all
// that the rules read, Affects all whose access changed, documents equal the
// projection from zero.
func TestABoardKeepsItsRules(t *testing.T) {
	w := communitytest.Run(t, papantest.Kind())
	ani, budi, citra := communitytest.User("ani"), communitytest.User("budi"), communitytest.User("citra")
	s := papantest.StreamOf("ani", "r1")
	w.Do(ani, s, papantest.Create{Title: "Kerja bakti"})
	w.Refuse(budi, s, papantest.Post{Text: "Saya ikut"}, gotong.CodeNotFound)
	w.Do(budi, s, papantest.Join{})
	w.Idle(budi, s, papantest.Join{})
	w.Do(budi, s, papantest.Post{Text: "Saya ikut"})
	w.Refuse(budi, s, papantest.Add{UserID: "citra"}, gotong.CodeForbidden)
	w.Do(ani, s, papantest.Add{UserID: "citra"})
	w.Refuse(ani, s, papantest.Leave{}, gotong.CodeConflict)
	w.Do(ani, s, papantest.SetRole{UserID: "citra", Role: papantest.Keeper})
	w.Do(ani, s, papantest.Remove{UserID: "budi", Ban: gotong.Ban{UntilMS: w.Now().Milli() + 60_000}})
	w.Refuse(budi, s, papantest.Join{}, gotong.CodeForbidden)
	w.Do(ani, s, papantest.Unban{UserID: "budi"})
	w.Do(budi, s, papantest.Join{})
	w.Do(ani, s, papantest.Leave{})
	w.Idle(ani, s, papantest.Leave{})
	if a := w.Access(s, gotong.Viewer{UserID: "ani"}); a.Readable {
		t.Error("a keeper who left still reads")
	}
	if b, _ := w.Doc(gotong.StreamKey(s)).(papantest.Board); b != (papantest.Board{Title: "Kerja bakti", Keepers: 1}) {
		t.Errorf("%+v", b)
	}
	w.Refuse(citra, s, papantest.Remove{UserID: "citra"}, gotong.CodeConflict)
}
