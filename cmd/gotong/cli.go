package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"gotong.dev/gotong/internal/bench"
	"gotong.dev/gotong/internal/config"
)

type cli struct {
	Serve       serveCmd       `cmd:"" help:"Run a server."`
	Demo        demoCmd        `cmd:"" help:"Run a server with a neighbourhood that chats."`
	Import      importCmd      `cmd:"" help:"Turn an export of another chat into a thread."`
	Tail        tailCmd        `cmd:"" help:"Follow a thread."`
	Send        sendCmd        `cmd:"" help:"Post a message, with files if you like."`
	Fetch       fetchCmd       `cmd:"" help:"Download a file of a message."`
	Inbox       inboxCmd       `cmd:"" help:"List what concerns you."`
	Push        pushCmd        `cmd:"" help:"List the push subscriptions of a login, and end one."`
	Search      searchCmd      `cmd:"" help:"Find messages, files and names."`
	Moderation  moderationCmd  `cmd:"" help:"Review messages: list what waits, read it, decide."`
	Token       tokenCmd       `cmd:"" help:"Sign in, or sign up, and print an access token."`
	Admin       adminCmd       `cmd:"" help:"Give platform roles, generate signing keys."`
	Reader      readerCmd      `cmd:"" help:"Show the readers of the log, pass a position, rebuild one."`
	Job         jobCmd         `cmd:"" help:"Show jobs and dead jobs, and retry one."`
	Copy        copyCmd        `cmd:"" help:"Move a whole log to another store."`
	Backup      backupCmd      `cmd:"" help:"Take a backup of a server, which may run meanwhile."`
	Restore     restoreCmd     `cmd:"" help:"Restore a backup into an empty data directory."`
	Export      exportCmd      `cmd:"" help:"Write a whole log to a file."`
	ImportLog   importLogCmd   `cmd:"" name:"import-log" help:"Fill a store from a file that export wrote."`
	Console     consoleCmd     `cmd:"" help:"Print a link to the operators' page of a running server."`
	Gates       gatesCmd       `cmd:"" help:"Try whether a SurrealDB or PostgreSQL is fit for use: go or no-go."`
	Doctor      doctorCmd      `cmd:"" help:"Check whether this machine is fit for a server: go or no-go."`
	Healthcheck healthcheckCmd `cmd:"" help:"Ask a server on this machine whether it is ready."`
	Bench       benchCmd       `cmd:"" help:"Measure a server, and check that it loses nothing."`
	Conformance conformanceCmd `cmd:"" help:"Check whether a client follows the protocol."`
	Webhook     webhookCmd     `cmd:"" help:"Send events to a server of yours: register, replay, listen."`
	Explain     explainCmd     `cmd:"" help:"Explain a decision of the server."`
	Erase       eraseCmd       `cmd:"" help:"Erase the content of events for good."`
	Epoch       epochCmd       `cmd:"" help:"Show the epochs of a log, or begin a new one."`
	Audit       auditCmd       `cmd:"" help:"Verify a log, and prove what is in it."`
	Config      configCmd      `cmd:"" help:"Show the configuration."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
	Completion  completionCmd  `cmd:"" help:"Print a completion script for a shell."`
	DeriveKeys  deriveKeysCmd  `cmd:"" name:"derive-keys" help:"Hash passwords for a server, which starts this by itself."`
}

const description = "Gotong keeps and delivers the chat of a community: one binary, one store, nothing lost."

// groups are the titles of flags in the help.
func groups() []kong.Group {
	return append(slices.Clone(config.Groups), kong.Group{Key: "server", Title: "Which server:"})
}

// exit is the panic value with which kong ends after it has printed help.
type exit int

func run(ctx context.Context, args []string, std *stdio) (code int) {
	defer func() {
		if fault := recover(); fault != nil {
			e, ok := fault.(exit)
			if !ok {
				panic(fault)
			}
			code = max(code, int(e))
		}
	}()
	help := std.out
	if len(args) == 0 {
		args, help, code = []string{"--help"}, std.err, 2
	}
	source := config.NewSource()
	parser, err := newParser(&cli{}, source, help, std.err)
	if err != nil {
		return fail(std, nil, err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return fail(std, nil, usage(source, err))
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	std.reread = func() (*config.Config, error) {
		c, source := new(cli), config.NewSource()
		parser, err := newParser(c, source, io.Discard, io.Discard)
		if err == nil {
			_, err = parser.Parse(args)
		}
		return &c.Serve.Config, err
	}
	return fail(std, parsed.Selected(), parsed.Run(std, source, parsed))
}

func newParser(into *cli, source *config.Source, out, errs io.Writer) (*kong.Kong, error) {
	return kong.New(into, append(source.Options(),
		kong.Name("gotong"), kong.Description(description),
		kong.Vars{"gates": gateNames(false), "postgresgates": gateNames(true), "scenarios": strings.Join(bench.Names(), ", ")},
		kong.Writers(out, errs), kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ExplicitGroups(groups()),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
	)...)
}

// usage returns the failure of a command line that is not valid.
func usage(source *config.Source, err error) error {
	var parse *kong.ParseError
	command := "gotong"
	if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		command = parse.Context.Selected().FullPath()
	}
	if file, ok := errors.AsType[*config.FileError](err); ok {
		err = file
	} else if text := source.Blame(err.Error()); text != err.Error() {
		err = errors.New(text)
	}
	return &failure{err: err, code: 2, hint: command + " --help"}
}

// fail prints the error of a command with its hint, and returns the exit code. Of nil,
// the command is not known.
func fail(std *stdio, command *kong.Node, err error) int {
	if err == nil {
		return 0
	}
	f := explain(err)
	if f.logged {
		return f.code
	}
	_, _ = fmt.Fprintf(std.err, "%s %v\n", std.paint(red, "gotong:"), f.err)
	if hint := fitting(f.hint, command); hint != "" {
		_, _ = fmt.Fprintf(std.err, "Try: %s\n", hint)
	}
	return f.code
}

// deriveKeysCmd is in the help alone: as the only argument, main sees its name first.
type deriveKeysCmd struct{}

func (*deriveKeysCmd) Help() string {
	return "The server starts these processes, speaks to them over a pipe, and ends them. There is no reason to start one by hand."
}

func (*deriveKeysCmd) Run() error {
	return misuse("gotong serve", "derive-keys stands alone on the command line")
}

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"One of ${enum}."`
}

