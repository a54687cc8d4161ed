package httpapi

import (
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"gotong.dev/gotong"
)

// strictQuery allows one spelling of each value of a parameter, as in bodies.
// huma parses with strconv, which also accepts a sign, leading zeros, or "t"
// for true.
func strictQuery(ctx huma.Context) error {
	for _, p := range ctx.Operation().Parameters {
		text := ""
		if p.In == "query" {
			text = ctx.Query(p.Name)
		}
		switch {
		case text == "":
		case p.Schema.Type == huma.TypeInteger:
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) != text {
				return gotong.Invalid(p.Name, "must be a whole number, written as in JSON")
			}
		case p.Schema.Type == huma.TypeBoolean && text != "true" && text != "false":
			return gotong.Invalid(p.Name, "must be true or false")
		}
	}
	return nil
}
