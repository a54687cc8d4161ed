package copy

import "testing"

func TestUnitsBeforeAMark(t *testing.T) {
	about := About{Units: 30}
	about.Positions[0], about.Positions[1], about.Positions[2] = 10, 15, 5
	for name, tt := range map[string]struct {
		mark Mark
		want uint64
	}{
		"the beginning":        {Mark{}, 0},
		"among streams":        {Mark{Part: Streams, After: "x"}, 0},
		"at the first event":   {Mark{Part: Events}, 0},
		"in another partition": {Mark{Part: Events, Partition: 1, Position: 7}, 17},
		"after the events":     {Mark{Part: Claims, After: "x"}, 30},
		"the end":              {Mark{End: true}, 30},
		"in a file":            {Mark{Part: Events, Line: 12}, 12},
	} {
		if got := tt.mark.units(about); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
