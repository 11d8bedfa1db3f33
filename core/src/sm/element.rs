//! What is said beside stanzas: the elements of stream management (XEP-0198) and of the client's state (XEP-0352).

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::time::Duration;

use crate::stanza::Condition;
use crate::xml::{Element, Ns, Writer};

/// An element of a client's that is no stanza.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Nonza {
    /// It has handled so many stanzas; nothing, if it does not say how many.
    Ack(Option<u32>),
    /// Its user is there.
    Active,
    /// It wants its stanzas counted.
    Enable(Result<Enable, Condition>),
    /// Its user does not look at it.
    Inactive,
    /// It wants to know how many were handled.
    Request,
    /// It wants to go on with a session.
    Resume(Result<Resume, Condition>),
}

/// See `Nonza`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Enable {
    pub(crate) resumption: Wish,
}

/// Whether a session is to be resumed when its connection is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    /// No.
    None,
    /// Yes, for as long as the client wishes, if it says so.
    For(Option<Duration>),
}

/// See `Nonza`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Resume {
    /// The id that the session was given.
    pub(crate) previd: Box<str>,
    /// How many stanzas the client has handled of it.
    pub(crate) h: u32,
}

impl Nonza {
    /// What an element is, if it is one of these.
    pub(crate) fn parse(element: &Element) -> Option<Self> {
        match (element.ns(), element.name()) {
            (Ns::StreamManagement, "a") => Some(Self::Ack(number(element, "h").flatten())),
            (Ns::StreamManagement, "r") => Some(Self::Request),
            (Ns::StreamManagement, "enable") => Some(Self::Enable(enable(element))),
            (Ns::StreamManagement, "resume") => Some(Self::Resume(resume(element))),
            (Ns::ClientState, "active") => Some(Self::Active),
            (Ns::ClientState, "inactive") => Some(Self::Inactive),
            _ => None,
        }
    }
}

/// Whether a peer counts what it is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Counts {
    No,
    Yes,
}

/// What a server says on a stream of ours, beside dialback.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkNonza {
    /// It has handled so many stanzas.
    Ack(u32),
    /// It counts from here on.
    Enabled,
    /// It does not count.
    Failed,
    /// It wants to know how many of its own were handled.
    Request,
}

impl LinkNonza {
    /// What an element is, if it is one of these.
    pub(crate) fn parse(element: &Element) -> Option<Self> {
        match (element.ns(), element.name()) {
            (Ns::StreamManagement, "a") => Some(Self::Ack(number(element, "h").flatten()?)),
            (Ns::StreamManagement, "enabled") => Some(Self::Enabled),
            (Ns::StreamManagement, "failed") => Some(Self::Failed),
            (Ns::StreamManagement, "r") => Some(Self::Request),
            _ => None,
        }
    }
}

/// The value of an attribute that is to be an `xs:unsignedInt`; none if it is none.
fn number(element: &Element, name: &str) -> Option<Option<u32>> {
    let text = element.attribute(name)?;
    let digits = text.trim_matches([' ', '\t', '\r', '\n']);
    Some(digits.parse().ok().filter(|_| !digits.starts_with('-')))
}

fn enable(element: &Element) -> Result<Enable, Condition> {
    let max = match number(element, "max") {
        None => None,
        // "positiveInteger": one that is too large is as good as the largest.
        Some(None | Some(0)) if !is_long(element) => return Err(Condition::BadRequest),
        Some(max) => max.map(|seconds| Duration::from_secs(seconds.into())),
    };
    let resume = element.attribute("resume");
    // XEP-0198 §3: "boolean", which is one of four words.
    let resumption = match resume.as_deref().map(str::trim) {
        Some("true" | "1") => Wish::For(max),
        Some("false" | "0") | None => Wish::None,
        Some(_) => return Err(Condition::BadRequest),
    };
    Ok(Enable { resumption })
}

/// Whether `max` is a number, of more digits than anybody will wait for.
fn is_long(element: &Element) -> bool {
    let max = element.attribute("max").unwrap_or_default();
    let digits = max.trim();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && digits.trim_start_matches('0').len() > 9
}

fn resume(element: &Element) -> Result<Resume, Condition> {
    let previd = element.attribute("previd").ok_or(Condition::BadRequest)?;
    let h = number(element, "h")
        .flatten()
        .ok_or(Condition::BadRequest)?;
    Ok(Resume {
        previd: previd.into_owned().into_boxed_str(),
        h,
    })
}

/// What the server lets a client have that wants to resume.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise<'a> {
    /// The name of the session (§5: "SM-ID").
    pub(crate) id: &'a str,
    /// For how long it is kept without a connection.
    pub(crate) max: Duration,
    /// Where the client had better come back to.
    pub(crate) location: Option<&'a str>,
}

/// `<enabled/>` (§3).
pub(crate) fn enabled(out: &mut Vec<u8>, promise: Option<Promise<'_>>) {
    let mut w = Writer::new(out);
    w.open("enabled")
        .attribute("xmlns", Ns::StreamManagement.uri());
    if let Some(Promise { id, max, location }) = promise {
        w.attribute("id", id);
        if let Some(location) = location {
            w.attribute("location", location);
        }
        w.attribute("max", &max.as_secs().to_string())
            .attribute("resume", "true");
    }
    w.close();
}

/// `<resumed/>` (§5): so many stanzas of the client were handled.
pub(crate) fn resumed(out: &mut Vec<u8>, previd: &str, h: u32) {
    Writer::new(out)
        .open("resumed")
        .attribute("xmlns", Ns::StreamManagement.uri())
        .attribute("previd", previd)
        .attribute("h", &h.to_string())
        .close();
}

/// `<failed/>` (§6), with how many stanzas of a session were handled that is over.
pub(crate) fn failed(out: &mut Vec<u8>, condition: Condition, h: Option<u32>) {
    let mut w = Writer::new(out);
    w.open("failed")
        .attribute("xmlns", Ns::StreamManagement.uri());
    if let Some(h) = h {
        w.attribute("h", &h.to_string());
    }
    w.open(condition.name())
        .attribute("xmlns", Ns::StanzaErrors.uri())
        .close();
    w.close();
}

/// `<a/>` (§4): so many stanzas were handled.
pub(crate) fn write_ack(out: &mut Vec<u8>, h: u32) {
    Writer::new(out)
        .open("a")
        .attribute("xmlns", Ns::StreamManagement.uri())
        .attribute("h", &h.to_string())
        .close();
}

/// `<r/>` (§4): how many has the client handled?
pub(crate) fn write_request(out: &mut Vec<u8>) {
    out.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
}
