//go:build !unix

package argon

// lowerPriority does nothing: this system has no priority that is set this way.
func lowerPriority() {}
