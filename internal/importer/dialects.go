package importer

import (
	"regexp"
	"strings"
	"sync"
)

// Kinds of lines that are no entries.
const (
	day Kind = "day" // tells the day
	own Kind = "own" // of the program itself
)

// dialect is how one family of IRC programs writes its logs. The first rule that
// matches a whole line decides. In rules, {t} is the stamp, {n} a nick in its column,
// {w} a nick that is one word, {h} its host, and x, o are the groups of text and new
// nick.
type dialect struct {
	name    string
	stamp   string
	layouts []string // of stamps and days
	utc     bool
	rules   []rule

	once sync.Once
	made []madeRule
}

type rule struct {
	kind    Kind
	pattern string
}

type madeRule struct {
	kind Kind
	re   *regexp.Regexp
}

const clock = `\d{2}:\d{2}(?::\d{2})?`

// moves are the sentences that several programs share, after their stamp and mark. Nothing else may
// follow them: "* budi has left the stove on" is an action.
func moves(mark string) []rule {
	const why = `(?: [\[(].*)?`
	return []rule{
		{Join, mark + `{w} [\[(][^ ]*[\])] has joined\b.*`},
		{Leave, mark + `{w}(?:{h})? has (?:left|quit)(?P<x>(?: [#&+!]\S*| IRC)?` + why + `)`},
		{Leave, mark + `{w} was kicked (?:from|off|by) (?P<x>\S+(?: by \S+)?` + why + `)`},
		{Leave, mark + `\S+ has kicked {w}(?P<x>(?: from \S+)?` + why + `)`},
		{Rename, mark + `{w} (?:is|are) now known as (?P<o>\S+)`},
	}
}

var timesOnly = []string{"15:04", "15:04:05"}

