package thread

// Token is a name in a text, for tests.
type Token = struct {
	Name     string
	From, To int
}

// Tokens returns the names in a text that may mention somebody.
func Tokens(body string) (list []Token) {
	for _, t := range tokens(body) {
		list = append(list, Token{t.name, t.from, t.to})
	}
	return list
}
