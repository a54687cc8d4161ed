//go:build !unix

package realtime

// Where the system has no reads and writes that do not wait, a goroutine reads each
// connection, and every write may wait.

func (*intake) once(uintptr) bool  { return true }
func (*attempt) once(uintptr) bool { return true }
