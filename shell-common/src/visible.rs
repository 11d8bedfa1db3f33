//! What others say, on one line of a terminal or of the log.

/// On one line, every character of it seen or written as an escape; so is the backslash, which begins those.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) && c != '\\' {
            visible.push(c);
        } else {
            visible.extend(c.escape_debug());
        }
    }
    visible
}

/// Whether a terminal shows it and does nothing else: no control, no mark of direction, nothing without width, no space but the usual one.
pub(crate) fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // The standard library knows what can be printed. It escapes a combining mark, too, unless that stands behind something.
    String::from_iter(['x', c]).escape_debug().nth(1) == Some(c)
}
