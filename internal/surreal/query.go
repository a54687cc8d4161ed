package surreal

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Query runs statements and returns the result of each. The error is that of the
// call as a whole; a statement that failed alone has its error in its [Result],
// see [Results.Err].
func (c *Client) Query(ctx context.Context, text string, vars Vars) (Results, error) {
	raw, err := c.call(ctx, "query", []any{text, nonNil(vars)})
	if err != nil {
		return nil, err
	}
	results, err := decodeResults(raw)
	if err != nil { // the server carried the call out
		return nil, &ConnError{Sent: true, Err: fmt.Errorf("the answer cannot be read: %w", err)}
	}
	return results, nil
}

// Exec runs statements and returns the first error, of any of them.
func (c *Client) Exec(ctx context.Context, text string, vars Vars) error {
	results, err := c.Query(ctx, text, vars)
	if err != nil {
		return err
	}
	return results.Err()
}

// Select runs one statement and decodes its value.
func (c *Client) Select(ctx context.Context, text string, vars Vars, into any) error {
	results, err := c.Query(ctx, text, vars)
	if err != nil {
		return err
	}
	if len(results) != 1 {
		return fmt.Errorf("surreal: %d statements, want one", len(results))
	}
	return results[0].Decode(into)
}

// Transact runs statements as one transaction: all of them or none. It returns the
// results of the statements, without those of BEGIN and COMMIT, on any version,
// also if a statement failed. An error says that nothing was written, unless it is
// [Unknown]; after a [Conflict] the transaction may be repeated. RETURN may only
// be the last statement; then 2.6 returns its value alone, and the other results
// are empty.
func (c *Client) Transact(ctx context.Context, statements []string, vars Vars) (Results, error) {
	text := "BEGIN;\n" + strings.Join(statements, ";\n") + ";\nCOMMIT;"
	all, err := c.Query(ctx, text, vars)
	if err != nil {
		return nil, err
	}
	if failed := all.Err(); failed != nil {
		results := inner(all, len(statements))
		if err := results.Err(); err != nil {
			return results, err // the same, by the caller's count
		}
		return results, failed // BEGIN or COMMIT
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

// inner returns the results of the n statements of a transaction that failed. 3.x
// has a result for BEGIN too, and sometimes for COMMIT.
func inner(all Results, n int) Results {
	if len(all) > n {
		all = all[1:]
	}
	results := make(Results, 0, n)
	for i, r := range all[:min(n, len(all))] {
		if e, ok := errors.AsType[*Error](r.Err); ok {
			e.Statement = i
		}
		results = append(results, r)
	}
	return results
}

func nonNil(vars Vars) Vars {
	if vars == nil {
		return Vars{}
	}
	return vars
}

// call sends one request on the socket with the fewest calls. If that socket is
// lost before the request was sent, the next one is used.
func (c *Client) call(ctx context.Context, method string, params []any) (Raw, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Call)
	defer cancel()
	for {
		s, err := c.pick(ctx)
		if err != nil {
			return nil, err
		}
		raw, err := s.call(ctx, method, params)
		<-s.slots
		var unsent *ConnError
		if errors.As(err, &unsent) && !unsent.Sent && unsent.lost && ctx.Err() == nil {
			continue
		}
		var e *Error
		if errors.As(err, &e) && e.expired() {
			s.fail(errors.New("its login has expired"))
			return nil, fmt.Errorf("%w: %w", ErrAuth, err)
		}
		return raw, err
	}
}

// pick waits for a ready socket and for a place on it. If none is ready because
// the login was rejected, it fails at once.
func (c *Client) pick(ctx context.Context) (*socket, error) {
	for {
		best, arrived, failed := c.idlest()
		if best != nil && best.seat(ctx) {
			return best, nil
		}
		switch {
		case c.ctx.Err() != nil:
			return nil, &ConnError{Err: ErrClosed}
		case ctx.Err() != nil:
			return nil, &ConnError{Err: because(ctx, failed)}
		case best != nil: // it was lost during the wait for a place
			continue
		case errors.Is(failed, ErrAuth):
			return nil, &ConnError{Err: failed}
		}
		select {
		case <-arrived:
		case <-c.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// because returns the context's reason, with the reason why there was no socket.
func because(ctx context.Context, failed error) error {
	if failed == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w; %w", context.Cause(ctx), failed)
}

// idlest returns the ready socket with the fewest calls, nil if none is ready; a
// channel that is closed when the next one is; and why the last connect failed.
func (c *Client) idlest() (best *socket, arrived <-chan struct{}, failed error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.ready {
		if s.alive() && (best == nil || len(s.slots) < len(best.slots)) {
			best = s
		}
	}
	return best, c.arrived, c.failed
}
