//! The elements that a user has, one by one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spondee_core::blocking::BLOCKLIST;
use spondee_core::jid::{BareJid, Jid};
use spondee_core::limits::{
    ITERATION_COUNT, ROSTER_GROUP_BYTES, ROSTER_GROUPS, ROSTER_NAME_BYTES, VCARD_BYTES,
};
use spondee_core::roster::{ROSTER, ROSTER_REQUESTS, imported_contact};
use spondee_core::sasl::{Hash, ScramKeys, Status};
use spondee_core::secret::Secret;
use spondee_core::stanza::{Kind, PresenceType, Stanza};
use spondee_core::store::{Field, Op, Row};
use spondee_core::time::UnixTime;
use spondee_core::xml::{Element, Node, Ns};
use spondee_core::{private, vcard};

use super::super::report::Report;
use super::super::walk::scan;
use super::super::{At, PIE_SCRAM};
use super::{Account, time_of};

/// A message of what is wrong, or nothing.
type Outcome = Result<(), String>;

impl Account {
    /// XEP-0227, "SCRAM credentials".
    pub(super) fn scram(&mut self, element: &Element, at: &At, report: &mut Report) -> Outcome {
        let mechanism = element.attribute("mechanism").unwrap_or_default();
        let hash = mechanism.strip_prefix("SCRAM-").and_then(Hash::from_name);
        let Some(hash) = hash else {
            report.add(
                format!("keys for {mechanism:?}, a mechanism that is not known here"),
                at,
            );
            return Ok(());
        };
        if self.keys.iter().any(|keys| keys.hash == hash) {
            return Err(format!("a second one for {mechanism}"));
        }
        let child = |name: &str| {
            let mut found = element
                .children()
                .filter(|child| child.name() == name && child.ns_uri() == PIE_SCRAM);
            match (found.next(), found.next()) {
                (Some(child), None) => Ok(child.text().trim().to_owned()),
                _ => Err(format!("not one <{name}/>")),
            }
        };
        let bytes = |name: &str| {
            let text = child(name)?;
            let decoded = STANDARD.decode(text);
            decoded.map_err(|_| format!("<{name}/> is not Base64"))
        };
        let rounds = child("iter-count")?.parse().ok();
        // What would take a server longer to check than any password that it sets itself is of no use.
        let rounds = rounds.filter(|rounds| (1..=*ITERATION_COUNT.end()).contains(rounds));
        let keys = ScramKeys {
            hash,
            salt: bytes("salt")?,
            rounds: rounds.ok_or("an iteration count that is none")?,
            stored_key: Secret::new(bytes("stored-key")?),
            server_key: Secret::new(bytes("server-key")?),
        };
        if !are_sound(&keys) {
            return Err(format!("keys or a salt that are none of {mechanism}"));
        }
        self.keys.push(keys);
        self.keys.sort_by_key(|keys| keys.hash);
        Ok(())
    }

    /// RFC 6121 §2.1.
    pub(super) fn roster(&mut self, element: &Element, at: &At, report: &mut Report) -> Outcome {
        self.version = element
            .attribute("ver")
            .map(|ver| ver.into_owned())
            .or_else(|| self.version.take());
        for item in element.children() {
            match item.is(Ns::Roster, "item") {
                true => self.contact(&item, at, report)?,
                false => report.add(format!("<{}/> in a roster", item.name()), at),
            }
        }
        Ok(())
    }

