package demo

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// Talk lets the neighbours talk until ctx ends, scene after scene. They type
// before they post, and read what the others post. The host answers guests.
// Meanwhile they take the case through its track.
// Messages that the server rejects are dropped.
func (n *Neighbourhood) Talk(ctx context.Context) {
	var group sync.WaitGroup
	for _, who := range cast {
		if who == guest {
			continue
		}
		e := n.follower(n.people[who])
		group.Go(func() {
			if err := e.conn.Run(ctx); ctx.Err() == nil {
				n.opts.Log.WarnContext(ctx, "a neighbour no longer follows", "cause", err)
			}
		})
		group.Go(func() { e.read(ctx) })
		group.Go(func() { e.answer(ctx) })
	}
	group.Go(func() { n.direct(ctx) })
	group.Go(func() { n.Deliberate(ctx) })
	group.Wait()
}

// direct plays the scenes, each round in another order.
func (n *Neighbourhood) direct(ctx context.Context) {
	dice := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // the order of small talk
	sky := newWeather(dice)
	for first := true; ; first = false {
		order := dice.Perm(len(scenes))
		if first { // begin with the water, where everybody can see it
			i := slices.Index(order, 0)
			order[0], order[i] = order[i], order[0]
		}
		for _, i := range order {
			sky.next()
			if !n.play(ctx, scenes[i], sky) || !n.opts.Pause(ctx, between(5*time.Second, 12*time.Second)) {
				return
			}
		}
	}
}

// play plays one scene. It returns false if ctx ended.
func (n *Neighbourhood) play(ctx context.Context, sc scene, sky *weather) bool {
	show := performance{n: n, scene: sc, ids: map[string]gotong.EventID{}}
	for _, l := range sc.lines {
		l.text = sky.fill(l.text)
		if !n.compose(ctx, show.thread(), l) {
			return false
		}
		if err := show.do(ctx, l); err != nil {
			n.opts.Log.InfoContext(ctx, "a line of a scene was left out", "cause", err)
		}
	}
	return ctx.Err() == nil
}

// compose waits for the time that writing a line takes.
func (n *Neighbourhood) compose(ctx context.Context, thread client.Thread, l line) bool {
	switch {
	case l.react != "" || l.undo != "":
		return n.opts.Pause(ctx, between(800*time.Millisecond, 2500*time.Millisecond))
	case !n.opts.Pause(ctx, between(time.Second, 4*time.Second)):
		return false
	}
	return n.typing(ctx, l.who, thread.Stream(), l.text)
}

// typing shows that a neighbour types, for as long as the text takes.
func (n *Neighbourhood) typing(ctx context.Context, who name, stream gotong.Stream, text string) bool {
	const keys = 30 // a second
	p := n.people[who]
	for left := min(utf8.RuneCountInString(text), 6*keys); left > 0; left -= 3 * keys {
		p.mu.Lock()
		conn := p.conn
		p.mu.Unlock()
		if conn != nil {
			conn.Signal(stream, "typing")
		}
		if !n.opts.Pause(ctx, time.Duration(min(left, 3*keys))*time.Second/keys) {
			return false
		}
	}
	return ctx.Err() == nil
}

// follower receives the events of both threads for a neighbour.
type follower struct {
	n        *Neighbourhood
	person   *person
	conn     *client.Conn
	received chan client.Event // the newest events; older ones are dropped
	asked    chan client.Event // messages of guests, for the host
}

func (n *Neighbourhood) follower(p *person) *follower {
	e := &follower{n: n, person: p, received: make(chan client.Event, 1), asked: make(chan client.Event, 4)}
	e.conn = p.client.NewConn(client.ConnOptions{
		Handle: e.handle,
		OnEnded: func(end *client.Ended) error { // after a removal from one thread, the other is still followed
			n.opts.Log.Info("a neighbour no longer follows a thread", "cause", end.Error())
			return nil
		},
	})
	err := errors.Join(e.conn.Subscribe(n.Public.Stream(), client.Now), e.conn.Subscribe(n.Private.Stream(), client.Now))
	if err != nil { // names that the server gave
		n.opts.Log.Warn("a neighbour cannot follow", "cause", err)
	}
	p.mu.Lock()
	p.conn = e.conn
	p.mu.Unlock()
	return e
}

