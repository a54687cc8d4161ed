package importer

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// detect recognises a format, and the dialect of an irc log, by the head of a file.
func detect(head []byte) (Format, string, *RejectionError) {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	if bytes.HasPrefix(trimmed, []byte("{")) {
		if f := jsonFormat(trimmed); f != "" {
			return f, "", nil
		}
		return "", "", reject("", "this is JSON of a kind that is not known: %s are", "Telegram, Slack, Discord, Matrix and Mattermost")
	}
	if bytes.HasPrefix(trimmed, []byte("[{")) || bytes.HasPrefix(trimmed, []byte("[\n")) {
		return "", "", reject("the zip that holds this file", "this looks like one day of a Slack export")
	}
	return textFormat(head)
}

// sample is how many lines the head of a text must show at most.
const sample = 4000

func textFormat(head []byte) (Format, string, *RejectionError) {
	whatsapp, total, first := 0, 0, false
	explained := make([]int, len(dialects))
	for l, err := range lines(bytes.NewReader(head)) {
		if err != nil || total == sample {
			break
		}
		if strings.TrimSpace(l.text) == "" || l.cut && total > 0 {
			continue
		}
		if total++; strings.ContainsRune(l.text, '\ufffd') {
			continue
		}
		if _, ok, _ := readHead(l.text); ok {
			whatsapp++
			first = first || total == 1
		}
		for i, d := range dialects {
			if kind, _ := d.match(l.text); kind != "" {
				explained[i]++
			}
		}
	}
	most := slices.Max(explained)
	switch {
	case first && whatsapp >= most:
		return WhatsApp, "", nil
	case most > 0 && float64(most) >= Threshold*float64(total):
		return IRC, dialects[slices.Index(explained, most)].name, nil
	case bytes.Contains(head, []byte{0}):
		return "", "", reject("gotong import --help", "this is a binary file, not the text of a chat")
	default:
		return "", "", reject("gotong import --help",
			"this is no export that is known: neither WhatsApp, nor one of these dialects of irc: %s", DialectNames())
	}
}

// jsonFormat recognises a format by the keys with which a JSON object begins.
func jsonFormat(head []byte) Format {
	keys := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(head))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for len(keys) < 100 {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			break
		}
		if keys[key] = true; key == "type" {
			if v, _ := d.Token(); v == "version" || v == "post" || v == "channel" || v == "team" {
				return Mattermost
			}
			continue
		}
		if skip(d) != nil {
			break
		}
	}
	switch {
	case keys["guild"] && keys["channel"]:
		return Discord
	case keys["room_name"] || keys["room_creator"] || keys["exported_by"]:
		return Matrix
	case keys["messages"] && (keys["id"] || keys["type"]), keys["personal_information"], keys["about"], keys["chats"]:
		return Telegram
	default:
		return ""
	}
}
