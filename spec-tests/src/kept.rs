//! What a client sees of the messages that a server keeps: live, when it comes back, as copies of other devices' (XEP-0280), and in
//! pages of its archive (XEP-0313).

use std::net::SocketAddr;
use std::time::Duration;

use spondee_core::sasl::{Hash, Mechanism, Plus};

use crate::client::{BindTo, Client, PATIENCE, Trust};
use crate::element::{CLIENT, Element, escape};
use crate::server::Server;

/// XEP-0313.
pub const MAM: &str = "urn:xmpp:mam:2";
/// XEP-0280.
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// XEP-0297.
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// XEP-0203.
pub const DELAY: &str = "urn:xmpp:delay";
/// XEP-0359.
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// XEP-0059.
pub const RSM: &str = "http://jabber.org/protocol/rsm";
const FORM: &str = "jabber:x:data";

/// A host where clients may sign in without TLS: for tests that look at what is said, or say much.
pub const IN_CLEAR: &str = "c2s_require_encryption = false\n";

/// Where clients find a server that may be killed and started again meanwhile.
#[derive(Clone, Debug)]
pub struct Door {
    address: SocketAddr,
    trust: Trust,
}

impl Door {
    /// Of this server.
    ///
    /// # Errors
    /// What failed; so with all functions here.
    pub fn of(server: &Server) -> Result<Self, String> {
        Ok(Self {
            address: server.clear,
            trust: server.trust()?,
        })
    }

    /// A session at this resource, without TLS and without a presence. The password is `secret`.
    ///
    /// # Errors
    /// It is refused.
    pub fn device(&self, user: &str, resource: &str) -> Result<Client, String> {
        let mut client = self.signed_in(user)?;
        client.bind(Some(resource))?;
        Ok(client)
    }

    /// The same before it has a resource.
    ///
    /// # Errors
    /// It is refused.
    pub fn signed_in(&self, user: &str) -> Result<Client, String> {
        let mut client = Client::connect(self.address, "localhost", &self.trust)?;
        client.open()?;
        let mechanism = Mechanism::Scram(Hash::Sha1, Plus::No);
        client.sign_in(user, "secret", mechanism, BindTo::Exporter)?;
        Ok(client)
    }
}

/// A ping of the own account's server (XEP-0199).
#[must_use]
pub fn ping(id: &str) -> String {
    format!("<iq type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>")
}

/// The same of an account, which answers behind all that was written to it before.
#[must_use]
pub fn ping_of(account: &str, id: &str) -> String {
    format!("<iq type='get' to='{account}' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>")
}

/// Sends a request and returns its answer; whatever else comes before it goes to `meanwhile`.
///
/// # Errors
/// None came in time.
pub fn ask(
    client: &mut Client,
    id: &str,
    request: &str,
    mut meanwhile: impl FnMut(Element) -> Result<(), String>,
) -> Result<Element, String> {
    client.send(request)?;
    loop {
        let element = client.next(PATIENCE)?;
        if element.is(CLIENT, "iq") && element.attribute("id") == Some(id) {
            return Ok(element);
        }
        meanwhile(element)?;
    }
}

/// How a message came to a device.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum How {
    /// As it was sent.
    Live,
    /// When the device came back.
    Owed,
    /// A copy of what another device sent.
    Sent,
    /// A copy of what another device was sent.
    Received,
}

/// A message that came to a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// How it came.
    pub how: How,
    /// Of the message itself, without what wraps it.
    pub from: String,
    /// Of the message itself.
    pub to: String,
    /// Its text.
    pub body: String,
    /// Its place in the account's archive, as it was told.
    pub id: Option<String>,
}