    fn contact(&mut self, item: &Node<'_>, at: &At, report: &mut Report) -> Outcome {
        let address = item.attribute("jid").unwrap_or_default();
        let contact = match BareJid::parse(&address) {
            Ok(contact) if contact != self.jid => contact,
            Ok(_) => {
                report.add("a contact that is the user's own address", at);
                return Ok(());
            }
            Err(_) => {
                report.add(
                    format!("the contact {address:?}, which is no bare address"),
                    at,
                );
                return Ok(());
            }
        };
        let value = |name: &str| item.attribute(name).map(|value| value.into_owned());
        let (subscription, ask, approved) =
            (value("subscription"), value("ask"), value("approved"));
        if subscription.as_deref() == Some("remove") {
            report.add("a contact that is being removed", at);
            return Ok(());
        }
        let name = value("name").unwrap_or_default();
        let mut groups: Vec<String> = Vec::new();
        for child in item.children() {
            if !child.is(Ns::Roster, "group") {
                report.add(format!("<{}/> of a contact", child.name()), at);
                continue;
            }
            let group = child.text().into_owned();
            if !group.is_empty() && !groups.contains(&group) {
                groups.push(group);
            }
        }
        let long = |group: &String| group.len() > ROSTER_GROUP_BYTES;
        if name.len() > ROSTER_NAME_BYTES || groups.len() > ROSTER_GROUPS || groups.iter().any(long)
        {
            return Err(format!(
                "the name or the groups of {contact} are longer, or more, than a contact can have"
            ));
        }
        let standing = [subscription.as_deref(), ask.as_deref(), approved.as_deref()];
        let row = imported_contact(&contact, &name, standing, &groups).or_else(|why| {
            let row = imported_contact(&contact, &name, [standing[0], None, None], &groups)?;
            report.add(
                format!("what is asked of a contact, or approved ({why})"),
                at,
            );
            Ok::<_, &'static str>(row)
        });
        let row = row.map_err(|why| format!("{contact}: {why}"))?;
        self.put(&ROSTER, row)
            .map_err(|why| format!("{contact}: {why}"))
    }

    /// XEP-0227, "Incoming Subscription Requests".
    pub(super) fn request(&mut self, element: &Element, at: &At, report: &mut Report) -> Outcome {
        let from = element.attribute("from").unwrap_or_default();
        let Ok(from) = Jid::parse(&from) else {
            return Err(format!("{from:?} is no address"));
        };
        let stanza = Stanza::parse(element.clone(), None);
        let mut stanza = stanza.map_err(|_| "no presence that a client could have sent")?;
        if stanza.kind() != Kind::Presence(PresenceType::Subscribe) {
            report.add("presence that is no request", at);
            return Ok(());
        }
        let contact = from.to_bare();
        stanza.set_from(contact.clone().into());
        stanza.set_to(self.jid.clone().into());
        let kept = stanza.to_xml();
        if Stanza::from_xml(&kept).is_none() {
            return Err(format!(
                "the request of {contact} is longer than one that can wait"
            ));
        }
        let received = Field::Time(self.now_us());
        let row = Row(vec![
            Field::text(contact.as_str()),
            received,
            Field::Xml(kept),
        ]);
        self.put(&ROSTER_REQUESTS, row)
            .map_err(|why| format!("the request of {contact}: {why}"))
    }

    /// XEP-0227, "Private XML Storage".
    pub(super) fn private(&mut self, element: &Element, at: &At, report: &mut Report) -> Outcome {
        for child in element.children() {
            let mut request = b"<iq><query xmlns='jabber:iq:private'>".to_vec();
            child.write_standalone(&mut request);
            request.extend_from_slice(b"</query></iq>");
            let request = scan(&request)?;
            let (ns, name) = (child.ns_uri(), child.name());
            match request.children().next().map(|query| private::set(&query)) {
                Some(Ok(set)) => {
                    for op in set.ops() {
                        let put = self.put_op(&op);
                        put.map_err(|why| format!("<{name} xmlns='{ns}'/>: {why}"))?;
                    }
                }
                Some(Err(_)) | None => {
                    let what = format!(
                        "<{name} xmlns='{ns}'/> as private XML: too large, or in no namespace of its own"
                    );
                    report.add(what, at);
                }
            }
        }
        Ok(())
    }

    /// XEP-0227, "vCards".
    pub(super) fn card(&mut self, element: &Element, at: &At, report: &mut Report) -> Outcome {
        let request = scan(&[b"<iq>", &element.raw()[..], b"</iq>"].concat())?;
        match request.children().next().map(|card| vcard::set(&card)) {
            Some(Ok(op)) => self.put_op(&op),
            Some(Err(_)) | None => {
                report.add(format!("a vCard of more than {VCARD_BYTES} bytes"), at);
                Ok(())
            }
        }
    }

    /// What a client's request would write. One that only removes writes nothing.
    fn put_op(&mut self, op: &Op) -> Outcome {
        match op.put() {
            Some((table, row, _)) => self.put(table, row.clone()),
            None => Ok(()),
        }
    }

