//! Search filters as administrators write them (RFC 4515 §3), with `$user` and `$host` in them.
//!
//! Read once; names are put in where bytes stand, not into the text. So nothing in a name is ever taken for a part of a filter.

#[cfg(test)]
mod tests;

use super::ber::{self, Bytes};

/// Filters in filters. Nobody writes more.
const DEPTH: u8 = 32;

/// A filter with places for names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter(Node);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Node {
    /// All of these, or one of these.
    Several(Several, Vec<Self>),
    Not(Box<Self>),
    Compare(Comparison, String, Value),
    Present(String),
    Substrings {
        attribute: String,
        initial: Value,
        middle: Vec<Value>,
        last: Value,
    },
    Extensible {
        attribute: String,
        rule: String,
        value: Value,
        dn: Dn,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Several {
    And,
    Or,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Comparison {
    Equal,
    AtLeast,
    AtMost,
    Like,
}

/// Whether the attributes of the entry's name count, too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Dn {
    No,
    Yes,
}

/// Bytes with places for names.
type Value = Vec<Piece>;

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Bytes(Vec<u8>),
    User,
    Host,
}

/// What stands in the places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub(super) user: &'a str,
    pub(super) host: &'a str,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What completes "`ldap_filter` …".
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut left = text.trim();
        let told = |why: &str| format!("is no filter of RFC 4515: {why}; such as (uid=$user)");
        let node = node(&mut left, DEPTH).map_err(|why| told(&why))?;
        if !left.is_empty() {
            return Err(told(&format!("there is \"{left}\" behind it")));
        }
        if !node.names_user() {
            return Err(
                "does not name $user, so it would find the same for everybody; such as (uid=$user)"
                    .to_owned(),
            );
        }
        Ok(Self(node))
    }

    pub(super) fn encode(&self, names: Names<'_>) -> Bytes {
        self.0.encode(names)
    }
}

impl Default for Filter {
    /// `(uid=$user)`.
    fn default() -> Self {
        Self(Node::Compare(
            Comparison::Equal,
            "uid".to_owned(),
            vec![Piece::User],
        ))
    }
}

fn node(left: &mut &str, depth: u8) -> Result<Node, String> {
    let deeper = depth.checked_sub(1).ok_or("it is too deep")?;
    take(left, '(')?;
    let node = match left.chars().next() {
        Some('&') => Node::Several(Several::And, several(left, deeper)?),
        Some('|') => Node::Several(Several::Or, several(left, deeper)?),
        Some('!') => {
            take(left, '!')?;
            Node::Not(Box::new(node(left, deeper)?))
        }
        _ => item(left)?,
    };
    take(left, ')')?;
    Ok(node)
}

fn several(left: &mut &str, depth: u8) -> Result<Vec<Node>, String> {
    *left = left.get(1..).unwrap_or_default();
    let mut nodes = Vec::new();
    while left.starts_with('(') {
        nodes.push(node(left, depth)?);
    }
    match nodes.is_empty() {
        true => Err("& and | stand before filters, each in ( )".to_owned()),
        false => Ok(nodes),
    }
}

fn take(left: &mut &str, wanted: char) -> Result<(), String> {
    match left.strip_prefix(wanted) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => Err(match left.is_empty() {
            true => format!("a {wanted} is missing at its end"),
            false => format!("a {wanted} is missing before \"{left}\""),
        }),
    }
}

/// `attribute=value` and its kin, up to the closing bracket.
fn item(left: &mut &str) -> Result<Node, String> {
    let end = left.find(')').unwrap_or(left.len());
    let (text, rest) = left.split_at(end);
    *left = rest;
    let Some((before, value)) = text.split_once('=') else {
        return Err(format!("there is no = in \"{text}\""));
    };
    let comparison = |attribute: &str, kind| {
        let value = self::value(value)?;
        Ok(Node::Compare(kind, description(attribute)?, value))
    };
    if let Some(attribute) = before.strip_suffix('>') {
        return comparison(attribute, Comparison::AtLeast);
    }
    if let Some(attribute) = before.strip_suffix('<') {
        return comparison(attribute, Comparison::AtMost);
    }
    if let Some(attribute) = before.strip_suffix('~') {
        return comparison(attribute, Comparison::Like);
    }
    if let Some(before) = before.strip_suffix(':') {
        return extensible(before, value);
    }
    let attribute = description(before)?;
    if value == "*" {
        return Ok(Node::Present(attribute));
    }
    let mut parts = value.split('*').map(self::value);
    let initial = parts.next().unwrap_or_else(|| Ok(Vec::new()))?;
    let mut others = parts.collect::<Result<Vec<_>, _>>()?;
    let Some(last) = others.pop() else {
        return Ok(Node::Compare(Comparison::Equal, attribute, initial));
    };
    // Two * say no more than one.
    others.retain(|middle| !middle.is_empty());
    if initial.is_empty() && last.is_empty() && others.is_empty() {
        return Ok(Node::Present(attribute));
    }
    Ok(Node::Substrings {
        attribute,
        initial,
        middle: others,
        last,
    })
}

