package inbox

import "gotong.dev/gotong"

// mention is a place in a text that names users.
type mention struct{ UserID, Group, Role string }

func mentionsOf(any) []mention { return nil }

func lenderOf(any) gotong.Stream { return "" }
