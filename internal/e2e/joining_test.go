package e2e_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// TestJoining: the ways into a group that is not open, through the client. Who
// comes in follows a thread that borrows the group's members.
func TestJoining(t *testing.T) {
	n := startNode(t)
	ctx := t.Context()
	owner, ann, bob := dial(t, n.url, "owner"), dial(t, n.url, "ann"), dial(t, n.url, "bob")
	g := must(owner.CreateGroup(ctx, client.NewGroup{Name: "RT 05", EntityType: "kelompok", JoinPolicy: "persetujuan"}))(t).GroupID
	th := must(owner.CreateThread(ctx, client.NewThread{ScopeID: g, Privacy: "private", Members: "home"}))(t)
	first := must(ann.RequestToJoin(ctx, g, "Saya tetangga"))(t)
	if again := must(ann.RequestToJoin(ctx, g, ""))(t); again != first || first.Message != "Saya tetangga" {
		t.Errorf("requests %+v and %+v", first, again)
	}
	if list := must(owner.GroupRequests(ctx, g, client.Page{}))(t); len(list.Items) != 1 || list.Items[0].RequestID != first.RequestID {
		t.Errorf("listed %+v", list)
	}
	if err := ann.WithdrawRequest(ctx, g, first.RequestID); err != nil {
		t.Fatal(err)
	}
	second := must(ann.RequestToJoin(ctx, g, ""))(t)
	if err := owner.RejectRequest(ctx, g, second.RequestID); err != nil {
		t.Fatal(err)
	}
	if _, err := ann.Thread(ctx, th.ThreadID); gotong.CodeOf(err) != gotong.CodeNotFound {
		t.Errorf("before: %v", err)
	}
	third := must(ann.RequestToJoin(ctx, g, ""))(t)
	if m := must(owner.ApproveRequest(ctx, g, third.RequestID))(t); m.UserID != "ann" || m.Role != "anggota" {
		t.Errorf("approved %+v", m)
	}
	must(ann.Send(ctx, th.ThreadID, client.NewMessage{Body: "Halo"}))(t)

	for _, end := range []func() error{
		func() error { return owner.WithdrawInvitation(ctx, g, "bob") },
		func() error { return bob.DeclineInvitation(ctx, g) },
		func() error { _, err := bob.AcceptInvitation(ctx, g); return err },
	} {
		until := must(owner.InviteToGroup(ctx, g, "bob"))(t)
		mine, theirs := must(bob.Invitations(ctx, client.Page{}))(t), must(owner.GroupInvitations(ctx, g, client.Page{}))(t)
		if len(mine.Items) != 1 || mine.Items[0].GroupID != g || mine.Items[0].Name != "RT 05" || mine.Items[0].InvitedBy.UserID != "owner" ||
			mine.Items[0].ExpiresAtMS != until || len(theirs.Items) != 1 || theirs.Items[0].UserID != "bob" {
			t.Errorf("%+v, %+v", mine, theirs)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	if until := must(owner.InviteToGroup(ctx, g, "bob"))(t); until != 0 || len(must(bob.Invitations(ctx, client.Page{}))(t).Items) != 0 {
		t.Error("a member is invited")
	}
	must(bob.Send(ctx, th.ThreadID, client.NewMessage{Body: "Halo"}))(t)
}