func (*completionCmd) Help() string {
	return `Examples:

    source <(gotong completion bash)
    gotong completion fish > ~/.config/fish/completions/gotong.fish`
}

func (c *completionCmd) Run(std *stdio, parsed *kong.Context) error {
	words := map[string][]string{"completion": {"bash", "zsh", "fish"}}
	completions(parsed.Model.Node, "", words)
	var script string
	switch c.Shell {
	case "fish":
		script = fishScript(words)
	case "zsh":
		script = "autoload -U +X bashcompinit && bashcompinit\n" + bashScript(words)
	default:
		script = bashScript(words)
	}
	_, err := fmt.Fprint(std.out, script)
	return err
}

// completions lists, for every command, the words that may follow it: commands
// and flags.
func completions(n *kong.Node, path string, words map[string][]string) {
	for _, child := range n.Children {
		if child.Hidden || child.Type != kong.CommandNode {
			continue
		}
		words[path] = append(words[path], child.Name)
		completions(child, strings.TrimSpace(path+" "+child.Name), words)
	}
	for _, flag := range n.Flags {
		if !flag.Hidden {
			words[path] = append(words[path], "--"+flag.Name)
		}
	}
}

func bashScript(words map[string][]string) string {
	var b strings.Builder
	b.WriteString(`_gotong() {
  local word path="" i words=""
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    case "$path $word" in
`)
	paths := slices.Sorted(maps.Keys(words))
	for _, path := range paths {
		typed := path
		if !strings.Contains(path, " ") {
			typed = " " + path // after no other command
		}
		if path != "" {
			_, _ = fmt.Fprintf(&b, "      %q) path=%q ;;\n", typed, path)
		}
	}
	b.WriteString("    esac\n  done\n  case \"$path\" in\n")
	for _, path := range paths {
		_, _ = fmt.Fprintf(&b, "    %q) words=%q ;;\n", path, strings.Join(words[path], " "))
	}
	b.WriteString(`  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
  [[ ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _gotong gotong
`)
	return b.String()
}

func fishScript(words map[string][]string) string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(words)) {
		when := "__fish_use_subcommand"
		if path != "" {
			when = "__fish_seen_subcommand_from " + strings.ReplaceAll(path, " ", "; and __fish_seen_subcommand_from ")
		}
		for _, w := range words[path] {
			if flag, ok := strings.CutPrefix(w, "--"); ok {
				_, _ = fmt.Fprintf(&b, "complete -c gotong -n '%s' -l %s\n", when, flag)
			} else {
				_, _ = fmt.Fprintf(&b, "complete -c gotong -f -n '%s' -a %s\n", when, w)
			}
		}
	}
	return b.String()
}
