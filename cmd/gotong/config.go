package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"

	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/config"
)

type configCmd struct {
	Print configPrintCmd `cmd:"" help:"Print every key with its value and the source of the value."`
}

type configPrintCmd struct {
	config.Config
	JSON bool `name:"json" help:"Print JSON."`
}

func (*configPrintCmd) Help() string {
	return `Secrets are blanked. Otherwise what is printed is a YAML file that can be read again.

Examples:

    gotong config print
    gotong config print --config gotong.yaml --json`
}

func (c *configPrintCmd) Run(std *stdio, source *config.Source, parsed *kong.Context) error {
	err := c.print(std, source, parsed)
	warnings, wrong := app.CheckConfig(&c.Config)
	for _, w := range warnings {
		_, _ = fmt.Fprintf(std.err, "Careful: %s\n", w)
	}
	if wrong != nil {
		wrong = &failure{err: wrong, code: 2}
	}
	return errors.Join(err, wrong)
}

func (c *configPrintCmd) print(std *stdio, source *config.Source, parsed *kong.Context) error {
	if !c.JSON {
		return source.Print(std.out, parsed)
	}
	type entry struct {
		Key   string          `json:"key"`
		Value json.RawMessage `json:"value"`
		From  string          `json:"from"`
	}
	list := []entry{}
	for _, e := range source.Entries(parsed) {
		value := json.RawMessage(e.Value)
		if !json.Valid(value) { // a duration
			quoted, err := json.Marshal(e.Value)
			if err != nil {
				return err
			}
			value = quoted
		}
		list = append(list, entry{e.Key, value, e.From})
	}
	return indented(std.out, list)
}