impl Seen {
    /// What this stanza brings to the account, `None` if it is no message with a body, or is an error.
    ///
    /// # Errors
    /// It is not as the XEPs have it.
    pub fn read(stanza: &Element, account: &str) -> Result<Option<Self>, String> {
        if !stanza.is(CLIENT, "message") || stanza.attribute("type") == Some("error") {
            return Ok(None);
        }
        let wrapped = [("sent", How::Sent), ("received", How::Received)]
            .into_iter()
            .find_map(|(name, how)| Some((stanza.child(CARBONS, name)?, how)));
        let (message, how) = match wrapped {
            Some((wrapper, how)) => {
                // XEP-0280 §11: or anybody could make a client believe anything.
                if stanza.attribute("from") != Some(account) {
                    return Err(format!("a copy that is not from {account}: {stanza}"));
                }
                let inner = wrapper
                    .child(FORWARD, "forwarded")
                    .and_then(|forwarded| forwarded.child(CLIENT, "message"));
                (
                    inner.ok_or_else(|| format!("a copy of nothing: {stanza}"))?,
                    how,
                )
            }
            None => match stanza.child(DELAY, "delay") {
                Some(_) => (stanza, How::Owed),
                None => (stanza, How::Live),
            },
        };
        let Some(body) = message.child(CLIENT, "body") else {
            return Ok(None);
        };
        let text = |name| message.attribute(name).unwrap_or_default().to_owned();
        Ok(Some(Self {
            how,
            from: text("from"),
            to: text("to"),
            body: body.text(),
            id: stanza_id(message, account)?,
        }))
    }
}

/// The id that an account's archive gave a message.
///
/// # Errors
/// There are several (XEP-0359 §4), or one of somebody else's archive.
pub fn stanza_id(message: &Element, account: &str) -> Result<Option<String>, String> {
    let mut ids = message
        .children()
        .filter(|child| child.is(STANZA_ID, "stanza-id"));
    let Some(first) = ids.next() else {
        return Ok(None);
    };
    if ids.next().is_some() || first.attribute("by") != Some(account) {
        return Err(format!("not one id of {account}: {message}"));
    }
    Ok(first.attribute("id").map(str::to_owned))
}

/// What is asked of an archive.
#[derive(Clone, Debug, Default)]
pub struct Query {
    fields: String,
    set: String,
    flipped: bool,
}

impl Query {
    /// All of it, in pages as large as the server makes them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A field of the form with these values.
    #[must_use]
    pub fn field(mut self, name: &str, values: &[&str]) -> Self {
        let values: String = values
            .iter()
            .map(|value| format!("<value>{}</value>", escape(value)))
            .collect();
        self.fields += &format!("<field var='{name}'>{values}</field>");
        self
    }

    /// At most so many.
    #[must_use]
    pub fn max(self, max: usize) -> Self {
        self.rsm("max", &max.to_string())
    }

    /// Those behind this one.
    #[must_use]
    pub fn after(self, id: &str) -> Self {
        self.rsm("after", id)
    }

    /// The last ones in front of this one; in front of nothing, the last ones of all.
    #[must_use]
    pub fn before(self, id: &str) -> Self {
        self.rsm("before", id)
    }

    /// The page the other way round.
    #[must_use]
    pub const fn flipped(mut self) -> Self {
        self.flipped = true;
        self
    }

    fn rsm(mut self, name: &str, value: &str) -> Self {
        self.set += &format!("<{name}>{}</{name}>", escape(value));
        self
    }

    /// As a request with this id, which is its `queryid`, too.
    #[must_use]
    pub fn request(&self, id: &str) -> String {
        let form = match self.fields.is_empty() {
            true => String::new(),
            false => format!(
                "<x xmlns='{FORM}' type='submit'><field var='FORM_TYPE' type='hidden'><value>{MAM}</value></field>{}</x>",
                self.fields
            ),
        };
        let set = match self.set.is_empty() {
            true => String::new(),
            false => format!("<set xmlns='{RSM}'>{}</set>", self.set),
        };
        let flip = if self.flipped { "<flip-page/>" } else { "" };
        format!(
            "<iq type='set' id='{id}'><query xmlns='{MAM}' queryid='{id}'>{form}{set}{flip}</query></iq>"
        )
    }
}

