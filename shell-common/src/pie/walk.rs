//! A file, and those it includes, taken apart: hosts, users, and what is kept of each, element by element.
//!
//! What stands inside is not looked at here: an element comes as bytes that stand for themselves, and the core's scanner judges them as it
//! judges a client's.

use std::fs;
use std::path::{Component, Path, PathBuf};

use rxml::RawEvent;
use rxml::parser::RawQName;
use spondee_core::limits::Limits;
use spondee_core::xml::{Element, ScanLimits, Scanner, Token, escape_attribute};

use super::file::File;
use super::{At, EXPORT, Fault, PIE, PIE_MAM};
use crate::limits::pie::{DEPTH, ELEMENT_BYTES, FILES_DEEP, OUTER_ATTRIBUTES};

/// https://www.w3.org/TR/xinclude/
const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";

/// A file on the way from its first element to its last.
#[derive(Debug)]
pub(super) struct Walk {
    /// The directory of the file that was named; what is included is in there.
    directory: PathBuf,
    /// Those that include each other, the innermost last.
    files: Vec<Open>,
    /// Open elements that have a meaning here, in whichever file they are.
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Namespaces that its open elements declare, for each of them.
    scopes: Vec<Vec<Declaration>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    Server,
    Host,
    User,
    List(List),
}

/// What has entries that come one by one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum List {
    Archive,
    Offline,
}

/// The next of what there is.
#[derive(Debug)]
pub(super) enum Step {
    /// A host begins, with its address as it is written.
    Host { jid: String, at: At },
    /// A user of the host begins.
    User {
        name: String,
        password: Option<String>,
        /// Attributes that it has beside these.
        others: Vec<String>,
        at: At,
    },
    /// Something of the user.
    Of(Piece),
    /// A list of the user begins.
    Begin(List, At),
    /// An entry of the list.
    Entry(Piece),
    /// The user ends.
    UserEnd,
    /// Something that has no meaning here.
    Unknown { ns: String, name: String, at: At },
}

/// An element as bytes of its own.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) ns: String,
    pub(super) name: String,
    pub(super) at: At,
    xml: Vec<u8>,
}

#[derive(Debug)]
struct Declaration {
    /// Empty for the default.
    prefix: String,
    uri: String,
}

/// A start tag.
#[derive(Debug)]
struct Tag {
    ns: String,
    name: String,
    at: At,
    /// Those without a namespace.
    attributes: Vec<(String, String)>,
    /// The names of those with one.
    prefixed: Vec<String>,
    /// All that the tag declares itself.
    declarations: Vec<Declaration>,
    /// Prefixes that it uses.
    used: Vec<String>,
    xml: Vec<u8>,
}

