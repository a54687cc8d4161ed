package surreal

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Query runs statements and answers the fate of each. The error is of the call
// as a whole: what failed alone stands in its [Result], see [Results.Err].
func (c *Client) Query(ctx context.Context, text string, vars Vars) (Results, error) {
	raw, err := c.call(ctx, "query", []any{text, nonNil(vars)})
	if err != nil {
		return nil, err
	}
	results, err := decodeResults(raw)
	if err != nil { // the server did the work, and said so in words of its own
		return nil, &ConnError{Sent: true, Err: fmt.Errorf("the answer cannot be read: %w", err)}
	}
	return results, nil
}

// Exec runs statements; each of them must succeed.
func (c *Client) Exec(ctx context.Context, text string, vars Vars) error {
	results, err := c.Query(ctx, text, vars)
	if err != nil {
		return err
	}
	return results.Err()
}

// Select runs one statement and reads its value.
func (c *Client) Select(ctx context.Context, text string, vars Vars, into any) error {
	results, err := c.Query(ctx, text, vars)
	if err != nil {
		return err
	}
	if len(results) != 1 {
		return fmt.Errorf("surreal: %d statements where one was meant", len(results))
	}
	return results[0].Decode(into)
}

// Transact runs statements as one transaction: all of them or none. The results
// are those of the statements, without BEGIN and COMMIT, on any version. RETURN
// may only stand last, and then 2.6 answers its value alone: the other results are
// empty. The
// error says that nothing was done, unless it is [Unknown]; [Conflict] says to
// try again. The results are there too where a statement failed.
func (c *Client) Transact(ctx context.Context, statements []string, vars Vars) (Results, error) {
	text := "BEGIN;\n" + strings.Join(statements, ";\n") + ";\nCOMMIT;"
	all, err := c.Query(ctx, text, vars)
	if err != nil {
		return nil, err
	}
	failed := all.Err()
	if failed != nil {
		return inner(all, len(statements)), failed
	}
	switch n := len(statements); len(all) {
	case n: // 2.6
		return all, nil
	case n + 2: // 3.x names BEGIN and COMMIT too
		return all[1 : n+1], nil
	case 1: // 2.6 with a RETURN at the end
		return append(make(Results, n-1), all[0]), nil
	default:
		err := fmt.Errorf("%d results for %d statements", len(all), len(statements))
		return nil, &ConnError{Sent: true, Err: err}
	}
}

// inner is the results of the n statements of a transaction that failed.
func inner(all Results, n int) Results {
	if len(all) > n || (len(all) > 0 && all[0].Err == nil && isNone(all[0].Value) && len(all) == n+1) {
		all = all[1:]
	}
	return all[:min(n, len(all))]
}

func nonNil(vars Vars) Vars {
	if vars == nil {
		return Vars{}
	}
	return vars
}

// call is one request on the socket that has the least to do.
func (c *Client) call(ctx context.Context, method string, params []any) (Raw, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Call)
	defer cancel()
	s, err := c.pick(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { <-s.slots }()
	raw, err := s.call(ctx, method, params)
	var e *Error
	if errors.As(err, &e) && e.expired() {
		s.fail(errors.New("its login ran out"))
		return nil, fmt.Errorf("%w: %w", ErrAuth, err)
	}
	return raw, err
}

// pick waits for a ready socket, and takes a place on the one with the least
// to do. While none is ready it fails at once if the login was refused.
func (c *Client) pick(ctx context.Context) (*socket, error) {
	for {
		c.mu.Lock()
		var best *socket
		for _, s := range c.ready {
			if best == nil || len(s.slots) < len(best.slots) {
				best = s
			}
		}
		failed, arrived := c.failed, c.arrived
		c.mu.Unlock()
		if c.ctx.Err() != nil {
			return nil, &ConnError{Err: ErrClosed}
		}
		if best != nil {
			if err := best.seat(ctx); err == nil {
				return best, nil
			} else if ctx.Err() != nil {
				return nil, &ConnError{Err: err}
			}
			continue
		}
		if errors.Is(failed, ErrAuth) {
			return nil, &ConnError{Err: failed}
		}
		select {
		case <-arrived:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, &ConnError{Err: errors.Join(context.Cause(ctx), failed)}
		}
	}
}