/// An entry of an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// When it came, as it is told.
    pub stamp: String,
    /// The message.
    pub message: Element,
}

impl Entry {
    /// What this stanza brings of the query, `None` if it is something else.
    ///
    /// # Errors
    /// It is not as XEP-0313 has it.
    pub fn read(stanza: &Element, query: &str) -> Result<Option<Self>, String> {
        let Some(result) = stanza.child(MAM, "result") else {
            return Ok(None);
        };
        let strange = || format!("not an entry of {query}: {stanza}");
        if result.attribute("queryid") != Some(query) {
            return Err(strange());
        }
        let forwarded = result.child(FORWARD, "forwarded").ok_or_else(strange)?;
        let delay = forwarded.child(DELAY, "delay");
        let stamp = delay.and_then(|delay| delay.attribute("stamp"));
        Ok(Some(Self {
            id: result.attribute("id").ok_or_else(strange)?.to_owned(),
            stamp: stamp.ok_or_else(strange)?.to_owned(),
            message: forwarded
                .child(CLIENT, "message")
                .ok_or_else(strange)?
                .clone(),
        }))
    }

    /// The text of the message.
    #[must_use]
    pub fn body(&self) -> String {
        let body = self.message.child(CLIENT, "body");
        body.map(Element::text).unwrap_or_default()
    }

    /// An address of the message.
    #[must_use]
    pub fn address(&self, name: &str) -> &str {
        self.message.attribute(name).unwrap_or_default()
    }
}

/// A page of an archive.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// As they came.
    pub entries: Vec<Entry>,
    /// Whether there is no more.
    pub complete: bool,
    /// The ids that it says are the ends.
    pub ends: Option<(String, String)>,
    /// How many there are in all, where that is told.
    pub count: Option<usize>,
    /// Other stanzas that came in between.
    pub others: Vec<Element>,
}

/// What became of a query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// A page.
    Page(Page),
    /// Refused with this condition.
    Refused(String),
}

/// Asks for a page.
///
/// # Errors
/// What came is not as XEP-0313 has it.
pub fn query(client: &mut Client, id: &str, query: &Query) -> Result<Answer, String> {
    client.send(&query.request(id))?;
    answer(client, id, PATIENCE)
}

/// Reads the answer to a query that was sent.
///
/// # Errors
/// What came is not as XEP-0313 has it.
pub fn answer(client: &mut Client, id: &str, patience: Duration) -> Result<Answer, String> {
    let mut page = Page::default();
    loop {
        let stanza = client.next(patience)?;
        if let Some(entry) = Entry::read(&stanza, id)? {
            page.entries.push(entry);
        } else if stanza.is(CLIENT, "iq") && stanza.attribute("id") == Some(id) {
            if let Some(error) = stanza.child(CLIENT, "error") {
                return Ok(Answer::Refused(
                    error.condition().unwrap_or_default().to_owned(),
                ));
            }
            return page.end(&stanza).map(Answer::Page);
        } else {
            page.others.push(stanza);
        }
    }
}

/// A page that must not be refused.
///
/// # Errors
/// It was, or is not as XEP-0313 has it.
pub fn page(client: &mut Client, id: &str, what: &Query) -> Result<Page, String> {
    match query(client, id, what)? {
        Answer::Page(page) => Ok(page),
        Answer::Refused(condition) => Err(format!("{condition}: {what:?}")),
    }
}

