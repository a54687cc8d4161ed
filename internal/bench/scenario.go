package bench

import "context"

// Scenario is one kind of load. Viewers are spread over the threads, Viewers
// for each; the first of each thread also post. Without viewers, the posters
// have connections of their own.
type Scenario struct {
	Name, About string

	Threads int
	Viewers int     // connections for each thread that follow it
	Posters int     // connections that post, in all
	Window  int     // closed schedule: posts in flight for each poster
	Rate    float64 // open schedule: posts a second in all
	Sleeper bool    // one viewer reads nothing for a while

	Clients int // connections of everyday, idle and storm
	Missed  int // posts in each thread that the clients have missed
	Bytes   int // of texts in a backlog

	run func(*trial, context.Context) error
}

// Scenarios are all scenarios.
var Scenarios = []Scenario{
	{Name: "alone", About: "one poster, one post in flight",
		Threads: 1, Posters: 1, Window: 1, run: (*trial).traffic},
	{Name: "paced", About: "one poster at 50 posts/s",
		Threads: 1, Posters: 1, Rate: 50, run: (*trial).traffic},
	{Name: "threes", About: "three posters, one post in flight each",
		Threads: 3, Posters: 3, Window: 1, run: (*trial).traffic},
	{Name: "full", About: "16 posters, 16 posts in flight each",
		Threads: 16, Posters: 16, Window: 16, run: (*trial).traffic},
	{Name: "callers", About: "200 posters, one post in flight each",
		Threads: 10, Posters: 200, Window: 1, run: (*trial).traffic},
	{Name: "threads-10", About: "64 posters with 4 in flight each, 10 threads",
		Threads: 10, Posters: 64, Window: 4, run: (*trial).traffic},
	{Name: "threads-1000", About: "64 posters with 4 in flight each, 1,000 threads",
		Threads: 1000, Posters: 64, Window: 4, run: (*trial).traffic},
	{Name: "threads-10000", About: "64 posters with 4 in flight each, 10,000 threads",
		Threads: 10_000, Posters: 64, Window: 4, run: (*trial).traffic},
	{Name: "rooms", About: "500 rooms of 8 at 1,500 posts/s",
		Threads: 500, Viewers: 8, Posters: 500, Rate: 1500, run: (*trial).traffic},
	{Name: "stream", About: "one thread of 20 viewers at 1,000 posts/s, one of whom sleeps",
		Threads: 1, Viewers: 20, Posters: 4, Rate: 1000, Sleeper: true, run: (*trial).traffic},
	{Name: "steady", About: "10 threads of 100 viewers at 200 posts/s",
		Threads: 10, Viewers: 100, Posters: 10, Rate: 200, run: (*trial).traffic},
	{Name: "throttle", About: "10 threads of 100 viewers, 16 posts in flight in each",
		Threads: 10, Viewers: 100, Posters: 10, Window: 16, run: (*trial).traffic},
	{Name: "everyday", About: "members in threads of 50, each of whom posts once a minute",
		Clients: 500, run: (*trial).everyday},
	{Name: "idle", About: "connections that follow quiet threads of 100 members", Clients: 10_000, run: (*trial).idle},
	{Name: "storm", About: "clients that return at once, 100 posts behind",
		Threads: 10, Clients: 10_000, Missed: 100, run: (*trial).storm},
	{Name: "backlog", About: "one client that reads 10 MB of texts, five times",
		Threads: 1, Bytes: 10 << 20, run: (*trial).backlog},
}

// Names returns the names of the scenarios.
func Names() []string {
	names := make([]string, len(Scenarios))
	for i, s := range Scenarios {
		names[i] = s.Name
	}
	return names
}

// Connections returns the number of connections, and so the number of users
// that the scenario needs.
func (s Scenario) Connections() int {
	switch {
	case s.Clients > 0:
		return s.Clients
	case s.Bytes > 0:
		return 1
	case s.Viewers > 0:
		return s.Threads * s.Viewers
	default:
		return s.Posters
	}
}
