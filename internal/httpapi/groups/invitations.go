package groups

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

// myInvitations reads the lines of the last 30 days alone: older invitations have
// expired.
func (g *groups) myInvitations(ctx context.Context, in *listIn) (*httpapi.Out[MyInvitations], error) {
	before, err := httpapi.ByTime.Name(ctx, in.Cursor)
	if err != nil {
		return nil, err
	}
	me, now := viewer(ctx).UserID, g.now()
	r := httpapi.Newest(group.OfInvited, me, before, in.Limit+2) // one for the cursor's own, one to know of more
	r.From = gotong.EntryName(now.Add(-group.InvitationLife), "")
	snap, err := g.Store.Load(ctx, store.Need{Ranges: []store.KeyRange{r}})
	if err != nil {
		return nil, err
	}
	lines, more := httpapi.Cut(httpapi.Lines(snap.Ranges[0], before), in.Limit)
	page, err := httpapi.List(ctx, lines, more, func(ctx context.Context, ids []string) (map[string]MyInvitation, error) {
		return g.invitedTo(ctx, ids, me, now)
	})
	if err != nil {
		return nil, err
	}
	return httpapi.Reply(MyInvitations{Items: page.Body, Cursor: page.NextCursor}, nil)
}

// invitedTo returns, by group, those invitations of a user that are open, to
// groups that are not closed.
func (g *groups) invitedTo(ctx context.Context, ids []string, user string, now gotong.Instant) (map[string]MyInvitation, error) {
	var need store.Need
	for _, id := range ids {
		need.Documents = append(need.Documents, group.GroupKey(id), group.InvitationKey(id, user))
	}
	snap, err := g.Store.Load(ctx, need)
	if err != nil {
		return nil, err
	}
	views, senders := map[string]MyInvitation{}, []string{}
	for _, id := range ids {
		doc, _, err := httpapi.Document[group.Group](g.Codec, snap, group.GroupKey(id))
		if err != nil {
			return nil, err
		}
		i, _, err := httpapi.Document[group.Invitation](g.Codec, snap, group.InvitationKey(id, user))
		if err != nil {
			return nil, err
		}
		if !i.Open(now) || doc.Closed() {
			continue
		}
		senders = append(senders, i.By)
		views[id] = MyInvitation{
			GroupID: id, Name: doc.Name, Description: doc.Description, InvitedBy: User{UserID: i.By},
			InvitedAtMS: i.At.Milli(), ExpiresAtMS: i.UntilMS,
		}
	}
	names := g.Names(ctx, senders)
	for id, v := range views {
		v.InvitedBy.Name = names[v.InvitedBy.UserID]
		views[id] = v
	}
	return views, nil
}