impl Page {
    /// What its last stanza says.
    fn end(mut self, result: &Element) -> Result<Self, String> {
        let strange = || format!("not the end of a page: {result}");
        let fin = result.child(MAM, "fin").ok_or_else(strange)?;
        let set = fin.child(RSM, "set").ok_or_else(strange)?;
        self.complete = fin.attribute("complete") == Some("true");
        let text = |name| set.child(RSM, name).map(Element::text);
        self.ends = text("first").zip(text("last"));
        self.count = match text("count") {
            Some(count) => Some(count.parse().map_err(|_| strange())?),
            None => None,
        };
        let ends = |first: &Entry, last: &Entry| Some((first.id.clone(), last.id.clone()));
        let came = match self.entries.as_slice() {
            [] => None,
            [only] => ends(only, only),
            // Chronological, whichever way round the page is.
            [first, .., last] if self.ends == ends(last, first) => ends(last, first),
            [first, .., last] => ends(first, last),
        };
        if came != self.ends {
            return Err(format!("{result} behind {came:?}"));
        }
        Ok(self)
    }
}

/// All that there is behind `after` (behind nothing: all there is), page by page forwards. How many pages it took.
///
/// # Errors
/// A page is not as XEP-0313 has it, brings nothing, or something again.
pub fn forwards(
    client: &mut Client,
    after: Option<&str>,
    what: &Query,
) -> Result<(Vec<Entry>, usize), String> {
    let mut entries: Vec<Entry> = Vec::new();
    for number in 1.. {
        let last = entries.last().map(|entry| entry.id.as_str()).or(after);
        let next = match last {
            Some(id) => what.clone().after(id),
            None => what.clone(),
        };
        let page = page(client, &format!("f{number}"), &next)?;
        let came = page.entries.len();
        entries.extend(page.entries);
        match (page.complete, came) {
            (true, _) => return unique(entries).map(|entries| (entries, number)),
            (false, 0) => return Err(format!("an empty page that is not the last: {next:?}")),
            (false, _) => {}
        }
    }
    Ok((entries, 0))
}

/// All that there is, page by page from its end; in order, and how many pages it took.
///
/// # Errors
/// As `forwards`.
pub fn backwards(client: &mut Client, what: &Query) -> Result<(Vec<Entry>, usize), String> {
    let mut pages: Vec<Vec<Entry>> = Vec::new();
    for number in 1.. {
        let first = pages.last().and_then(|page| page.first());
        let next = what.clone().before(first.map_or("", |entry| &entry.id));
        let page = page(client, &format!("b{number}"), &next)?;
        let came = page.entries.len();
        pages.push(page.entries);
        match (page.complete, came) {
            (true, _) => break,
            (false, 0) => return Err(format!("an empty page that is not the first: {next:?}")),
            (false, _) => {}
        }
    }
    let count = pages.len();
    unique(pages.into_iter().rev().flatten().collect()).map(|entries| (entries, count))
}

fn unique(entries: Vec<Entry>) -> Result<Vec<Entry>, String> {
    let mut ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("{} came twice", pair[0])),
        None => Ok(entries),
    }
}

/// From now on this session is sent copies (XEP-0280 §4).
///
/// # Errors
/// The server does not do so.
pub fn enable_carbons(client: &mut Client) -> Result<(), String> {
    let request = format!("<iq type='set' id='carbons'><enable xmlns='{CARBONS}'/></iq>");
    let answer = ask(client, "carbons", &request, |_| Ok(()))?;
    match answer.attribute("type") {
        Some("result") => Ok(()),
        _ => Err(format!("no copies: {answer}")),
    }
}

/// Which messages are archived where no list says otherwise (XEP-0441): `always`, `never` or `roster`.
///
/// # Errors
/// The server does not do so.
pub fn archive_policy(client: &mut Client, default: &str) -> Result<(), String> {
    let request = format!(
        "<iq type='set' id='prefs'><prefs xmlns='{MAM}' default='{default}'><always/><never/></prefs></iq>"
    );
    let answer = ask(client, "prefs", &request, |_| Ok(()))?;
    match answer.attribute("type") {
        Some("result") => Ok(()),
        _ => Err(format!("no such policy: {answer}")),
    }
}