/// `attribute:dn:rule:=value`, of which one of attribute and rule may be missing.
fn extensible(before: &str, value: &str) -> Result<Node, String> {
    let mut parts = before.split(':');
    let attribute = parts.next().unwrap_or_default();
    let mut dn = Dn::No;
    let mut rule = String::new();
    for part in parts {
        match part {
            "dn" | "DN" if dn == Dn::No && rule.is_empty() => dn = Dn::Yes,
            part if rule.is_empty() => rule = description(part)?,
            _ => return Err(format!("\"{before}\" names more than one matching rule")),
        }
    }
    let attribute = match attribute {
        "" if rule.is_empty() => return Err("nothing stands before :=".to_owned()),
        "" => String::new(),
        attribute => description(attribute)?,
    };
    Ok(Node::Extensible {
        attribute,
        rule,
        value: self::value(value)?,
        dn,
    })
}

/// The name of an attribute, with its options.
fn description(text: &str) -> Result<String, String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ';' | '_');
    match !text.is_empty() && text.chars().all(is_of_name) {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" is no name of an attribute")),
    }
}

fn value(text: &str) -> Result<Value, String> {
    let mut pieces = Vec::new();
    let mut bytes = Vec::new();
    let mut left = text;
    while let Some(first) = left.chars().next() {
        let rest = left.get(first.len_utf8()..).unwrap_or_default();
        let place = [("$user", Piece::User), ("$host", Piece::Host)]
            .into_iter()
            .find(|(name, _)| left.starts_with(name));
        if let Some((name, piece)) = place {
            if !bytes.is_empty() {
                pieces.push(Piece::Bytes(std::mem::take(&mut bytes)));
            }
            pieces.push(piece);
            left = left.get(name.len()..).unwrap_or_default();
        } else if first == '\\' {
            let byte = rest
                .get(..2)
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let wrong = "behind \\ stand two hexadecimal digits, as in \\2a for *";
            bytes.push(byte.ok_or(wrong)?);
            left = rest.get(2..).unwrap_or_default();
        } else if matches!(first, '(' | '\0') {
            return Err(format!("\"{text}\" holds a ( that is not written \\28"));
        } else {
            bytes.extend_from_slice(first.encode_utf8(&mut [0; 4]).as_bytes());
            left = rest;
        }
    }
    if !bytes.is_empty() {
        pieces.push(Piece::Bytes(bytes));
    }
    Ok(pieces)
}

impl Node {
    fn names_user(&self) -> bool {
        let has = |value: &Value| value.contains(&Piece::User);
        match self {
            Self::Several(_, nodes) => nodes.iter().any(Self::names_user),
            Self::Not(node) => node.names_user(),
            Self::Compare(_, _, value) | Self::Extensible { value, .. } => has(value),
            Self::Present(_) => false,
            Self::Substrings {
                initial,
                middle,
                last,
                ..
            } => has(initial) || has(last) || middle.iter().any(has),
        }
    }

    /// RFC 4511 §4.5.1.7.
    fn encode(&self, names: Names<'_>) -> Bytes {
        let bytes = |tag, value: &Value| ber::element(tag, &filled(value, names));
        match self {
            Self::Several(kind, nodes) => {
                let parts: Vec<_> = nodes.iter().map(|node| node.encode(names)).collect();
                let tag = match kind {
                    Several::And => 0xa0,
                    Several::Or => 0xa1,
                };
                ber::made_of(tag, &parts)
            }
            Self::Not(node) => ber::made_of(0xa2, &[node.encode(names)]),
            Self::Compare(kind, attribute, value) => {
                let tag = match kind {
                    Comparison::Equal => 0xa3,
                    Comparison::AtLeast => 0xa5,
                    Comparison::AtMost => 0xa6,
                    Comparison::Like => 0xa8,
                };
                ber::made_of(tag, &[ber::text(attribute), bytes(ber::OCTETS, value)])
            }
            Self::Present(attribute) => ber::element(0x87, attribute.as_bytes()),
            Self::Substrings {
                attribute,
                initial,
                middle,
                last,
            } => {
                let mut parts = Vec::new();
                if !initial.is_empty() {
                    parts.push(bytes(0x80, initial));
                }
                parts.extend(middle.iter().map(|middle| bytes(0x81, middle)));
                if !last.is_empty() {
                    parts.push(bytes(0x82, last));
                }
                let parts = ber::made_of(ber::SEQUENCE, &parts);
                ber::made_of(0xa4, &[ber::text(attribute), parts])
            }
            Self::Extensible {
                attribute,
                rule,
                value,
                dn,
            } => {
                let mut parts = Vec::new();
                if !rule.is_empty() {
                    parts.push(ber::element(0x81, rule.as_bytes()));
                }
                if !attribute.is_empty() {
                    parts.push(ber::element(0x82, attribute.as_bytes()));
                }
                parts.push(bytes(0x83, value));
                match dn {
                    Dn::No => {}
                    Dn::Yes => parts.push(ber::element(0x84, &[0xff])),
                }
                ber::made_of(0xa9, &parts)
            }
        }
    }
}

fn filled(value: &Value, names: Names<'_>) -> Vec<u8> {
    let bytes = value.iter().flat_map(|piece| match piece {
        Piece::Bytes(bytes) => bytes.as_slice(),
        Piece::User => names.user.as_bytes(),
        Piece::Host => names.host.as_bytes(),
    });
    bytes.copied().collect()
}
