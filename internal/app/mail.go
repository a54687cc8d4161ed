package app

import (
	"context"
	"fmt"

	"gotong.dev/gotong/internal/mail"
)

// newMailer makes the part that sends links with reset tokens, if a mail server is
// configured.
func (a *App) newMailer() (err error) {
	if a.cfg.SMTP == "" {
		return nil
	}
	a.mailer, err = mail.New(mail.Options{
		Server: a.cfg.SMTP, From: a.cfg.MailFrom, Count: a.metrics.Mailed, Trouble: &a.troubles.mail,
		Letter: func(ctx context.Context, email string) (mail.Letter, error) {
			to, token, err := a.auth.ResetFor(ctx, email)
			if err != nil || to == "" {
				return mail.Letter{}, err
			}
			return mail.Reset(to, ResetLink(&a.cfg, token)), nil
		},
	})
	if err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	return nil
}

// mails runs the part that sends mail.
func (a *App) mails(ctx context.Context) error {
	if a.mailer == nil {
		return nil
	}
	return a.mailer.Run(ctx)
}

// mailed returns what sends a reset token to an address; nil: no mail is sent.
func (a *App) mailed() func(email string) {
	if a.mailer == nil {
		return nil
	}
	return a.mailer.Ask
}
