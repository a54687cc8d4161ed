package chat

import (
	"context"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

// AddMember is the body of adding a member.
type AddMember struct {
	UserID   string      `json:"user_id" minLength:"1" maxLength:"128"`
	Role     thread.Role `json:"role,omitempty" enum:"owner,admin,member" doc:"member where it is not said."`
	SentAtMS int64       `json:"sent_at_ms,omitempty" doc:"In an import: when it took place."`
	SentBy   string      `json:"sent_by,omitempty" doc:"In an import: the name there."`
}

type addIn struct {
	InThread
	JSON httpapi.Body[AddMember]
}

func (c *chat) add(ctx context.Context, in *addIn) (*memberOut, error) {
	v := in.JSON.Value
	receipt, err := c.run(ctx, in.InThread, thread.CmdAdd, thread.Add{
		UserID: v.UserID, Role: v.Role, Origin: thread.Origin{SentAtMS: v.SentAtMS, SentBy: v.SentBy},
	}, in.JSON.Raw)
	if err != nil {
		return nil, err
	}
	return c.answerMember(ctx, receipt, v.UserID)
}

// InMember names a member of a thread in the path.
type InMember struct {
	InThread
	UserID string `path:"uid" doc:"The member's user id."`
}

type removeIn struct {
	InMember
	Empty httpapi.NoBody
}

func (c *chat) remove(ctx context.Context, in *removeIn) (*memberOut, error) {
	return c.removed(ctx, in.InMember, gotong.Ban{}, nil)
}

func (c *chat) removed(ctx context.Context, in InMember, ban gotong.Ban, raw []byte) (*memberOut, error) {
	data := thread.Remove{UserID: in.UserID, Ban: ban}
	targets := []string{in.UserID}
	if ban.Set() {
		targets = append(targets, "ban")
	}
	receipt, err := c.run(ctx, in.InThread, thread.CmdRemove, data, raw, targets...)
	if err != nil {
		return nil, err
	}
	if err := httpapi.Settled(ctx, c.Hub, receipt); err != nil {
		return nil, err
	}
	return c.answerMember(ctx, receipt, in.UserID)
}

type banIn struct {
	InMember
	JSON httpapi.OptionalBody[httpapi.Ban]
}

func (c *chat) ban(ctx context.Context, in *banIn) (*memberOut, error) {
	return c.removed(ctx, in.InMember, in.JSON.Value.Of(), in.JSON.Raw)
}

func (c *chat) unban(ctx context.Context, in *removeIn) (*memberOut, error) {
	receipt, err := c.run(ctx, in.InThread, thread.CmdUnban, thread.Unban{UserID: in.UserID}, nil, in.UserID)
	if err != nil {
		return nil, err
	}
	return c.answerMember(ctx, receipt, in.UserID)
}

// Mute is the body of muting a member.
type Mute struct {
	UntilMS int64 `json:"until_ms" minimum:"0" doc:"Until when, in milliseconds since 1970; 0 lifts the mute."`
}

type muteIn struct {
	InMember
	JSON httpapi.Body[Mute]
}

func (c *chat) mute(ctx context.Context, in *muteIn) (*memberOut, error) {
	data := thread.Mute{UserID: in.UserID, UntilMS: in.JSON.Value.UntilMS}
	receipt, err := c.run(ctx, in.InThread, thread.CmdMute, data, in.JSON.Raw, in.UserID)
	if err != nil {
		return nil, err
	}
	return c.answerMember(ctx, receipt, in.UserID)
}

// SetRole is the body of changing a member's role.
type SetRole struct {
	Role thread.Role `json:"role" enum:"owner,admin,member"`
}

type setRoleIn struct {
	InMember
	JSON httpapi.Body[SetRole]
}

func (c *chat) setRole(ctx context.Context, in *setRoleIn) (*memberOut, error) {
	data := thread.SetRole{UserID: in.UserID, Role: in.JSON.Value.Role}
	receipt, err := c.run(ctx, in.InThread, thread.CmdRole, data, in.JSON.Raw, in.UserID)
	if err != nil {
		return nil, err
	}
	return c.answerMember(ctx, receipt, in.UserID)
}

// answerMember renders a member for somebody who acted on him: as he is now,
// where the actor may still know, and else the bare receipt.
func (c *chat) answerMember(ctx context.Context, receipt gotong.Receipt, userID string) (*memberOut, error) {
	l, err := c.load(ctx, receipt.Stream, reader(ctx), nil)
	switch {
	case gotong.CodeOf(err) == gotong.CodeNotFound:
		return &memberOut{httpapi.Bare[MemberView](receipt)}, nil
	case err != nil:
		return nil, err
	case !l.grant.Readable && !l.reader.Role.CanModerate():
		return &memberOut{httpapi.Bare[MemberView](receipt)}, nil
	}
	view, err := c.memberNow(ctx, l.thread, receipt.Stream, userID)
	if err != nil {
		return nil, err
	}
	return &memberOut{httpapi.Written[MemberView]{View: &view}}, nil
}

// memberNow is a member, or who was one, as the rows say now.
func (c *chat) memberNow(ctx context.Context, t thread.Thread, stream gotong.Stream, userID string) (MemberView, error) {
	own, base, err := c.rows(ctx, t, stream, userID)
	if err != nil {
		return MemberView{}, err
	}
	v := c.seat(t, stream, userID, base, map[string]int64{userID: own.MuteUntilMS})
	v.LeftAtMS, v.Banned, v.BanUntilMS = base.LeftAt.Milli(), base.Ever, base.UntilMS
	v.Name = c.Hub.Names(ctx, []string{userID})[userID]
	return v, nil
}

// rows is what the thread and its governing stream keep of one user.
func (c *chat) rows(
	ctx context.Context, t thread.Thread, stream gotong.Stream, userID string,
) (thread.Member, gotong.Membership, error) {
	ownKey, homeKey := gotong.MemberKey(stream, userID), gotong.MemberKey(t.Home, userID)
	need := store.Need{Documents: []gotong.Key{ownKey}}
	if t.Members == thread.Home { // a scope has no members to look up
		need.Documents = append(need.Documents, homeKey)
	}
	snap, err := c.Store.Load(ctx, need)
	if err != nil {
		return thread.Member{}, gotong.Membership{}, err
	}
	own, _, err := httpapi.Document[thread.Member](c.Codec, snap, ownKey)
	if err != nil || t.Members != thread.Home {
		return own, own.Membership, err
	}
	base, _, err := httpapi.Document[gotong.Membership](c.Codec, snap, homeKey)
	return own, base, err
}

// memberAt is what a user was to a thread at an instant, from the stretches of
// his membership: the answer of a join or leave, the same for ever, however
// often he came and went since.
func (c *chat) memberAt(
	ctx context.Context, stream gotong.Stream, userID string, at gotong.Instant,
) (MemberView, error) {
	v := MemberView{ThreadID: stream.ID(), UserID: userID, Name: c.Hub.Names(ctx, []string{userID})[userID]}
	snap, err := c.Store.Load(ctx, store.Need{Documents: []gotong.Key{thread.ThreadKey(stream.ID())}})
	if err != nil {
		return v, err
	}
	t, _, err := httpapi.Document[thread.Thread](c.Codec, snap, thread.ThreadKey(stream.ID()))
	if err != nil {
		return v, err
	}
	_, base, err := c.rows(ctx, t, stream, userID)
	if err != nil {
		return v, err
	}
	stretch, err := httpapi.StretchAt(ctx, c.Store, thread.Governing(t, stream), base, at)
	if err != nil || stretch.Joined == 0 {
		return v, err
	}
	v.Role, v.JoinedAtMS, v.LeftAtMS = thread.RoleIn(t, userID, base.Role), stretch.Joined.Milli(), stretch.Left.Milli()
	return v, nil
}
