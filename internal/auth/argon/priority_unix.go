//go:build unix

package argon

import (
	"os"
	"strconv"
	"syscall"
)

// niceness is the priority of a child: at 10, a thread gets a ninth of the time
// of one at 0 that wants the same processor, and waits when that one wakes up.
const niceness = 10

// lowerPriority applies to all threads. Linux keeps a priority for each, which
// new threads inherit; other systems have one for the process.
func lowerPriority() {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness)
	threads, _ := os.ReadDir("/proc/self/task") // on Linux
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, niceness)
		}
	}
}
