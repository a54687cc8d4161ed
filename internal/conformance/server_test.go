package conformance

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
)

// A client may give up a poll just before the script answers it. Its next poll gets
// what the script has sent, wherever the client began.
func TestALostAnswerIsGivenAgain(t *testing.T) {
	s := &server{grown: make(chan struct{})}
	s.begin("k3f9")
	for range 3 {
		s.write("thread/a", `{}`)
	}
	a := &attempt{server: s, kind: poll, list: []gotong.StreamCursor{{Stream: "thread/a", Cursor: gotong.Cursor{Epoch: "k3f9", Seq: 1}}}}
	(&play{server: s}).follow(a, []place{{"thread/a", "k3f9:1"}})
	if s.missed(a) {
		t.Error("a poll at the position of the script gets events")
	}
	s.show("thread/a", 1, 3)
	if !s.missed(a) {
		t.Error("a poll before the position of the script gets nothing")
	}
}

// A client that sends a file, or asks for messages, where the script knows of none gets
// 404: it neither waits nor stops anything.
func TestWhatNoScriptServes(t *testing.T) {
	s, err := serve(t.Context(), make(mail), &transcript{}, "connect", "events a 1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	for _, request := range []string{"POST " + filePath, "PATCH " + filePath, "GET " + chatPath + "threads/a/pins"} {
		method, path, _ := strings.Cut(request, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, s.proxy.URL()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", request, res.Status)
		}
	}
	s.head("thread/a")
}
