//! What people ask, and what they are told.

use crate::config::HostConfig;
use crate::jid::{BareJid, Domain};
use crate::limits::PASSWORD_CHARS_MIN;
use crate::sasl::prepare_new_password;
use crate::secret::Secret;
use crate::stanza::Condition;
use crate::xml::{Node, Ns, Writer};

/// What a member wants of its own account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// This password instead of the one it has.
    Password(Secret),
    /// No account any more.
    Remove,
}

/// A stranger wants an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Application {
    pub(crate) account: BareJid,
    pub(crate) password: Secret,
}

/// Reads the payload of an IQ of type `set` by a session of the account `own`.
///
/// # Errors
/// What to answer instead (XEP-0077 §3.2 and §3.3).
pub(crate) fn change(payload: &Node<'_>, own: &BareJid) -> Result<Change, Condition> {
    if !payload.is(Ns::Registration, "query") {
        return Err(Condition::FeatureNotImplemented);
    }
    if child(payload, "remove").is_some() {
        // §3.2: "not the only child element".
        return match payload.children().nth(1) {
            None => Ok(Change::Remove),
            Some(_) => Err(Condition::BadRequest),
        };
    }
    // §3.3: "does not contain complete information", and an empty password changes nothing.
    let name = filled(payload, "username").ok_or(Condition::BadRequest)?;
    let password = filled(payload, "password").ok_or(Condition::BadRequest)?;
    if !is_named(own, &name.text()) {
        // `Choice:` §3.3 has no error for who wants to change somebody else's.
        return Err(Condition::NotAllowed);
    }
    new_password(&password, own).map(Change::Password)
}

/// Reads the payload of an IQ of type `set` by somebody who has not signed in and wants an account at `host`.
///
/// # Errors
/// What to answer instead (XEP-0077 §3.1).
pub(crate) fn apply_for(
    payload: &Node<'_>,
    host: &Domain,
    config: &HostConfig,
) -> Result<Application, Condition> {
    // §3.2: "not registered with the server".
    if child(payload, "remove").is_some() {
        return Err(Condition::UnexpectedRequest);
    }
    // §3.1: who "does not provide all of the requested information", an empty password included.
    let name = filled(payload, "username").ok_or(Condition::NotAcceptable)?;
    let password = filled(payload, "password").ok_or(Condition::NotAcceptable)?;
    let account = BareJid::new(&name.text(), host).map_err(|_| Condition::NotAcceptable)?;
    let password = new_password(&password, &account)?;
    let reserved = &config.registration.reserved;
    if reserved.iter().any(|name| name.is(account.local())) {
        return Err(Condition::Conflict);
    }
    Ok(Application { account, password })
}

/// Writes what is on file of an account (XEP-0077 §3.1): that it is registered, and its name.
pub(crate) fn on_file(w: &mut Writer<'_>, own: &BareJid) {
    w.open("query").attribute("xmlns", Ns::Registration.uri());
    w.open("registered").close();
    w.leaf("instructions", "To change the password, give a new one.");
    w.leaf("username", own.local().unwrap_or_default());
    w.open("password").close().close();
}

/// Where a directory has the passwords.
pub(crate) const IN_DIRECTORY: &str =
    "The password is that of your organisation's directory, and is changed there.";

/// What a stranger hears there.
pub(crate) const JOIN_DIRECTORY: &str = "Accounts are those of your organisation's directory: sign in with the name and password that you have there.";

/// Writes what is on file of an account whose password a directory has: no field to give another one in.
pub(crate) fn in_directory(w: &mut Writer<'_>, own: &BareJid) {
    w.open("query").attribute("xmlns", Ns::Registration.uri());
    w.open("registered").close();
    w.leaf("instructions", IN_DIRECTORY);
    w.leaf("username", own.local().unwrap_or_default()).close();
}

/// Writes what a stranger is to say (XEP-0077 §3.1).
pub(crate) fn fields(w: &mut Writer<'_>) {
    w.open("query").attribute("xmlns", Ns::Registration.uri());
    w.leaf("instructions", "Choose a username and a password.");
    w.open("username").close();
    w.open("password").close().close();
}

fn child<'a>(payload: &Node<'a>, name: &str) -> Option<Node<'a>> {
    payload
        .children()
        .find(|child| child.is(Ns::Registration, name))
}

/// The child of this name, if something stands in it.
fn filled<'a>(payload: &Node<'a>, name: &str) -> Option<Node<'a>> {
    child(payload, name).filter(|child| !child.text().is_empty())
}

/// Whether an account has this name, as its user or as everybody calls it (the forms of XEP-0077 §3.3 do the latter).
fn is_named(own: &BareJid, name: &str) -> bool {
    let short = BareJid::new(name, &own.to_domain());
    let named = short.or_else(|_| BareJid::parse(name));
    named.is_ok_and(|named| named.as_str() == own.as_str())
}

/// RFC 6120 §13.9.4: weak passwords are refused. `Choice:` short ones, and the name of the account; no list of words.
fn new_password(field: &Node<'_>, account: &BareJid) -> Result<Secret, Condition> {
    let typed = Secret::new(field.text().into_owned().into_bytes());
    let prepared = prepare_new_password(typed.expose()).map_err(|_| Condition::NotAcceptable)?;
    let prepared = Secret::new(prepared.into_bytes());
    let text = core::str::from_utf8(prepared.expose()).unwrap_or_default();
    let is_name = account.local() == Some(text) || account.as_str() == text;
    match is_name || text.chars().count() < PASSWORD_CHARS_MIN {
        true => Err(Condition::NotAcceptable),
        false => Ok(typed),
    }
}
