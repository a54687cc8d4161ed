package cases

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const maxWindow = 366 * 24 * time.Hour

// addProfile adds a profile. The vote that it names is one of the same file, or
// one that is there already.
func (t *Tracks) addProfile(name string, file map[string]profileForm, form profileForm) error {
	if _, twice := t.profiles[name]; twice || !ValidName(name) || Clean(name) != name {
		return errors.New("is there twice, or has no proper name")
	}
	if err := form.check(); err != nil {
		return err
	}
	terms := form.terms()
	if form.Gate == Consent || form.Gate == FastTrack {
		vote, ok := t.profiles[form.Vote]
		if other, here := file[form.Vote]; !ok && here && other.Gate == Vote && other.check() == nil {
			vote, ok = other.terms(), true
		}
		if !ok || vote.Gate != Vote {
			return fmt.Errorf("there is no vote %q", form.Vote)
		}
		vote.Gate, vote.Window = form.Gate, terms.Window
		if form.Gate == FastTrack {
			vote.Vote = seconds(form.Ratify)
		}
		terms = vote
	}
	t.profiles[name] = terms
	return nil
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func (f profileForm) terms() Terms {
	t := Terms{
		Gate: f.Gate, Quorum: f.Quorum, Cap: f.Cap, Threshold: f.Threshold, Challenge: seconds(f.Challenge),
		Dispute: seconds(f.Dispute), YesOf: f.YesOf, Secret: f.Secret,
	}
	if f.Gate == Vote || f.Gate == Challenge {
		t.Vote = seconds(f.Window)
	} else {
		t.Window = seconds(f.Window)
	}
	return t
}

// check returns an error unless the profile has exactly what its gate needs.
func (f profileForm) check() error {
	votes := f.Gate == Vote || f.Gate == Challenge
	borrows := f.Gate == Consent || f.Gate == FastTrack
	switch {
	case f.Weight != "":
		return errors.New("votes cannot be weighted, because there is no source of reputation")
	case !votes && !borrows && f.Gate != None:
		return fmt.Errorf("there is no type of gate %q", f.Gate)
	case !fits(f.Window, f.Gate != None):
		return errors.New("its window must be whole seconds, up to 366 days")
	case borrows != (f.Vote != ""):
		return errors.New("vote is required for consent and fast_track, and not allowed for other gates")
	case votes != (f.Quorum > 0 && f.Quorum <= 100 && f.Threshold > 0 && f.Threshold < 100):
		return errors.New("a vote, and nothing else, has a quorum of 1 to 100 and a threshold of 1 to 99")
	case f.Cap < 0 || f.Cap > 0 && !votes:
		return errors.New("cap must be a number of people, and is allowed only for vote and challenge")
	case !fits(f.Challenge, f.Gate == Challenge), !fits(f.Dispute, f.Gate == Challenge):
		return errors.New("a challenge, and nothing else, has a window for challenges and one for disputes")
	case !fits(f.Ratify, f.Gate == FastTrack):
		return errors.New("ratify is required for fast_track, and not allowed for other gates")
	case len(f.YesOf) > 0 && (!votes || f.Secret):
		return errors.New("yes_of belongs to a vote that is not secret")
	case slices.ContainsFunc(f.YesOf, func(r Role) bool { return !slices.Contains(Roles(), r) }):
		return errors.New("yes_of names a role that does not exist")
	case f.Secret && !votes:
		return errors.New("only a vote can be secret")
	default:
		return nil
	}
}

// fits reports whether a window is there if it is needed, and absent otherwise.
func fits(d time.Duration, needed bool) bool {
	if !needed {
		return d == 0
	}
	return d >= time.Second && d <= maxWindow && d%time.Second == 0
}
