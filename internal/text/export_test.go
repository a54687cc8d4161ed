package text

// EmojiList returns the embedded list.
func EmojiList() string { return emojiList }
