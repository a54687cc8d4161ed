package httpapi

import (
	"cmp"

	"gotong.dev/gotong"
)

// Ban is the body of keeping a user out of a thread or a group.
type Ban struct {
	UntilMS *int64 `json:"until_ms,omitempty" minimum:"1" doc:"Until when, in milliseconds since 1970; for ever if absent."`
}

// Of is the ban that the body asks for.
func (b Ban) Of() gotong.Ban {
	if b.UntilMS == nil {
		return gotong.Ban{Ever: true}
	}
	return gotong.Ban{UntilMS: cmp.Or(*b.UntilMS, -1)} // 0 is no time to keep somebody out until
}
