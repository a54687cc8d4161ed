package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

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
		if path != "" {
			parent, name := cutLast(path)
			_, _ = fmt.Fprintf(&b, "      %q) path=%q ;;\n", parent+" "+name, path)
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

func cutLast(path string) (parent, name string) {
	if i := strings.LastIndex(path, " "); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
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