var dialects = []*dialect{
	{name: "ubuntu", stamp: `\[(?P<t>` + clock + `)\]`, layouts: timesOnly, rules: []rule{
		{Message, `{t} *<{n}> ?(?P<x>.*)`},
		{Action, `(?:{t})? *\* {w}(?: +(?P<x>.*))?`},
		{Notice, `=== (?P<x>(?:mode/|\.\.\[topic/|topic/).*)`},
		{Rename, `=== {n} is now known as (?P<o>.+)`},
		{Join, `=== (?:(?P<n>.+) +\[[^ ]*\]) +has joined #\S*.*`},
		{Join, `=== {w} +has joined #\S*.*`},
		{Leave, `=== (?:(?P<n>.+) +\[[^ ]*\]) +has left #\S*(?P<x>.*)`},
		{Leave, `=== {w} +has left #\S*(?P<x>.*)`},
		{Leave, `=== (?:(?P<n>.+) +\[[^ ]*\]) +has quit(?P<x>.*)`},
		{Leave, `=== {w} +has quit(?P<x>.*)`},
		{Leave, `=== {w} was kicked (?:off|from) #\S* ?(?P<x>.*)`},
		{Action, `=== {w} +(?P<x>.*)`},
		{Notice, `=== (?P<x>\S+ .*)`},
	}},
	{
		name: "znc", stamp: `\[(?P<t>` + clock + `)\]`, layouts: timesOnly,
		rules: []rule{
			{Join, `{t} \*\*\* Joins: {w}{h}`},
			{Leave, `{t} \*\*\* (?:Parts|Quits): {w}{h} ?(?P<x>.*)`},
			{Rename, `{t} \*\*\* {w} is now known as (?P<o>\S+)`},
			{Leave, `{t} \*\*\* {w} was kicked by (?P<x>.*)`},
			{Notice, `{t} \*\*\* (?P<x>.*)`},
			{Message, `{t} <{n}> ?(?P<x>.*)`},
			{Action, `{t} \* {w} ?(?P<x>.*)`},
			{Notice, `{t} (?P<x>-\S+- .*|(?:Connected to|Disconnected from) IRC.*|Broadcast: .*)`},
		},
	},
	{
		name: "irssi", stamp: `(?P<t>` + clock + `)`,
		layouts: append([]string{"Mon Jan 02 15:04:05 2006", "Mon Jan 02 2006"}, timesOnly...),
		rules: append(moves(`{t} -!- `),
			rule{day, `--- (?:Log opened|Log closed|Day changed) (?P<t>.*)`},
			rule{own, `(?:{t} )?(?:--- |-!- Irssi: ).*`},
			rule{Notice, `{t} -!- (?P<x>.*)`},
			rule{Message, `{t} <{n}> ?(?P<x>.*)`},
			rule{Action, `{t} +\* {w} ?(?P<x>.*)`},
			rule{Notice, `{t} (?P<x>-\S+- .*)`},
		),
	},
	{
		name: "weechat", stamp: `(?P<t>\d{4}-\d{2}-\d{2} ` + clock + `)\t`, layouts: []string{"2006-01-02 15:04:05", "2006-01-02 15:04"},
		rules: append(moves(`{t}\S+\t`),
			rule{Notice, `{t}(?:-->|<--|--|=!=)\t(?P<x>.*)`},
			rule{Action, `{t} ?\*\t{w} ?(?P<x>.*)`},
			rule{Message, `{t}{n}\t(?P<x>.*)`},
		),
	},
	{
		name: "weechat-old", stamp: `(?P<t>\d{4} [A-Z][a-z]{2} \d{2} ` + clock + `)`, layouts: []string{"2006 Jan 02 15:04:05"},
		rules: append(moves(`{t} (?:-->|<--|-\S+-) `),
			rule{Action, `{t} -\*- {w} ?(?P<x>.*)`},
			rule{Message, `{t} <{n}> ?(?P<x>.*)`},
			rule{Notice, `{t} (?:-->|<--|-\S+-|=!=) (?P<x>.*)`},
		),
	},
	{
		name: "hexchat", stamp: `(?P<t>[A-Z][a-z]{2} \d{2} ` + clock + `)`,
		layouts: []string{"Jan 02 15:04:05", "Mon Jan _2 15:04:05 2006"},
		rules: append(moves(`{t} (?:-->|<--|---|\*)\t`),
			rule{day, `\*\*\*\* BEGIN LOGGING AT (?P<t>.*)`},
			rule{own, `\*\*\*\* ENDING LOGGING AT .*`},
			rule{Notice, `{t} (?:-->|<--|---)\t(?P<x>.*)`},
			rule{Notice, `{t} \*\t(?P<x>\S+ (?:has changed the topic|gives channel operator|sets mode|removes channel).*)`},
			rule{Action, `{t} \*\t{w} ?(?P<x>.*)`},
			rule{Message, `{t} <{n}>\t(?P<x>.*)`},
			rule{Notice, `{t} (?P<x>-\S+-\t.*)`},
		),
	},
	{
		name: "thelounge", stamp: `\[(?P<t>\d{4}-\d{2}-\d{2}[T ]` + clock + `(?:\.\d+)?Z?)\]`, utc: true,
		layouts: []string{"2006-01-02T15:04:05.999Z", "2006-01-02 15:04:05"},
		rules: []rule{
			{Join, `{t} \*\*\* {w}{h} joined`},
			{Leave, `{t} \*\*\* {w}{h} (?:left|quit) ?(?P<x>.*)`},
			{Leave, `{t} \*\*\* {w} was kicked by (?P<x>.*)`},
			{Rename, `{t} \*\*\* {w} changed nick to (?P<o>\S+)`},
			{Notice, `{t} \*\*\* (?P<x>.*)`},
			{Message, `{t} <{n}> ?(?P<x>.*)`},
			{Action, `{t} \* {w} ?(?P<x>.*)`},
		},
	},
	{
		name: "eggdrop", stamp: `\[(?P<t>` + clock + `)\]`, layouts: append([]string{"Mon Jan _2 2006"}, timesOnly...),
		rules: []rule{
			{day, `\[` + clock + `\] --- (?P<t>.*)`},
			{Message, `{t} <{n}> ?(?P<x>.*)`},
			{Action, `{t} Action: {w} ?(?P<x>.*)`},
			{Join, `{t} {w}{h} joined #\S+`},
			{Leave, `{t} {w}{h} left (?:#\S+|irc:) ?(?P<x>.*)`},
			{Rename, `{t} Nick change: {w} -> (?P<o>\S+)`},
			{Leave, `{t} {w} kicked from #\S+ by (?P<x>.*)`},
			{Notice, `{t} (?P<x>(?:Topic changed on |#\S+: mode change |Last message repeated |-\S+- ).*)`},
		},
	},
	{
		name: "mirc", stamp: `\[(?P<t>` + clock + `)\]`, layouts: append([]string{"Mon Jan _2 15:04:05 2006"}, timesOnly...),
		rules: append(moves(`{t} \* `),
			rule{day, `Session (?:Start|Time|Close): (?P<t>.*)`},
			rule{own, `Session Ident: .*`},
			rule{Join, `{t} \* Joins: {w}{h}`},
			rule{Leave, `{t} \* (?:Parts|Quits): {w}{h} ?(?P<x>.*)`},
			rule{Leave, `{t} \* {w} \([^ ]+@[^ ]+\) Quit ?(?P<x>.*)`},
			rule{Notice, `{t} \* (?P<x>\S+ (?:changes topic to|sets mode:) .*)`},
			rule{Message, `{t} <{n}> ?(?P<x>.*)`},
			rule{Action, `{t} \* {w} ?(?P<x>.*)`},
		),
	},
	{
		name: "dircproxy", stamp: `\[(?P<t>` + clock + `)\]`, layouts: timesOnly,
		rules: []rule{
			{Message, `<(?P<n>[^!>]+)![^>]*> {t} ?(?P<x>.*)`},
			{Action, `\[(?P<n>[^!\]]+)![^\]]*\] {t} ACTION ?(?P<x>.*)`},
			{Join, `-dircproxy- {t} {w}{h} joined the channel`},
			{Leave, `-dircproxy- {t} {w}{h} (?:left the channel|quit)(?P<x>.*)`},
			{Rename, `-dircproxy- {t} {w}{h} changed nick to (?P<o>\S+)`},
			{Notice, `-dircproxy- {t} (?P<x>.*)`},
		},
	},
}

// DialectNames are the irc dialects that can be read.
func DialectNames() string {
	var names []string
	for _, d := range dialects {
		names = append(names, d.name)
	}
	return strings.Join(names, ", ")
}

// dialectOf returns a dialect by its name; the first for another name.
func dialectOf(name string) *dialect {
	for _, d := range dialects {
		if d.name == name {
			return d
		}
	}
	return dialects[0]
}

func (d *dialect) compiled() []madeRule {
	d.once.Do(func() {
		parts := strings.NewReplacer("{t}", d.stamp, "{n}", `(?P<n>[^>\t]*?)`, "{w}", `(?P<n>\S+)`, "{h}", ` [\[(]?[^ ]*[\])]?`)
		for _, r := range d.rules {
			d.made = append(d.made, madeRule{r.kind, regexp.MustCompile(`^(?:` + parts.Replace(r.pattern) + `) *\.?$`)})
		}
	})
	return d.made
}
