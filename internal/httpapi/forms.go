package httpapi

import "github.com/danielgtaylor/huma/v2"

// Forms of parameters, which the handlers check: what has another is answered as
// they say, with 404 where it names something.
const (
	idForm       = "^[A-Za-z0-9._:-]{1,128}$"
	eventForm    = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
	positionForm = "^[a-z0-9]{4,32}:(0|[1-9][0-9]{0,18})$"
	tagForm      = `^"(0|[1-9][0-9]*)(\\.[^"]*)?"$`
)

// forms are those of the parameters that have one, by name.
var forms = map[string]string{
	"id": idForm, "uid": idForm, "mid": eventForm, "since_message_id": eventForm, "min_seq": positionForm, "before_seq": positionForm,
	"after_seq": "^start$|" + positionForm, "cursor": "^[A-Za-z0-9_-]+$", "If-Match": tagForm,
}

// published is the schema of a parameter as it is published. It is a copy: huma
// would answer with 422 whatever breaks its own.
func published(p *huma.Param) *huma.Schema {
	form, ok := forms[p.Name]
	if !ok || p.Schema.Pattern != "" {
		return p.Schema
	}
	schema := *p.Schema
	schema.Pattern = form
	return &schema
}
