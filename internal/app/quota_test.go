package app_test

import (
	"bytes"
	"net/http"
	"testing"

	"gotong.dev/gotong/internal/config"
)

// TestAScopeHasAQuotaOfItsOwn: what one user uploads there leaves no room to another, who
// has room in another scope.
func TestAScopeHasAQuotaOfItsOwn(t *testing.T) {
	const full = 1 << 20
	o := startOffice(t, func(c *config.Config) { c.FilesPerGroup = 1 })
	bob, half := o.bob.AccessToken, form{"a.bin", bytes.Repeat([]byte{7}, full/2)}
	o.must(o.ann.AccessToken, form{"a.bin", bytes.Repeat([]byte{7}, full*3/4)})
	o.until("the scope has no room", func() bool {
		_, status := o.upload(bob, half)
		return status == http.StatusRequestEntityTooLarge
	})
	var other struct {
		ID string `json:"thread_id"`
	}
	o.call(0, bob, http.MethodPost, "/v1/chat/threads", map[string]any{"scope_id": "rt06", "privacy_level": "private"}, &other)
	kind, body := half.encode()
	if resp, got := o.fetch(bob, http.MethodPost, "/v1/chat/attachments/upload?thread_id="+other.ID, kind, body); resp.StatusCode != http.StatusCreated {
		t.Errorf("in another scope: %d %s", resp.StatusCode, got)
	}
}
