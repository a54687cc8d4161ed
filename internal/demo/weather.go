package demo

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// weather changes from round to round, so that the conversations repeat with
// other numbers.
type weather struct {
	dice                *rand.Rand
	water, before       int // cm at the post by the mushola
	sacks, houses, sums int
}

func newWeather(dice *rand.Rand) *weather {
	return &weather{dice: dice, water: 38, before: 42, sacks: 60, houses: 9, sums: 350}
}

// next is called before a scene: the water falls, and sometimes it rains.
func (w *weather) next() {
	w.before = w.water
	w.water -= 1 + w.dice.IntN(3)
	if w.water < 8 || w.dice.IntN(12) == 0 {
		w.water = min(w.water+6+w.dice.IntN(12), 48)
	}
	w.sacks += 2 + w.dice.IntN(6)
	w.houses = min(w.houses+w.dice.IntN(3), 37)
	w.sums = 100 + 50*w.dice.IntN(14)
}

// fill puts the present numbers into a text.
func (w *weather) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	trend := "Turun"
	if w.water > w.before {
		trend = "Naik lagi"
	}
	n := strconv.Itoa
	return strings.NewReplacer(
		"{air}", n(w.water), "{arah}", trend, "{karung}", n(w.sacks), "{rumah}", n(w.houses), "{kas}", n(w.sums),
		"{nasi}", n(60+w.sacks%50), "{pasien}", n(11+w.sacks%17), "{sedang}", n(5+w.houses/8),
	).Replace(text)
}