impl Walk {
    /// Opens a file.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path)?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        Ok(Self {
            directory,
            files: vec![Open {
                file,
                scopes: Vec::new(),
            }],
            levels: Vec::new(),
        })
    }

    /// The next step; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Step>, Fault> {
        loop {
            let Some(open) = self.files.last_mut() else {
                return Ok(None);
            };
            let at = open.file.at().clone();
            match open.file.next()? {
                None => {
                    self.files.pop();
                }
                Some(RawEvent::ElementHeadOpen(_, name)) => {
                    let tag = open.tag(name, at)?;
                    if let Some(step) = self.element(tag)? {
                        return Ok(Some(step));
                    }
                }
                Some(RawEvent::ElementFoot(_)) => {
                    open.scopes.pop();
                    if let Some(step) = self.leave() {
                        return Ok(Some(step));
                    }
                }
                Some(RawEvent::Text(_, text)) => {
                    let space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
                    if !text.chars().all(space) {
                        return Err(at.fault("text where only elements have a place"));
                    }
                }
                Some(
                    RawEvent::XmlDeclaration(..)
                    | RawEvent::Attribute(..)
                    | RawEvent::ElementHeadClose(_),
                ) => {}
            }
        }
    }

    fn element(&mut self, tag: Tag) -> Result<Option<Step>, Fault> {
        let level = self.levels.last().copied();
        let (ns, name) = (tag.ns.as_str(), tag.name.as_str());
        match (level, ns, name) {
            (None, PIE, "server-data") => {
                self.enter(Level::Server, tag);
                Ok(None)
            }
            // As ejabberd writes it for each host.
            (None | Some(Level::Server), PIE, "host") => {
                let jid = tag.needs("jid")?;
                let at = tag.at.clone();
                self.enter(Level::Host, tag);
                Ok(Some(Step::Host { jid, at }))
            }
            (Some(Level::Host), PIE, "user") => {
                let user = Step::User {
                    name: tag.needs("name")?,
                    password: tag.attribute("password").map(str::to_owned),
                    others: tag.others(&["name", "password"]),
                    at: tag.at.clone(),
                };
                self.enter(Level::User, tag);
                Ok(Some(user))
            }
            (Some(Level::User), PIE, "offline-messages") => Ok(Some(self.list(List::Offline, tag))),
            (Some(Level::User), PIE_MAM, "archive") => Ok(Some(self.list(List::Archive, tag))),
            (Some(Level::Server | Level::Host | Level::User), XINCLUDE, "include") => {
                self.include(tag)?;
                Ok(None)
            }
            (Some(Level::User), ..) if is_known(ns, name) => {
                Ok(Some(Step::Of(self.innermost(&tag.at)?.take(tag)?)))
            }
            (Some(Level::List(list)), ..) if list.has(ns, name) => {
                Ok(Some(Step::Entry(self.innermost(&tag.at)?.take(tag)?)))
            }
            (Some(_), ..) => {
                self.innermost(&tag.at)?.skip(&tag)?;
                let Tag { ns, name, at, .. } = tag;
                Ok(Some(Step::Unknown { ns, name, at }))
            }
            (None, PIE, "user") => {
                let what = "only a user, and nobody knows of which host: name the file that includes this one";
                Err(tag.at.fault(what))
            }
            (None, ..) => Err(tag.at.fault(format!(
                "no export (XEP-0227): that begins with <server-data xmlns='{PIE}'>, this with <{name} xmlns='{ns}'>"
            ))),
        }
    }

    fn list(&mut self, list: List, tag: Tag) -> Step {
        let at = tag.at.clone();
        self.enter(Level::List(list), tag);
        Step::Begin(list, at)
    }

    fn enter(&mut self, level: Level, tag: Tag) {
        if let Some(open) = self.files.last_mut() {
            open.scopes.push(tag.declarations);
        }
        self.levels.push(level);
    }

    fn leave(&mut self) -> Option<Step> {
        match self.levels.pop()? {
            Level::User => Some(Step::UserEnd),
            Level::Server | Level::Host | Level::List(_) => None,
        }
    }

    fn innermost(&mut self, at: &At) -> Result<&mut Open, Fault> {
        let gone = || at.fault("nothing is open");
        self.files.last_mut().ok_or_else(gone)
    }

    /// XEP-0227, "Use of XInclude": "a relative URI", no `parse`, no `xpointer`. What is included stands in its place.
    fn include(&mut self, tag: Tag) -> Result<(), Fault> {
        self.innermost(&tag.at)?.skip(&tag)?;
        let other = ["parse", "xpointer"];
        if let Some(other) = other.iter().find(|name| tag.attribute(name).is_some()) {
            let what = format!("an inclusion with `{other}`, which is not understood");
            return Err(tag.at.fault(what));
        }
        let href = tag.needs("href")?;
        let name = file_of(&href).ok_or_else(|| {
            tag.at.fault(format!(
                "it includes {href:?}: only files in the directory of the one that was named, and below, are read"
            ))
        })?;
        if self.files.len() >= FILES_DEEP {
            let what = format!("more than {FILES_DEEP} files that include each other");
            return Err(tag.at.fault(what));
        }
        // Beside the file in which it is written.
        let beside = tag.at.file.parent().unwrap_or(&self.directory);
        let file = File::open(&beside.join(name)).map_err(|fault| Fault {
            what: format!("{} (included by {})", fault.what, tag.at),
            ..fault
        })?;
        self.stays_inside(&file.at().file, &tag.at)?;
        self.files.push(Open {
            file,
            scopes: Vec::new(),
        });
        Ok(())
    }

    /// Links, too, stay in the directory: who sends such a file does not say which files of this machine are read.
    fn stays_inside(&self, path: &Path, at: &At) -> Result<(), Fault> {
        let inside = || Ok(fs::canonicalize(path)?.starts_with(fs::canonicalize(&self.directory)?));
        let inside: std::io::Result<bool> = inside();
        match inside {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(at.fault(format!(
                "it includes {}, which is elsewhere: only files in the directory of the one that was named are read",
                path.display()
            ))),
        }
    }
}

/// What is taken as a whole from a user.
fn is_known(ns: &str, name: &str) -> bool {
    matches!(
        (ns, name),
        (super::PIE_SCRAM, "scram-credentials")
            | (
                "jabber:iq:roster" | "jabber:iq:private" | "jabber:iq:privacy",
                "query"
            )
            | ("jabber:client", "presence")
            | ("vcard-temp", "vCard")
            | (EXPORT, "account" | "blocked" | "requested" | "table")
    )
}

