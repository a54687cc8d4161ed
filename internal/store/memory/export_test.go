package memory

import "gotong.dev/gotong"

// Lose takes the row of an event away.
func (s *Store) Lose(stream gotong.Stream, seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events[stream][seq-1].Seq = 0
	return nil
}
