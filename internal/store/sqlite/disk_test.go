package sqlite

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe" //nolint:depguard // a VFS of SQLite is a table of functions, as numbers

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// disk stands between SQLite and the files under one directory and remembers
// of each what was synced and what was only written since. It is a VFS of
// SQLite that hands everything on to the usual one.
type disk struct {
	mu    sync.Mutex
	dir   string
	open  map[uintptr]*handle // by SQLite's file object
	files map[string]*image   // by path
}

type handle struct {
	methods *sqlite3.Tsqlite3_io_methods // those of the usual VFS
	path    string                       // empty where the file is not watched
}

// image is what a power cut leaves of a file: all that was synced, and of the
// rest nothing, everything or any part.
type image struct {
	synced  []byte
	pending []change
}

// change is a write, or, where data is nil, a new length.
type change struct {
	at   int64
	data []byte
}

var theDisk = &disk{open: map[uintptr]*handle{}, files: map[string]*image{}}

// usual is SQLite's own VFS; wrapped are its methods of files with ours in
// their place.
var (
	usual   *sqlite3.Tsqlite3_vfs
	wrapped = map[uintptr]uintptr{}
	install sync.Once
)

// watched has the disk remember the files under a directory.
func watched(t *testing.T, dir string) *disk {
	t.Helper()
	install.Do(func() {
		tls := libc.NewTLS()
		sqlite3.Xsqlite3_initialize(tls) //nolint:misspell // the library's own word
		found := sqlite3.Xsqlite3_vfs_find(tls, 0)
		usual = at[sqlite3.Tsqlite3_vfs](found)
		ours := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*usual)))
		*at[sqlite3.Tsqlite3_vfs](ours) = *usual
		name, err := libc.CString("watched")
		check(t, err)
		at[sqlite3.Tsqlite3_vfs](ours).FzName = name
		at[sqlite3.Tsqlite3_vfs](ours).FxOpen = address(diskOpen)
		at[sqlite3.Tsqlite3_vfs](ours).FxDelete = address(diskDelete)
		if sqlite3.Xsqlite3_vfs_register(tls, ours, 1) != sqlite3.SQLITE_OK {
			t.Fatal("the VFS is not taken")
		}
	})
	theDisk.mu.Lock()
	defer theDisk.mu.Unlock()
	theDisk.dir, theDisk.files = dir, map[string]*image{}
	return theDisk
}

// at is what lies at an address that SQLite gave; address and function turn a
// function into the number that SQLite keeps, and back.
func at[T any](addr uintptr) *T          { return *(**T)(unsafe.Pointer(&addr)) }
func address[F any](f F) uintptr         { return *(*uintptr)(unsafe.Pointer(&f)) }
func function[F any](addr uintptr) F     { return *(*F)(unsafe.Pointer(&addr)) }
func bytesAt(addr uintptr, n int) []byte { return unsafe.Slice(at[byte](addr), n) }

func diskOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	open := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](usual.FxOpen)
	rc := open(tls, vfs, name, file, flags, out)
	methods := at[sqlite3.Tsqlite3_file](file).FpMethods
	if rc != sqlite3.SQLITE_OK || methods == 0 {
		return rc
	}
	d := theDisk
	d.mu.Lock()
	defer d.mu.Unlock()
	h := &handle{methods: at[sqlite3.Tsqlite3_io_methods](methods)}
	if path := libc.GoString(name); name != 0 && d.dir != "" && strings.HasPrefix(path, d.dir) {
		h.path = path
		if d.files[path] == nil {
			d.files[path] = &image{}
		}
	}
	d.open[file] = h
	if wrapped[methods] == 0 {
		ours := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*h.methods)))
		m := at[sqlite3.Tsqlite3_io_methods](ours)
		*m = *h.methods
		m.FxWrite, m.FxTruncate, m.FxSync, m.FxClose = address(diskWrite), address(diskTruncate), address(diskSync), address(diskClose)
		wrapped[methods] = ours
	}
	at[sqlite3.Tsqlite3_file](file).FpMethods = wrapped[methods]
	return rc
}

func (d *disk) handle(file uintptr) *handle {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[file]
}

// note remembers what was done to a file, if it is watched and went well.
func (d *disk) note(h *handle, rc int32, what func(*image)) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[h.path]; f != nil && rc == sqlite3.SQLITE_OK {
		what(f)
	}
	return rc
}

func diskWrite(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32 {
	h := theDisk.handle(file)
	rc := function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](h.methods.FxWrite)(tls, file, buf, n, offset)
	return theDisk.note(h, rc, func(f *image) {
		f.pending = append(f.pending, change{offset, slices.Clone(bytesAt(buf, int(n)))})
	})
}

func diskTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	h := theDisk.handle(file)
	rc := function[func(*libc.TLS, uintptr, int64) int32](h.methods.FxTruncate)(tls, file, size)
	return theDisk.note(h, rc, func(f *image) { f.pending = append(f.pending, change{at: size}) })
}

func diskSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	h := theDisk.handle(file)
	rc := function[func(*libc.TLS, uintptr, int32) int32](h.methods.FxSync)(tls, file, flags)
	return theDisk.note(h, rc, func(f *image) {
		for _, c := range f.pending {
			f.synced = c.on(f.synced)
		}
		f.pending = nil
	})
}

// diskDelete takes a deletion for durable at once.
func diskDelete(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	rc := function[func(*libc.TLS, uintptr, uintptr, int32) int32](usual.FxDelete)(tls, vfs, name, syncDir)
	theDisk.mu.Lock()
	defer theDisk.mu.Unlock()
	if rc == sqlite3.SQLITE_OK {
		delete(theDisk.files, libc.GoString(name))
	}
	return rc
}

func diskClose(tls *libc.TLS, file uintptr) int32 {
	h := theDisk.handle(file)
	rc := function[func(*libc.TLS, uintptr) int32](h.methods.FxClose)(tls, file)
	theDisk.mu.Lock()
	defer theDisk.mu.Unlock()
	delete(theDisk.open, file)
	return rc
}

func (c change) on(file []byte) []byte {
	end := int(c.at) + len(c.data)
	if end > len(file) {
		file = append(file, make([]byte, end-len(file))...)
	}
	if c.data == nil {
		return file[:end]
	}
	copy(file[c.at:], c.data)
	return file
}

// sector is what a disk writes whole or not at all.
const sector = 512

// cut is what a power cut at this moment leaves of each file. Of what was not
// synced each sector is kept with this probability.
func (d *disk) cut(kept float64) map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := map[string][]byte{}
	for path, f := range d.files {
		file := slices.Clone(f.synced)
		for _, c := range f.pending {
			if c.data == nil && rand.Float64() < kept {
				file = c.on(file)
			}
			for i := 0; i < len(c.data); i += sector {
				if rand.Float64() < kept {
					file = change{c.at + int64(i), c.data[i:min(i+sector, len(c.data))]}.on(file)
				}
			}
		}
		left[path] = file
	}
	return left
}