impl List {
    fn has(self, ns: &str, name: &str) -> bool {
        match self {
            Self::Archive => matches!((ns, name), ("urn:xmpp:mam:2", "result") | (EXPORT, "blank")),
            Self::Offline => matches!((ns, name), ("jabber:client", "message") | (EXPORT, "entry")),
        }
    }
}

/// The path that a relative URI means; `None` for anything else, and for what leaves its directory.
fn file_of(href: &str) -> Option<PathBuf> {
    let is_scheme = |text: &str| !text.contains(['/', '.', '%']);
    if href
        .split_once(':')
        .is_some_and(|(before, _)| is_scheme(before))
        || href.contains(['?', '#'])
    {
        return None;
    }
    let path = PathBuf::from(unescape(href)?);
    let below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    (path.file_name().is_some() && path.components().all(below)).then_some(path)
}

/// RFC 3986 §2.1.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        let (digits, behind) = behind.split_at_checked(2)?;
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = behind;
    }
    bytes.extend_from_slice(rest.as_bytes());
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains('\0')).then_some(text)
}

impl Open {
    /// The rest of the start tag of which this is the name.
    fn tag(&mut self, name: RawQName, at: At) -> Result<Tag, Fault> {
        // Comments and white space may be before it.
        let bytes = self.file.bytes();
        let start = memrchr(b'<', bytes);
        let mut xml = bytes.get(start..).unwrap_or_default().to_vec();
        let mut written = Vec::new();
        let mut declarations = Vec::new();
        loop {
            let event = self.file.next()?;
            xml.extend_from_slice(self.file.bytes());
            match event {
                Some(RawEvent::Attribute(_, name, value)) => match parts(&name) {
                    ("xmlns", prefix) => declare(&mut declarations, prefix, value),
                    ("", "xmlns") => declare(&mut declarations, "", value),
                    (prefix, name) => written.push((prefix.to_owned(), name.to_owned(), value)),
                },
                Some(RawEvent::ElementHeadClose(_)) => break,
                Some(
                    RawEvent::XmlDeclaration(..)
                    | RawEvent::ElementHeadOpen(..)
                    | RawEvent::ElementFoot(_)
                    | RawEvent::Text(..),
                )
                | None => return Err(at.fault("a start tag without its end")),
            }
            if written.len() + declarations.len() > OUTER_ATTRIBUTES || xml.len() > ELEMENT_BYTES {
                return Err(at.fault("a start tag that is too long"));
            }
        }
        let (prefix, local) = parts(&name);
        let own = declarations.iter().find(|own| own.prefix == prefix);
        let ns = match own
            .map(|own| own.uri.as_str())
            .or_else(|| self.find(prefix))
        {
            Some(uri) => uri.to_owned(),
            None if prefix.is_empty() => String::new(),
            None => return Err(at.fault(format!("the prefix {prefix} is not declared"))),
        };
        let used = written.iter().map(|(prefix, ..)| prefix.clone());
        let used = used.chain([prefix.to_owned()]).collect();
        let (plain, prefixed): (Vec<_>, Vec<_>) = written
            .into_iter()
            .partition(|(prefix, ..)| prefix.is_empty());
        Ok(Tag {
            ns,
            name: local.to_owned(),
            at,
            attributes: plain
                .into_iter()
                .map(|(_, name, value)| (name, value))
                .collect(),
            prefixed: prefixed
                .into_iter()
                .map(|(prefix, name, _)| format!("{prefix}:{name}"))
                .collect(),
            declarations,
            used,
            xml,
        })
    }

    /// What a prefix means in the elements that are open.
    fn find(&self, prefix: &str) -> Option<&str> {
        let declared = self.scopes.iter().rev().flatten();
        let mut of_it = declared.filter(|declared| declared.prefix == prefix);
        of_it.next().map(|declared| declared.uri.as_str())
    }

    /// The whole element of which this is the start tag. What it uses and does not declare is declared in it.
    fn take(&mut self, tag: Tag) -> Result<Piece, Fault> {
        let Tag {
            ns,
            name,
            at,
            declarations,
            mut used,
            mut xml,
            ..
        } = tag;
        self.inside(&at, |open, event| {
            xml.extend_from_slice(open.file.bytes());
            let prefix = match event {
                RawEvent::ElementHeadOpen(_, name) | RawEvent::Attribute(_, name, _) => {
                    parts(name).0
                }
                RawEvent::XmlDeclaration(..)
                | RawEvent::ElementHeadClose(_)
                | RawEvent::ElementFoot(_)
                | RawEvent::Text(..) => "",
            };
            if !prefix.is_empty()
                && used.len() <= OUTER_ATTRIBUTES
                && !used.iter().any(|known| known == prefix)
            {
                used.push(prefix.to_owned());
            }
            xml.len()
        })?;
        // Where its name ends.
        let end = xml
            .iter()
            .position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>'));
        let end = end.unwrap_or(xml.len());
        let mut more = Vec::new();
        used.push(String::new());
        for prefix in &used {
            let own = declarations.iter().any(|own| own.prefix == *prefix);
            if own || more.contains(prefix) {
                continue;
            }
            let Some(uri) = self.find(prefix).filter(|uri| *uri != "jabber:client") else {
                continue;
            };
            let mut text = match prefix.as_str() {
                "" => b" xmlns='".to_vec(),
                prefix => format!(" xmlns:{prefix}='").into_bytes(),
            };
            escape_attribute(&mut text, uri);
            text.push(b'\'');
            xml.splice(end..end, text);
            more.push(prefix.clone());
        }
        Ok(Piece { ns, name, at, xml })
    }

