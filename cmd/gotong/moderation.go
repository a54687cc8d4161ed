package main

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"gotong.dev/gotong/client"
)

type moderationCmd struct {
	Queue   moderationQueueCmd   `cmd:"" help:"List what waits for you as a reviewer, oldest first."`
	Show    moderationShowCmd    `cmd:"" help:"Show what was decided about a message."`
	Open    moderationOpenCmd    `cmd:"" help:"Read what a report or a hold opens to reviewers. Each look is recorded."`
	Decide  moderationDecideCmd  `cmd:"" help:"Publish, label, hold or reject a message."`
	Release moderationReleaseCmd `cmd:"" help:"Publish a message: end its hold, overturn its rejection, or dismiss its reports."`
	EndHold moderationEndHoldCmd `cmd:"" help:"End a hold whose time is over, if the server is late; for platform admins."`
}

func (*moderationCmd) Help() string {
	return `Messages have the ids that the queue prints: of the thread, a colon, of the message.
If a decision was taken before, the exit code is 0 and a line says that nothing changed.

Examples:

    gotong moderation queue
    gotong moderation open THREAD:MESSAGE
    gotong moderation decide THREAD:MESSAGE hold --minutes 120 --reason spam
    gotong moderation queue --last 200 --json | jq -r 'select(.flagged) | .content_id'`
}

// desk is the flags of all commands of moderation.
type desk struct {
	login
	Zone string `name:"zone" help:"Time zone of the times." default:"Local"`
	JSON bool   `name:"json" help:"Print JSON, on one line for each."`
}

// begin returns a client and the time zone.
func (d desk) begin(ctx context.Context) (*client.Client, *time.Location, error) {
	zone, err := zoneOf(d.Zone)
	if err != nil {
		return nil, nil, err
	}
	remote, err := d.client(ctx)
	return remote, zone, err
}

// print writes a moderation as a line.
func (d desk) print(std *stdio, zone *time.Location, m client.Moderation) error {
	parts := []string{stamp(zone, cmp.Or(m.WaitsSinceMS, m.DecidedMS)), m.ContentID, m.Status, m.ReasonCode}
	if m.HeldBy != "" {
		parts = append(parts, "held by "+m.HeldBy)
	}
	if m.HeldBy != "" && m.AutoRelease {
		parts = append(parts, "until "+stamp(zone, m.ExpiresMS))
	}
	if m.Appealed {
		parts = append(parts, "appealed")
	}
	if m.Reports > 0 {
		parts = append(parts, "reports: "+strconv.Itoa(m.Reports))
	}
	if m.Flagged {
		parts = append(parts, "flagged")
	}
	if m.Noop != "" {
		parts = append(parts, "nothing changed: "+m.Noop)
	}
	return printLine(std, d.JSON, m, parts...)
}

// stamp returns a time as people read it; empty for 0.
func stamp(zone *time.Location, ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).In(zone).Format("2006-01-02 15:04")
}

type moderationQueueCmd struct {
	desk
	Last int `name:"last" help:"How many to list." default:"20"`
}

func (c *moderationQueueCmd) Run(ctx context.Context, std *stdio) error {
	remote, zone, err := c.begin(ctx)
	if err != nil {
		return err
	}
	for left, page := c.Last, (client.Page{}); left > 0; {
		page.Limit = min(left, 200)
		list, err := remote.ReviewQueue(ctx, page)
		if err != nil {
			return err
		}
		for _, m := range list.Items {
			if err := c.print(std, zone, m); err != nil {
				return err
			}
		}
		left -= len(list.Items)
		if page.Cursor = list.Next; page.Cursor == "" {
			break
		}
	}
	return nil
}

// about is a command about one message.
type about struct {
	desk
	Content string `arg:"" name:"message" help:"THREAD:MESSAGE, as the queue prints it."`
}

