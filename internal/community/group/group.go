package group

import "gotong.dev/gotong"

// Name is the kind: the part of a stream's name before the slash.
const Name = "group"

const prefix = "ent-"

// Role is a member's role in the group; a closed set.
type Role string

// The roles, highest first.
const (
	Admin     Role = "admin"
	Moderator Role = "moderator"
	Anggota   Role = "anggota" // an ordinary member
)

// lent maps a member's role to their standing in a thread that borrows the
// group's members.
var lent = map[string]gotong.Standing{
	string(Admin): gotong.Leading, string(Moderator): gotong.Leading, string(Anggota): gotong.Ordinary,
}

// Valid reports whether the role is one of the closed set.
func (r Role) Valid() bool { return r == Admin || r == Moderator || r == Anggota }

// EntityType is what sort of group it is; a closed set.
type EntityType string

// The sorts of group.
const (
	Kelompok EntityType = "kelompok" // a group of people
	Lembaga  EntityType = "lembaga"  // an institution
)

// JoinPolicy is how users become members; a closed set.
type JoinPolicy string

// The join policies.
const (
	Terbuka     JoinPolicy = "terbuka"     // open: everybody may join
	Persetujuan JoinPolicy = "persetujuan" // approval: known to all, who may request to join
	Undangan    JoinPolicy = "undangan"    // by invitation: known to members only
)

// Valid reports whether the policy is one of the closed set.
func (p JoinPolicy) Valid() bool { return p == Terbuka || p == Persetujuan || p == Undangan }

// The collections of the kind.
const (
	Groups    = "groups"          // (group id, "") → Group
	Members   = "group_members"   // (group id, user id) → gotong.Membership
	OfUser    = "user_groups"     // (user id, gotong.EntryName) → gotong.Entry
	Directory = "group_directory" // (DirectoryOwner, gotong.EntryName) → gotong.Entry: all but undangan
)

// DirectoryOwner owns the one list of the groups that everybody may know.
const DirectoryOwner = "all"

// Group is the document of one group. Its roster's leaders are the admins.
type Group struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	EntityType  EntityType     `json:"entity_type"`
	JoinPolicy  JoinPolicy     `json:"join_policy"`
	CreatedBy   string         `json:"created_by"`
	CreatedAt   gotong.Instant `json:"created_at"`
	NameSeq     uint64         `json:"name_seq"`  // the event that holds the name
	AboutSeq    uint64         `json:"about_seq"` // the event that holds the description
	Policy      gotong.Policy  `json:"policy,omitzero"`
	gotong.Roster
}

// Title is the group's name.
func (g Group) Title() string { return g.Name }

// KnownToAll reports whether everybody may know that the group exists.
func (g Group) KnownToAll() bool { return g.JoinPolicy != Undangan }

// ReviewPolicy is the group's policy, for [gotong.PolicyOf].
func (g Group) ReviewPolicy() gotong.Policy { return g.Policy }

// Closed reports whether the last member has left: nobody can join the group any
// more.
func (g Group) Closed() bool { return g.Members == 0 }

// GroupKey is the key of a group's document.
func GroupKey(id string) gotong.Key { return gotong.Key{Collection: Groups, Owner: id} } //nolint:revive // one of a family with MemberKey

// OfUserKey is the key of a group's line among a user's groups.
func OfUserKey(userID string, created gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: OfUser, Owner: userID, Name: gotong.EntryName(created, id)}
}

// DirectoryKey is the key of a group's line in the directory.
func DirectoryKey(created gotong.Instant, id string) gotong.Key {
	return gotong.Key{Collection: Directory, Owner: DirectoryOwner, Name: gotong.EntryName(created, id)}
}

// StreamOf returns the stream that this create command creates. Its id is derived
// from the request, so that a retry creates no second one.
func StreamOf(actor, requestID string) gotong.Stream {
	return gotong.NewStream(Name, prefix+gotong.DeriveID(Name, actor, requestID))
}

// Kind returns the rules of groups, for accounts of any issuer.
func Kind() gotong.Kind { return KindFor(gotong.AnyIssuer) }

// KindFor returns the rules of groups for these accounts.
func KindFor(accounts gotong.Accounts) gotong.Kind {
	return gotong.Kind{
		Name:        Name,
		Commands:    commands(),
		Events:      events(),
		Documents:   documents(),
		Lends:       &gotong.Lends{Prefix: prefix, OfUser: OfUser, Roles: lent},
		Home:        home,
		Needs:       needs,
		Decide:      func(s gotong.State, cmd gotong.Command) (gotong.Decision, error) { return decide(s, cmd, accounts) },
		Project:     project,
		AccessNeeds: accessNeeds,
		Access:      access,
		Affects:     affects,
		Webhooks:    &gotong.Webhooks{Open: func(any) bool { return true }},
	}
}

func documents() []gotong.Type {
	return append(joiningDocuments(), []gotong.Type{
		gotong.TypeOf[Group](Groups), gotong.TypeOf[gotong.Membership](Members),
		gotong.TypeOf[gotong.Entry](OfUser), gotong.TypeOf[gotong.Entry](Directory),
	}...)
}
