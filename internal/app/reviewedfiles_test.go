package app_test

import (
	"net/http"
	"testing"
	"time"

	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/files/filestest"
)

// TestAReviewerSeesTheFilesOfWhatTheyOpen: of a reported message, of one that the report
// opens with it, and of a held one, by links that a look gives: for 5 minutes, and no longer
// than the report or the role lasts. The links of members show nothing of a held message.
func TestAReviewerSeesTheFilesOfWhatTheyOpen(t *testing.T) {
	t.Run("disk", func(t *testing.T) { reviewFiles(t, startOffice(t)) })
	t.Run("bucket", func(t *testing.T) {
		address := filestest.Start(t).Bucket(t)
		reviewFiles(t, &office{town: startTown(t, 1, "", func(c *config.Config) { c.Files = address })})
	})
}

func reviewFiles(t *testing.T, o *office) {
	t.Helper()
	var cici client.Auth
	o.call(0, "", http.MethodPost, "/v1/auth/signup", map[string]any{
		"email": "cici@example.org", "pass": "selokan bersih", "username": "cici", "community_id": "rt05",
	}, &cici)
	o.call(0, cici.AccessToken, http.MethodPost, o.path+"/join", map[string]any{}, nil)
	role := func(name string) {
		o.call(0, o.ann.AccessToken, http.MethodPost, o.path+"/members/"+cici.UserID+"/role", map[string]any{"role": name}, nil)
	}
	role("admin")
	beside := o.post(o.bob.AccessToken, o.must(o.bob.AccessToken, form{"warung.txt", []byte("warung")}).ID)
	a := o.must(o.bob.AccessToken, form{"pos.png", png(t, 800, 600)})
	message := o.post(o.bob.AccessToken, a.ID)
	content := o.topic.ID() + ":" + message
	open := func() (list [][]attached) {
		var opened struct {
			Messages []struct {
				Files []attached `json:"attachments"`
			} `json:"messages"`
		}
		o.call(0, cici.AccessToken, http.MethodPost, "/v1/moderations/"+content+"/open", nil, &opened)
		for _, m := range opened.Messages {
			list = append(list, m.Files)
		}
		return list
	}
	decide := func(action string) {
		o.call(0, o.ann.AccessToken, http.MethodPost, "/v1/moderations", map[string]any{
			"content_id": content, "moderation_action": action, "reason_code": "spam",
		}, nil)
	}
	use := func(what string, want int, url string) {
		t.Helper()
		if resp, _ := o.fetch("", http.MethodGet, url, "", nil); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", what, resp.StatusCode, want)
		}
	}

	o.call(0, o.ann.AccessToken, http.MethodPost, "/v1/reports", map[string]any{"content_id": content, "reason": "spam", "context": []string{beside}}, nil)
	var list [][]attached
	o.until("the report is counted", func() bool { list = open(); return len(list) == 2 })
	if len(list[0]) != 1 || list[0][0].Name != "pos.png" || len(list[1]) != 1 || list[1][0].Name != "warung.txt" {
		t.Fatalf("the report opens %+v", list)
	}
	use("what the report opens", http.StatusOK, list[0][0].URL)
	use("what the report opens with it", http.StatusOK, list[1][0].URL)
	decide("publish_now")
	use("after the decision about the report", http.StatusNotFound, list[0][0].URL)
	use("what it opened, after the decision", http.StatusNotFound, list[1][0].URL)
	use("what an admin opens without a report", http.StatusOK, open()[0][0].URL)

	decide("hold_for_review")
	for name, token := range map[string]string{"an owner": o.ann.AccessToken, "an admin": cici.AccessToken} {
		if _, status := o.link(token, a.ID); status != http.StatusNotFound {
			t.Errorf("the link of a member to a held message, for %s: %d", name, status)
		}
	}
	if status, _ := o.ask(0, o.bob.AccessToken, http.MethodPost, "/v1/moderations/"+content+"/open", nil); status != http.StatusForbidden {
		t.Errorf("the author opens their message: %d", status)
	}
	use("what the report opened with it, of the held message", http.StatusNotFound, list[1][0].URL)
	if list = open(); len(list) != 1 || len(list[0]) != 1 {
		t.Fatalf("the hold opens %+v", list)
	}
	file := list[0][0]
	use("the file", http.StatusOK, file.URL)
	use("its thumbnail", http.StatusOK, file.Thumb)
	role("member")
	use("after they lost their role", http.StatusNotFound, file.URL)
	role("admin")
	use("with the role again", http.StatusOK, file.URL)
	o.clock.Pass(5 * time.Minute)
	use("after 5 minutes", http.StatusForbidden, file.URL)
	file = open()[0][0]
	use("opened again", http.StatusOK, file.URL)
	o.call(0, o.bob.AccessToken, http.MethodDelete, o.path+"/messages/"+message, nil, nil)
	use("after the deletion", http.StatusNotFound, file.URL)
}
