package docs_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestImageHasTheDirectoriesOfItsVolumes: Docker gives a new volume the owner of the
// image's directory at that place. Without one it belongs to root, and the server,
// which is not root, may not write to it.
func TestImageHasTheDirectoriesOfItsVolumes(t *testing.T) {
	made := regexp.MustCompile(`(?m)^RUN mkdir -p (.*)$`).FindStringSubmatch(page(t, "../deploy/Dockerfile"))
	if made == nil || !strings.Contains(page(t, "../deploy/Dockerfile"), "\nCOPY --from=build --chown=65532:65532 /out/lib /var/lib\n") {
		t.Fatal("deploy/Dockerfile makes no directories of the server's user")
	}
	has := []string{"/var/lib"}
	for dir := range strings.FieldsSeq(made[1]) {
		has = append(has, strings.Replace(dir, "/out/lib", "/var/lib", 1))
	}
	files, err := filepath.Glob("../deploy/compose*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	volumes := 0
	for _, file := range files {
		for _, place := range names(`"[a-z0-9-]+:(/var/lib[^"]*)"`, page(t, file)) {
			if strings.HasPrefix(place, "/var/lib/postgresql") {
				continue // of another image
			}
			volumes++
			if !slices.Contains(has, place) {
				t.Errorf("%s mounts a volume at %s, which the image does not have", file, place)
			}
		}
	}
	if volumes < 5 {
		t.Errorf("only %d volumes were found", volumes)
	}
}
