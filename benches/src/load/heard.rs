//! What a server says to a client, stanza by stanza: as much of XML as a load generator needs.

use memchr::{memchr, memmem};

/// A stanza that came whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heard<'a> {
    /// Of its element.
    pub name: &'a str,
    /// Its start tag, between the name and the bracket.
    tag: &'a str,
    /// What it holds, as it came.
    pub content: &'a str,
}

impl<'a> Heard<'a> {
    /// The first in these bytes and how many they are with all that stands before it; `None` as long as none is whole.
    ///
    /// # Errors
    /// It is not text.
    pub fn first(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, String> {
        let Some(start) = memchr(b'<', bytes) else {
            return Ok(None);
        };
        let Some(bracket) = memchr(b'>', &bytes[start..]).map(|at| start + at) else {
            return Ok(None);
        };
        let text = |bytes| std::str::from_utf8(bytes).map_err(|e| e.to_string());
        let tag = text(&bytes[start + 1..bracket])?;
        let (tag, is_empty) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let (name, tag) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        let heard = |content| Self { name, tag, content };
        if is_empty {
            return Ok(Some((heard(""), bracket + 1)));
        }
        let end = format!("</{name}>");
        let inside = &bytes[bracket + 1..];
        // No stanza of these scenarios holds another of its name.
        let Some(at) = memmem::find(inside, end.as_bytes()) else {
            return Ok(None);
        };
        let content = text(&inside[..at])?;
        Ok(Some((heard(content), bracket + 1 + at + end.len())))
    }

    /// The value of an attribute, as it stands there.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        attribute(self.tag, name)
    }

    /// The account it is from, by the number in its name.
    #[must_use]
    pub fn sender(&self) -> Option<usize> {
        number(self.attribute("from")?)
    }

    /// The contacts in a roster, by the numbers in their names, that this account and they are subscribed to each other; and how many
    /// there are.
    #[must_use]
    pub fn contacts(&self) -> (Vec<usize>, usize) {
        let items = self.content.split("<item ").skip(1);
        let tags = items.filter_map(|item| item.split('>').next());
        let mutual = tags.filter(|tag| attribute(tag, "subscription") == Some("both"));
        let numbers = mutual.filter_map(|tag| number(attribute(tag, "jid")?));
        (numbers.collect(), self.content.matches("<item ").count())
    }
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = tag;
    loop {
        let (before, after) = rest.split_once('=')?;
        let quote = after.chars().next()?;
        let (value, behind) = after[1..].split_once(quote)?;
        if before.trim() == name {
            return Some(value);
        }
        rest = behind;
    }
}

/// The number at the end of the localpart.
fn number(address: &str) -> Option<usize> {
    let (name, _) = address.split_once('@')?;
    number_of(name)
}

/// The number at the end of the name of an account.
pub(in crate::load) fn number_of(name: &str) -> Option<usize> {
    name.trim_start_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_stanzas_one_by_one_and_waits_for_the_rest() {
        let text = b"\n<presence from='user0007@localhost/load' type=\"unavailable\"/><iq id='r1' \
            type='result'><query><item subscription='both' jid='user0003@localhost'/><item \
            jid='user0004@localhost' subscription='to'><group>a</group></item></query></iq><presence>";
        let (first, end) = Heard::first(text).unwrap().unwrap();
        assert_eq!((first.name, first.sender()), ("presence", Some(7)));
        assert_eq!(first.attribute("type"), Some("unavailable"));
        assert_eq!(first.attribute("to"), None);
        let rest = &text[end..];
        let (second, end) = Heard::first(rest).unwrap().unwrap();
        assert_eq!((second.name, second.attribute("id")), ("iq", Some("r1")));
        assert_eq!(second.contacts(), (vec![3], 2));
        assert_eq!(Heard::first(&rest[end..]), Ok(None));
    }
}
