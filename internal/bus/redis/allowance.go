package redis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"gotong.dev/gotong/internal/clock"
)

const (
	// maxAsking is the number of calls that may wait for Redis at once.
	maxAsking = 256
	// asking is the default of [Options.Asking].
	asking = 50 * time.Millisecond
	// resting is the time without calls to Redis after one got no answer.
	resting = time.Second
)

// ErrUnavailable means that Redis is down or slow, so what the other nodes have
// granted is unknown.
var ErrUnavailable = errors.New("redis: shared allowances are unavailable")

// gcra is the generic cell rate algorithm (ITU-T I.371) on the server's clock:
// a key holds the time up to which its allowance is spent, in µs. It grants as
// many as are available, up to the number requested, or returns the µs to wait
// as a negative number. A stored time farther ahead than the burst allows comes
// from before the clock was set back.
var gcra = rueidis.NewLuaScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local gap, burst, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local room = gap * burst
local spent = math.min(math.max(tonumber(redis.call('GET', KEYS[1])) or now, now), now + room)
local n = math.min(want, math.floor((now + room - spent) / gap + 0.000001))
if n < 1 then
  return -math.max(1, math.ceil(spent + gap - now - room))
end
spent = spent + n * gap
redis.call('SET', KEYS[1], string.format('%.0f', spent), 'PX', math.ceil((spent - now) / 1000) + 1)
return n
`)

// Take spends up to want of a key's allowance, which all nodes share: perSecond
// sustained and burst at once. It returns the number granted or, with 0, the
// time to wait. It returns within [Options.Asking], with [ErrUnavailable] if
// Redis does not answer.
func (l *Link) Take(
	ctx context.Context, name, key string, perSecond float64, burst, want int,
) (given int, wait time.Duration, err error) {
	client := l.client.Load()
	if client == nil || l.Check(ctx) != nil || l.opt.Clock.Mono() < clock.Moment(l.pause.Load()) {
		return 0, 0, ErrUnavailable
	}
	select {
	case l.asking <- struct{}{}:
		defer func() { <-l.asking }()
	default:
		return 0, 0, ErrUnavailable
	}
	short, cancel := context.WithTimeout(ctx, l.opt.Asking)
	defer cancel()
	args := []string{
		strconv.FormatFloat(1e6/perSecond, 'f', 3, 64), strconv.Itoa(max(1, burst)), strconv.Itoa(max(1, want)),
	}
	n, err := gcra.Exec(short, *client, []string{l.allowanceKey(name, key)}, args).AsInt64()
	if isMoved(err) {
		select {
		case l.moved <- struct{}{}:
		default:
		}
	}
	if err != nil && ctx.Err() == nil { // otherwise the caller left, which is no sign of an outage
		l.pause.Store(int64(l.opt.Clock.Mono().Add(resting)))
	}
	if err != nil {
		return 0, 0, ErrUnavailable
	}
	if n < 0 {
		return 0, time.Duration(-n) * time.Microsecond, nil
	}
	return int(n), 0, nil
}

// allowanceKey returns a key that shows no address and no user.
func (l *Link) allowanceKey(name, key string) string {
	sum := sha256.Sum256([]byte(l.opt.Installation + "\x00" + name + "\x00" + key))
	return "gotong:rate:" + l.opt.Installation + ":" + name + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}