    /// XEP-0227, "Privacy Lists". A blocklist is the default list, if it does no more than to deny everything to addresses.
    pub(super) fn privacy(&mut self, element: &Element, at: &At, report: &mut Report) -> Outcome {
        let named = |node: &Node<'_>| node.attribute("name").map(|name| name.into_owned());
        let children = || element.children();
        let default = children().find(|child| child.name() == "default");
        let default = default.and_then(|default| named(&default));
        for list in children().filter(|child| child.name() == "list") {
            let name = named(&list).unwrap_or_default();
            let blocked = match default.as_ref() == Some(&name) {
                true => denied(&list),
                false => None,
            };
            let Some(blocked) = blocked else {
                report.add(
                    format!("the privacy list {name:?}, of which there are none here"),
                    at,
                );
                continue;
            };
            let since = self.now_us();
            for jid in blocked {
                if jid.bare() == self.jid.as_str() {
                    report.add("a block of the user's own address", at);
                    continue;
                }
                let row = Row(vec![Field::text(jid.as_str()), Field::Time(since)]);
                self.put(&BLOCKLIST, row)
                    .map_err(|why| format!("{}: {why}", jid.as_str()))?;
            }
        }
        Ok(())
    }

    /// What no element of the XEP says of an account.
    pub(super) fn account(&mut self, element: &Element) -> Outcome {
        self.status = match element.attribute("status").as_deref() {
            Some("enabled") => Status::Enabled,
            Some("disabled") => Status::Disabled,
            Some(_) | None => return Err("neither enabled nor disabled".to_owned()),
        };
        let time = |name: &str| {
            let time = time_of(element.attribute(name))?;
            Ok::<_, String>(time.map(|us| UnixTime(us.div_euclid(1000))))
        };
        (self.created, self.updated) = (time("created")?, time("updated")?);
        Ok(())
    }

    /// Since when an address is blocked, or a request waits.
    pub(super) fn when(&mut self, element: &Element) -> Outcome {
        let table = match element.name() {
            "blocked" => &BLOCKLIST,
            _ => &ROSTER_REQUESTS,
        };
        let jid = element.attribute("jid").ok_or("no address")?.into_owned();
        let since = time_of(element.attribute("since"))?.ok_or("no time")?;
        self.since.insert((table, jid), since);
        Ok(())
    }
}

fn are_sound(keys: &ScramKeys) -> bool {
    let long = |key: &Secret| key.expose().len() == keys.hash.output_bytes();
    let salted = (1..=usize::from(u8::MAX)).contains(&keys.salt.len());
    salted && long(&keys.stored_key) && long(&keys.server_key)
}

/// `scram:[sha256,|sha512,]STORED,SERVER,SALT,COUNT`, of which no other server makes a password.
pub(super) fn keys_in_password(password: &str) -> Option<ScramKeys> {
    let parts: Vec<&str> = password.strip_prefix("scram:")?.split(',').collect();
    let (hash, [stored, server, salt, count]) = match parts[..] {
        ["sha256", ref rest @ ..] => (Hash::Sha256, <[&str; 4]>::try_from(rest).ok()?),
        ["sha512", ref rest @ ..] => (Hash::Sha512, <[&str; 4]>::try_from(rest).ok()?),
        ref rest => (Hash::Sha1, <[&str; 4]>::try_from(rest).ok()?),
    };
    let keys = ScramKeys {
        hash,
        salt: STANDARD.decode(salt).ok()?,
        rounds: count
            .parse()
            .ok()
            .filter(|count| (1..=*ITERATION_COUNT.end()).contains(count))?,
        stored_key: Secret::new(STANDARD.decode(stored).ok()?),
        server_key: Secret::new(STANDARD.decode(server).ok()?),
    };
    are_sound(&keys).then_some(keys)
}

/// Whom a privacy list denies everything, if it does nothing else.
fn denied(list: &Node<'_>) -> Option<Vec<Jid>> {
    let mut items: Vec<(u64, Option<Jid>)> = Vec::new();
    for item in list.children() {
        let value = |name: &str| item.attribute(name);
        let order = value("order")?.parse().ok()?;
        let whom = match (value("type").as_deref(), value("action").as_deref()) {
            // It falls through to that at the end.
            (None, Some("allow")) => None,
            (Some("jid"), Some("deny")) => Some(Jid::parse(&value("value")?).ok()?),
            _ => return None,
        };
        // One that denies some kinds of stanzas has children.
        if item.name() != "item" || item.children().next().is_some() {
            return None;
        }
        items.push((order, whom));
    }
    items.sort_by_key(|(order, _)| *order);
    // Behind what allows everything nothing counts.
    let denied = items.into_iter().map_while(|(_, whom)| whom);
    Some(denied.collect())
}