// run prints what a call about the message returns.
func (a *about) run(ctx context.Context, std *stdio, call func(*client.Client) (client.Moderation, error)) error {
	remote, zone, err := a.begin(ctx)
	if err != nil {
		return err
	}
	m, err := call(remote)
	if err != nil {
		return err
	}
	if m.ContentID == "" { // a bare receipt: the message is no longer theirs to review
		m.ContentID = a.Content
		return printLine(std, a.JSON, m, a.Content, "done; you can no longer review it")
	}
	return a.print(std, zone, m)
}

type moderationShowCmd struct{ about }

func (c *moderationShowCmd) Run(ctx context.Context, std *stdio) error {
	return c.run(ctx, std, func(r *client.Client) (client.Moderation, error) { return r.Moderation(ctx, c.Content) })
}

type moderationEndHoldCmd struct{ about }

func (c *moderationEndHoldCmd) Run(ctx context.Context, std *stdio) error {
	return c.run(ctx, std, func(r *client.Client) (client.Moderation, error) { return r.EndHold(ctx, c.Content) })
}

type moderationOpenCmd struct{ about }

func (c *moderationOpenCmd) Run(ctx context.Context, std *stdio) error {
	remote, zone, err := c.begin(ctx)
	if err != nil {
		return err
	}
	o, err := remote.OpenContent(ctx, c.Content)
	if err != nil {
		return err
	}
	if c.JSON {
		return printLine(std, true, o)
	}
	if err := c.print(std, zone, o.Content); err != nil {
		return err
	}
	for _, m := range o.Messages {
		for _, r := range m.Revisions {
			revision := "revision " + strconv.FormatUint(r.Revision, 10)
			if err := printLine(std, false, nil, stamp(zone, r.AtMS), m.AuthorID, revision, r.Body); err != nil {
				return err
			}
		}
	}
	for _, r := range o.Reports {
		if err := printLine(std, false, nil, stamp(zone, r.AtMS), "report", r.Reason, r.Text); err != nil {
			return err
		}
	}
	return nil
}

// grounds is why a reviewer decides.
type grounds struct {
	Reason    string  `name:"reason" help:"A code that all see who may see the message, such as spam."`
	Reasoning string  `name:"reasoning" help:"Why, for reviewers alone."`
	Revision  *uint64 `name:"revision" help:"The revision that you read; fails if the message has been edited since."`
}

type moderationDecideCmd struct {
	about
	Action string `arg:"" enum:"publish,warn,hold,reject" help:"One of ${enum}."`
	grounds
	Minutes int  `name:"minutes" help:"How long a hold lasts, 15 if 0; it ends by itself with --auto alone."`
	Auto    bool `name:"auto" help:"A hold ends by itself if nobody decides."`
}

func (c *moderationDecideCmd) Run(ctx context.Context, std *stdio) error {
	action := map[string]string{
		"publish": "publish_now", "warn": "publish_with_warning", "hold": "hold_for_review", "reject": "block",
	}[c.Action]
	if action != "hold_for_review" && (c.Minutes != 0 || c.Auto) {
		return misuse("gotong moderation decide --help", "%s", "--minutes and --auto are for hold")
	}
	return c.decide(ctx, std, c.grounds, client.Verdict{Action: action, HoldMinutes: c.Minutes, AutoRelease: c.Auto})
}

func (a *about) decide(ctx context.Context, std *stdio, g grounds, v client.Verdict) error {
	v.ContentID, v.ReasonCode, v.Reasoning, v.Revision = a.Content, g.Reason, g.Reasoning, g.Revision
	return a.run(ctx, std, func(r *client.Client) (client.Moderation, error) { return r.Decide(ctx, v) })
}

type moderationReleaseCmd struct {
	about
	grounds
}

func (c *moderationReleaseCmd) Run(ctx context.Context, std *stdio) error {
	return c.decide(ctx, std, c.grounds, client.Verdict{Action: "publish_now"})
}
