package text

// EmojiList is the list as it stands in the file.
func EmojiList() string { return emojiList }
