package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"gotong.dev/gotong/internal/app"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "dev"

func build() app.Build {
	b := app.Build{Version: version, Commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; b.Version == "dev" && v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			b.Commit += "-modified"
		}
	}
	return b
}

const platform = runtime.GOOS + "/" + runtime.GOARCH

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (*versionCmd) Help() string { return "Examples:\n\n    gotong version\n    gotong version --json" }

func (c *versionCmd) Run(std *stdio) error {
	b := build()
	if c.JSON {
		return json.NewEncoder(std.out).Encode(map[string]string{
			"version": b.Version, "commit": b.Commit, "go": runtime.Version(), "platform": platform,
		})
	}
	_, err := fmt.Fprintf(std.out, "gotong %s, commit %s, %s, %s\n", b.Version, b.Commit, runtime.Version(), platform)
	return err
}
