//! The file with every option, written from what is asked for.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use spondee_core::options::{Expiry, Shown, Whose};

use super::options::{ASKED, Asked};
use super::value::NEVER;

/// A file with every option, its default and what it does.
pub static EXAMPLE: LazyLock<String> = LazyLock::new(|| write(&ASKED));

/// Characters in a line of it.
const WIDTH: usize = 132;

const HEAD: &str = "The configuration of Spondee, complete. Every line that is not a comment gives the default, so that all of them can \
                    be left out but for the hosts at the end. A line that begins with # and no space behind it shows another value. \
                    The names are Prosody's where the meaning is the same. Try a changed file with `spondee check config`.";

const HOSTS: &str = "# -- The hosts: one section for each domain that has accounts here. The name stands in quotes.\n\n\
                     [host.\"example.org\"]\n\n\
                     #[host.\"example.net\"]\n";

const COMPONENTS: &str = "# -- Components: one section for each name that another program serves, such as a gateway to IRC (XEP-0114). It connects to\n\
                          # one of `component_ports`. Its name belongs below that of a host, so that clients find it.\n\n\
                          #[component.\"irc.example.org\"]\n";

fn write(all: &[Asked]) -> String {
    let mut text = String::new();
    comment(&mut text, HEAD);
    let mut part = "";
    for asked in all {
        match asked.option.whose {
            Whose::Server | Whose::Host(_) => {}
            Whose::Component => continue,
        }
        if asked.part != part {
            part = asked.part;
            text.push('\n');
            comment(&mut text, &format!("-- {part}"));
        }
        if !asked.option.words.is_empty() {
            text.push('\n');
            comment(&mut text, asked.option.words);
        }
        match asked.option.shown {
            Shown::Default => {}
            Shown::Instead(_) => text.push('#'),
        }
        text.push_str(&asked.line);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(HOSTS);
    for asked in all {
        if let Whose::Host(Some(value)) = asked.option.whose {
            let _ = writeln!(text, "#{} = {value}", asked.option.name);
        }
    }
    text.push('\n');
    text.push_str(COMPONENTS);
    for asked in all {
        match asked.option.whose {
            Whose::Component => {}
            Whose::Server | Whose::Host(_) => continue,
        }
        comment(&mut text, asked.option.words);
        let _ = writeln!(text, "#{}", asked.line);
    }
    text
}

/// Words in lines that begin with #. What stands between ` stays together, so that it can be copied.
fn comment(text: &mut String, words: &str) {
    let mut is_code = false;
    let pieces = words.split(|c: char| {
        is_code ^= c == '`';
        c == ' ' && !is_code
    });
    let mut length = 0;
    for piece in pieces {
        let count = piece.chars().count();
        match length {
            0 => text.push('#'),
            _ if length + 1 + count > WIDTH => {
                text.push_str("\n#");
                length = 0;
            }
            _ => {}
        }
        text.push(' ');
        text.push_str(piece);
        length = length.max(1) + 1 + count;
    }
    text.push('\n');
}

/// Text as it is written.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// A list of texts as it is written.
pub(super) fn quoted_list(texts: &[&str]) -> String {
    let items: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", items.join(", "))
}

/// When something is over, as it is written.
pub(super) fn expiry_text(expiry: Expiry) -> String {
    match expiry {
        Expiry::After(period) => period_text(period),
        Expiry::Never => quoted(NEVER),
    }
}

const DAY: u64 = 24 * 60 * 60;

/// A period as it is written.
pub(super) fn period_text(period: Duration) -> String {
    match period.as_secs() {
        60 => quoted("1 minute"),
        DAY => quoted("1 day"),
        seconds if seconds > 0 && seconds % DAY == 0 => quoted(&format!("{} days", seconds / DAY)),
        seconds if seconds > 0 && seconds % 60 == 0 => quoted(&format!("{} minutes", seconds / 60)),
        seconds => seconds.to_string(),
    }
}
