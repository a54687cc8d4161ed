package client_test

import (
	"context"
	"fmt"
	"testing"

	"gotong.dev/gotong/client"
)

// TestCaseOperations holds the address and the body of every operation on cases.
func TestCaseOperations(t *testing.T) {
	type call func(ctx context.Context, c *client.Client) error
	drop := func(_ any, err error) error { return err }
	for want, f := range map[string]call{
		`POST /base/v1/cases {"scope_id":"rt05","track":"tuntaskan","title":"Selokan"}`: func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateCase(ctx, client.NewCase{ScopeID: "rt05", Track: "tuntaskan", Title: "Selokan"}))
		},
		`GET /base/v1/cases/case-1 `: func(ctx context.Context, c *client.Client) error { return drop(c.Case(ctx, "case-1")) },
		`PUT /base/v1/cases/case-1/members/u {"track_roles":["saksi"]}`: func(ctx context.Context, c *client.Client) error {
			return drop(c.SetCaseMember(ctx, "case-1", "u", []string{"saksi"}))
		},
		`DELETE /base/v1/cases/case-1/members/u `: func(ctx context.Context, c *client.Client) error { return c.RemoveCaseMember(ctx, "case-1", "u") },
		`POST /base/v1/cases/case-1/leave `:       func(ctx context.Context, c *client.Client) error { return c.LeaveCase(ctx, "case-1") },
		`POST /base/v1/transitions {"entity_id":"case-1","from_stage":"bahas","to_stage":"garap","fast_track":true}`: func(ctx context.Context, c *client.Client) error {
			return drop(c.Propose(ctx, client.Proposal{CaseID: "case-1", From: "bahas", To: "garap", FastTrack: true}))
		},
		`GET /base/v1/transitions/case-1.4 `: func(ctx context.Context, c *client.Client) error { return drop(c.Transition(ctx, "case-1.4")) },
		`POST /base/v1/transitions/case-1.4/objections {"reason":"r"}`: func(ctx context.Context, c *client.Client) error {
			return drop(c.Object(ctx, "case-1.4", "r"))
		},
		`POST /base/v1/transitions/case-1.4/votes {"choice":"no"}`: func(ctx context.Context, c *client.Client) error {
			return drop(c.Vote(ctx, "case-1.4", "no"))
		},
		`POST /base/v1/transitions/case-1.4/withdraw `: func(ctx context.Context, c *client.Client) error { return drop(c.Withdraw(ctx, "case-1.4")) },
		`POST /base/v1/transitions/case-1.4/approve `:  func(ctx context.Context, c *client.Client) error { return drop(c.Approve(ctx, "case-1.4")) },
		`POST /base/v1/transitions/case-1.4/disputes {"reason":"r"}`: func(ctx context.Context, c *client.Client) error {
			return drop(c.Dispute(ctx, "case-1.4", "r"))
		},
		`POST /base/v1/transitions/case-1.4/resolution {"confirm":true,"reason":"r"}`: func(ctx context.Context, c *client.Client) error {
			return drop(c.Resolve(ctx, "case-1.4", true, "r"))
		},
		`POST /base/v1/transitions/case-1.4/votes/u/void {"reason":"r"}`: func(ctx context.Context, c *client.Client) error {
			return drop(c.VoidVote(ctx, "case-1.4", "u", "r"))
		},
	} {
		t.Run(want, func(t *testing.T) {
			s := &script{answers: []reply{answer(200, `{}`)}}
			if err := f(t.Context(), scripted(t, s, nil)); err != nil {
				t.Fatal(err)
			}
			if got := s.paths[0] + " " + s.bodies[0]; got != want {
				t.Errorf("sent %s", got)
			}
		})
	}
}

// The calls below return lists.
func TestCaseLists(t *testing.T) {
	s := &script{answers: []reply{
		answer(200, `[{"case_id":"case-1","active_stage":"bahas","as_of":"k3f9:4"}]`, "X-Has-More", "true", "X-Next-Cursor", "abc"),
		answer(200, `[{"user_id":"u","track_roles":["pic"]}]`),
		answer(200, `[{"user_id":"u","seq":7,"choice":"yes"}]`),
	}}
	c := scripted(t, s, nil)
	list, err := c.Cases(t.Context(), "rt05", client.Page{Limit: 1})
	if err != nil || list.Next != "abc" || list.Items[0].Stage != "bahas" || list.Items[0].Stream() != "case/case-1" {
		t.Errorf("%+v, %v", list, err)
	}
	members, err := c.CaseMembers(t.Context(), "case-1", client.Page{})
	if err != nil || members.Items[0].TrackRoles[0] != "pic" {
		t.Errorf("%+v, %v", members, err)
	}
	votes, err := c.Votes(t.Context(), "case-1.4", client.Page{})
	if err != nil || votes.Items[0] != (client.Vote{UserID: "u", Seq: 7, Choice: "yes"}) {
		t.Errorf("%+v, %v", votes, err)
	}
	want := "[GET /base/v1/cases?limit=1&scope_id=rt05 GET /base/v1/cases/case-1/members GET /base/v1/transitions/case-1.4/votes]"
	if got := fmt.Sprint(s.paths); got != want {
		t.Errorf("asked for %s", got)
	}
}
