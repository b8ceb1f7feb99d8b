//! Text that is safe to show, whoever wrote it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `sentence` with its hidden characters escaped, see [`escaped`]; a final LF stays.
pub fn printable(sentence: &str) -> Cow<'_, str> {
    match sentence.strip_suffix('\n').map(escaped) {
        None => escaped(sentence),
        Some(Cow::Borrowed(_)) => Cow::Borrowed(sentence),
        Some(Cow::Owned(line)) => Cow::Owned(line + "\n"),
    }
}

/// `text` without control characters, invisible ones, or ones that change the direction of text, which are escaped.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_hidden(character) {
            // Writing to a String does not fail.
            let _ = write!(escaped, "{}", character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
