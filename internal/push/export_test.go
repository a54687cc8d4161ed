package push

import "context"

// Second is what [Pusher.Run] does in a second, and with the marks that wait.
func (p *Pusher) Second(ctx context.Context) {
	p.overdue()
	for len(p.marks) > 0 {
		p.withdraw(ctx, <-p.marks)
	}
}

// PerHost is how many requests go to one host at once.
const PerHost = perHost
