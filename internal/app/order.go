package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// OrderPath is where the listener for operators accepts an [Order], with a token
// of [auth.Operator].
const OrderPath = "/v1/operator/orders"

// Order is what an operator asks about the readers, the jobs or the access to the
// streams of a store. Do is readers, skip, rebuild, jobs, retry or explain; the other fields are those that it
// needs.
type Order struct {
	Do        string           `json:"do"`
	Reader    string           `json:"reader,omitempty"`
	Partition gotong.Partition `json:"partition,omitempty"`
	Queue     string           `json:"queue,omitempty"`
	Job       string           `json:"job,omitempty"`
	Dead      bool             `json:"dead,omitempty"`
	User      string           `json:"user,omitempty"`
	Stream    gotong.Stream    `json:"stream,omitempty"`
}

// Reply is the answer to an [Order]. Error is the reason for which nothing was
// done.
type Reply struct {
	Readers []reader.Status `json:"readers,omitempty"`
	Skipped *reader.Stop    `json:"skipped,omitempty"`
	Jobs    []Job           `json:"jobs,omitempty"`
	Lines   []string        `json:"lines,omitempty"`
	Error   string          `json:"error,omitempty"`
}

// Job is a job as operators see it, without its body.
type Job struct {
	Queue    string         `json:"queue"`
	ID       string         `json:"id"`
	Due      gotong.Instant `json:"due"`
	Failures int            `json:"failures"`
	Crashes  int            `json:"crashes"`
	Running  bool           `json:"running"`
	Dead     bool           `json:"dead"`
	Error    string         `json:"error,omitempty"`
}

// Execute carries out an order on a store that no server has open. It returns
// [ErrServing] if one has.
func (o *Order) Execute(ctx context.Context, cfg *config.Config) (reply Reply, err error) {
	now := clock.System().Now
	opened, err := openExisting(ctx, cfg, Kinds(), now)
	if err != nil {
		return reply, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	return o.on(ctx, opened, now())
}

func (o *Order) on(ctx context.Context, s store.Whole, now gotong.Instant) (reply Reply, err error) {
	switch o.Do {
	case "readers":
		reply.Readers, err = reader.List(ctx, s, Readers())
	case "skip":
		var stop reader.Stop
		if stop, err = reader.Skip(ctx, s, Readers(), o.Reader, o.Partition, now); err == nil {
			reply.Skipped = &stop
		}
	case "rebuild":
		err = reader.Rebuild(ctx, s, Readers(), o.Reader)
	case "jobs":
		var jobs []store.Job
		jobs, err = reader.Jobs(ctx, s, o.Dead)
		for i := range jobs {
			j := &jobs[i]
			reply.Jobs = append(reply.Jobs, Job{j.Queue, j.ID, j.Due, j.Attempt, j.Crashes, j.Lease > now, j.Dead, j.Error})
		}
	case "retry":
		err = reader.Retry(ctx, s, o.Queue, o.Job, now)
	case "explain":
		reply.Lines, err = explain(ctx, s, o.User, o.Stream, now)
	default:
		err = fmt.Errorf("there is no order %q", o.Do)
	}
	return reply, err
}

// serveOrder carries out an order on the store of the server. Only the operator
// is admitted, who proves to have the signing key.
func (a *App) serveOrder(w http.ResponseWriter, r *http.Request) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p, err := a.auth.Verify(r.Context(), token)
	if !bearer || err != nil || p.UserID != auth.Operator().UserID || !p.Role.IsAdmin() {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var o Order
	var reply Reply
	status := http.StatusOK
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	body.DisallowUnknownFields()
	if err = body.Decode(&o); err == nil {
		reply, err = o.on(r.Context(), a.bare, a.now())
	}
	if err != nil {
		reply, status = Reply{Error: err.Error()}, http.StatusConflict
	} else if slices.Contains([]string{"skip", "rebuild", "retry"}, o.Do) {
		a.log.WarnContext(r.Context(), "an operator gave an order",
			"order", o.Do, "reader", o.Reader, "partition", o.Partition, "queue", o.Queue, "job", o.Job)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(reply) // an error means that the caller left
}