func (e *follower) handle(ev client.Event) error {
	if ev.Type != "message.posted" || ev.Actor.UserID == e.person.auth.UserID {
		return nil
	}
	select {
	case <-e.received:
	default:
	}
	e.received <- ev // the only sender
	if e.person.name == host && !e.n.known[ev.Actor.UserID] {
		select {
		case e.asked <- ev:
		default: // too many at once to answer each
		}
	}
	return nil
}

// read marks received messages as read, a while later.
func (e *follower) read(ctx context.Context) {
	for {
		var ev client.Event
		select {
		case ev = <-e.received:
		case <-ctx.Done():
			return
		}
		if !e.n.opts.Pause(ctx, between(time.Second, 6*time.Second)) {
			return
		}
		if _, err := e.person.client.MarkRead(ctx, ev.Stream.ID(), ev.ID); err != nil {
			e.n.opts.Log.InfoContext(ctx, "a message was not marked as read", "cause", err)
		}
	}
}

func (e *follower) answer(ctx context.Context) {
	for {
		var ev client.Event
		select {
		case ev = <-e.asked:
		case <-ctx.Done():
			return
		}
		var message struct {
			Body     string `json:"body"`
			SentAtMS int64  `json:"sent_at_ms"`
		}
		if ev.Decode(&message) != nil || message.SentAtMS != 0 || message.Body == "" {
			continue // imported, or already deleted
		}
		text := answer(ev.Actor.Name, message.Body)
		if !e.n.opts.Pause(ctx, between(time.Second, 2*time.Second)) || !e.n.typing(ctx, host, ev.Stream, text) {
			return
		}
		if _, err := e.person.client.Send(ctx, ev.Stream.ID(), client.NewMessage{Body: text, ReplyTo: ev.ID}); err != nil {
			e.n.opts.Log.InfoContext(ctx, "an answer was left out", "cause", err)
		}
	}
}

// answers are the host's replies to a guest: the first one with a word that the
// message contains.
var answers = []struct {
	words []string
	text  string
}{
	{[]string{"halo", "hai", "hello", "hi", "assalamualaikum", "salam", "selamat", "pagi", "siang", "sore", "malam", "permisi"},
		"Halo {nama}, selamat datang di RT 05. Silakan, kalau perlu apa-apa tanya saja di sini."},
	{[]string{"terima", "makasih", "thanks", "thank", "nuwun"}, "Sama-sama, {nama}. 🙏"},
	{[]string{"bantu", "bantuan", "membantu", "help", "relawan"},
		"Wah, terima kasih {nama}. Besok jam 7 kumpul di balai ya, sepatu bot ada di pos."},
	{[]string{"air", "banjir", "flood", "water", "hujan", "rain"},
		"Terakhir diukur Pak Joko masih di bawah lutut, {nama}. Kabar terbaru selalu di ruang ini."},
	{[]string{"makan", "nasi", "lapar", "food", "dapur"}, "Masih ada nasi bungkus di balai, {nama}. Langsung saja ke dapur."},
	{[]string{"sakit", "obat", "luka", "demam", "sick"}, "{nama}, ke posko saja di rumah Bu Endah, Mbak Sari jaga sampai malam."},
}

// The host's answers to a text without a known word: to a question, and to
// other texts.
const (
	question = "Nanti saya tanyakan ke Pak Joko ya, {nama}."
	noted    = "Siap {nama}, saya catat. 🙏"
)

func answer(name, text string) string {
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		words[w] = true
	}
	if name == "" {
		name = "Kak"
	}
	return strings.ReplaceAll(choose(words, strings.Contains(text, "?")), "{nama}", name)
}

func choose(words map[string]bool, asked bool) string {
	for _, a := range answers {
		if slices.ContainsFunc(a.words, func(w string) bool { return words[w] }) {
			return a.text
		}
	}
	if asked {
		return question
	}
	return noted
}
