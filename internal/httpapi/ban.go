package httpapi

import (
	"cmp"

	"gotong.dev/gotong"
)

// Ban is the body of a request to ban a user from a thread or a group.
type Ban struct {
	UntilMS *int64 `json:"until_ms,omitempty" minimum:"1" doc:"Until when, in milliseconds since 1970; for ever if absent."`
}

// Of returns the ban that the body requests.
func (b Ban) Of() gotong.Ban {
	if b.UntilMS == nil {
		return gotong.Ban{Ever: true}
	}
	return gotong.Ban{UntilMS: cmp.Or(*b.UntilMS, -1)} // 0 is not a valid end of a ban
}
