package group

import "gotong.dev/gotong"

func project(s gotong.State, e gotong.Event) []gotong.Change {
	if e.Type == EvCreated {
		return created(e)
	}
	group, ok := gotong.Doc[Group](s, GroupKey(e.Stream.ID()))
	if !ok {
		return nil
	}
	switch d := e.Data.(type) {
	case Updated:
		return updated(group, e, d)
	case gotong.Erased:
		return erased(s, group, e, d)
	case Member:
		return seated(s, group, e, d.UserID, d.Role)
	case Gone:
		return seated(s, group, e, d.UserID, "")
	case Removed:
		return seated(s, group, e, d.UserID, "")
	case Appointed:
		return seated(s, group, e, d.UserID, d.Role)
	case Asked:
		return asked(e)
	case Answered:
		return unasked(s, e, d.UserID)
	case Invited:
		return invited(s, e, d)
	case Uninvited:
		return uninvited(s, e, d.UserID)
	default:
		return nil
	}
}

func created(e gotong.Event) []gotong.Change {
	d, _ := e.Data.(Created)
	text, _ := e.Content.(Text)
	group := Group{
		Name: text.Name, Description: text.Description, EntityType: d.EntityType, JoinPolicy: d.JoinPolicy,
		CreatedBy: e.Actor.UserID, CreatedAt: e.At, NameSeq: e.Seq, AboutSeq: e.Seq,
		Roster: gotong.Roster{}.Move(e.Actor.UserID, "", string(Admin), string(Admin)),
	}
	me := gotong.Membership{}.Join(e, string(Admin))
	return []gotong.Change{
		{Key: GroupKey(e.Stream.ID()), Doc: group},
		{Key: gotong.MemberKey(e.Stream, e.Actor.UserID), Doc: me},
		gotong.List(OfUserKey(e.Actor.UserID, e.At, e.Stream.ID()), e.Stream, true),
		gotong.List(DirectoryKey(e.At, e.Stream.ID()), e.Stream, d.JoinPolicy != Undangan),
	}
}

func updated(group Group, e gotong.Event, d Updated) []gotong.Change {
	text, _ := e.Content.(NewText) // empty if it was erased
	if d.Renamed {
		group.Name, group.NameSeq = "", e.Seq
	}
	if text.Name != nil {
		group.Name = *text.Name
	}
	if d.Redescribed {
		group.Description, group.AboutSeq = "", e.Seq
	}
	if text.Description != nil {
		group.Description = *text.Description
	}
	if d.Policy != nil {
		group.Policy = *d.Policy
	}
	changes := make([]gotong.Change, 0, 2)
	if d.JoinPolicy != "" {
		group.JoinPolicy = d.JoinPolicy
		key := DirectoryKey(group.CreatedAt, e.Stream.ID())
		changes = append(changes, gotong.List(key, e.Stream, d.JoinPolicy != Undangan))
	}
	return append(changes, gotong.Change{Key: GroupKey(e.Stream.ID()), Doc: group})
}

// erased removes the texts of an event. An older text does not reappear.
func erased(s gotong.State, group Group, e gotong.Event, d gotong.Erased) []gotong.Change {
	if group.NameSeq == d.Seq {
		group.Name = ""
	}
	if group.AboutSeq == d.Seq {
		group.Description = ""
	}
	changes := []gotong.Change{{Key: GroupKey(e.Stream.ID()), Doc: group}}
	key := RequestKey(e.Stream.ID(), RequestID(d.Seq))
	if r, ok := gotong.Doc[Request](s, key); ok {
		r.Message = ""
		changes = append(changes, gotong.Change{Key: key, Doc: r})
	}
	return changes
}

// seated gives a user a role in the group; an empty one ends the membership.
func seated(s gotong.State, group Group, e gotong.Event, userID string, role Role) []gotong.Change {
	key := gotong.MemberKey(e.Stream, userID)
	m, _ := gotong.Doc[gotong.Membership](s, key)
	before := m.Held()
	group.Roster = group.Move(userID, before, string(role), string(Admin))
	m = m.Seat(e, string(role))
	switch d := e.Data.(type) {
	case Removed:
		m.Ban = d.Ban
	case Gone: // also of who was banned
		m.Ban = gotong.Ban{}
	case Appointed:
		m.Appointed = m.Appointed || d.Outsider
	}
	changes := []gotong.Change{{Key: GroupKey(e.Stream.ID()), Doc: group}, {Key: key, Doc: m}}
	if role != "" || m.Set() { // nothing is open any more
		changes = append(append(changes, unasked(s, e, userID)...), uninvited(s, e, userID)...)
	}
	if group.Closed() {
		changes = append(changes, gotong.List(DirectoryKey(group.CreatedAt, e.Stream.ID()), e.Stream, false))
	}
	if (before == "") != (role == "") {
		mine := OfUserKey(userID, group.CreatedAt, e.Stream.ID())
		changes = append(changes, gotong.List(mine, e.Stream, role != ""))
	}
	return changes
}