    /// Reads on behind an element, of which nothing is kept.
    fn skip(&mut self, tag: &Tag) -> Result<(), Fault> {
        self.inside(&tag.at, |_, _| 0)
    }

    /// Reads an element to its end. `seen` is told of all that is in it, and tells how many bytes it has kept.
    fn inside(
        &mut self,
        at: &At,
        mut seen: impl FnMut(&Self, &RawEvent) -> usize,
    ) -> Result<(), Fault> {
        let mut depth = self.scopes.len() + 1;
        let outside = self.scopes.len();
        while depth > outside {
            let Some(event) = self.file.next()? else {
                return Err(at.fault("an element without its end"));
            };
            if let RawEvent::ElementHeadOpen(..) = event {
                depth += 1;
            }
            if let RawEvent::ElementFoot(_) = event {
                depth -= 1;
            }
            if depth > DEPTH {
                return Err(at.fault(format!("more than {DEPTH} elements in each other")));
            }
            if seen(self, &event) > ELEMENT_BYTES {
                let what = format!(
                    "an element of more than {ELEMENT_BYTES} bytes, which no account could keep"
                );
                return Err(at.fault(what));
            }
        }
        Ok(())
    }
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The names of all attributes but these.
    fn others(&self, known: &[&str]) -> Vec<String> {
        let plain = self.attributes.iter().map(|(name, _)| name);
        let plain = plain.filter(|name| !known.contains(&name.as_str()));
        plain.chain(&self.prefixed).cloned().collect()
    }

    fn needs(&self, name: &str) -> Result<String, Fault> {
        let missing = || self.at.fault(format!("<{}> without `{name}`", self.name));
        self.attribute(name).map(str::to_owned).ok_or_else(missing)
    }
}

impl Piece {
    /// What the core's scanner makes of it: well-formed to the last byte, and all that it means declared in it.
    pub(super) fn element(&self) -> Result<Element, Fault> {
        scan(&self.xml).map_err(|why| self.fault(why))
    }

    /// Something is wrong with it.
    pub(super) fn fault(&self, what: impl fmt::Display) -> Fault {
        self.at.fault(format!("<{}>: {what}", self.name))
    }
}

use std::fmt;

/// Reads one element as a client could have sent it; why it could not if so.
pub(super) fn scan(xml: &[u8]) -> Result<Element, String> {
    const HEADER: &[u8] =
        b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    let limits = ScanLimits {
        element_bytes: u32::try_from(2 * ELEMENT_BYTES).unwrap_or(u32::MAX),
        depth: u16::try_from(DEPTH).unwrap_or(u16::MAX),
        attributes: u16::MAX,
        declarations: u16::MAX,
        elements: u32::MAX,
        ..ScanLimits::client(&Limits::default())
    };
    let mut scanner = Scanner::new(limits);
    let mut header = HEADER;
    let said = |error| format!("no element that a client could have sent ({error:?})");
    scanner.scan(&mut header).map_err(said)?;
    let mut rest = xml;
    match scanner.scan(&mut rest).map_err(said)? {
        Some(Token::Element(element)) if rest.is_empty() => Ok(element),
        Some(Token::Header(_) | Token::Element(_) | Token::End) | None => {
            Err("no element that stands for itself".to_owned())
        }
    }
}

fn parts(name: &RawQName) -> (&str, &str) {
    let (prefix, local) = name;
    (
        prefix.as_ref().map_or("", |prefix| prefix.as_str()),
        local.as_str(),
    )
}

fn declare(declarations: &mut Vec<Declaration>, prefix: &str, uri: String) {
    declarations.push(Declaration {
        prefix: prefix.to_owned(),
        uri,
    });
}

fn memrchr(byte: u8, bytes: &[u8]) -> usize {
    bytes.iter().rposition(|other| *other == byte).unwrap_or(0)
}
