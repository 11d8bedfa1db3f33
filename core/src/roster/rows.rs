//! How a roster is kept: a row for each contact, and one for its version.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use bytes::Bytes;

use super::item::Standing;
use super::items::Items;
use super::{Approval, Ask, Item, Roster, Subscription, Version};
use crate::jid::BareJid;
use crate::store::{BadRow, Column, Field, Kind, Loaded, Loading, Puts, Row, Shape, Table};
use crate::time::Now;

/// The contacts. Most columns are named after the attributes of RFC 6121 §2.1.2 and hold what these do.
pub static ROSTER: Shape = Shape {
    name: "roster",
    key: &[Column::new("contact", Kind::Text)],
    columns: &[
        Column::new("name", Kind::Text).optional(),
        Column::new("subscription", Kind::Text),
        Column::new("ask", Kind::Text).optional(),
        Column::new("approved", Kind::Text).optional(),
        // An array in JSON.
        Column::new("groups", Kind::Text).optional(),
    ],
    loading: Loading::Loaded,
    puts: Puts::Awaited,
};

/// The version of a roster that was ever changed.
pub static ROSTER_VERSION: Shape = Shape {
    name: "roster_version",
    key: &[],
    columns: &[Column::new("version", Kind::Int)],
    loading: Loading::Loaded,
    puts: Puts::Awaited,
};

impl Roster {
    /// What was kept. Bounds that were lowered since make nothing bad: whoever has more keeps it.
    ///
    /// # Errors
    /// The first row that no roster of ours has.
    pub fn from_loaded(loaded: &Loaded) -> Result<Self, BadRow> {
        let rows = loaded.rows(&ROSTER);
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            items.push(Item::from_row(row)?);
        }
        if !items.is_sorted_by(|a, b| a.contact() < b.contact()) {
            return Err(bad(&ROSTER, "rows out of order"));
        }
        let version = match loaded.rows(&ROSTER_VERSION) {
            // The first version names the empty roster and no other.
            [] if items.is_empty() => Version::default(),
            [] => return Err(bad(&ROSTER_VERSION, "no version")),
            [row] => Version::from_row(row)?,
            [_, _, ..] => return Err(bad(&ROSTER_VERSION, "two versions")),
        };
        Ok(Self {
            version,
            written: items.iter().map(Item::written).sum(),
            items: Items::new(&items),
        })
    }
}

impl Item<'_> {
    pub(super) fn from_row(row: &Row) -> Result<Self, BadRow> {
        let contact = address(&ROSTER, row)?;
        Self::read(&contact, row).map_err(|why| bad_of(&ROSTER, &contact, why))
    }

    fn read(jid: &BareJid, row: &Row) -> Result<Self, &'static str> {
        let [_, name, subscription, ask, approved, groups] = &row.0[..] else {
            return Err("not as many columns as there are");
        };
        let subscription = text(subscription).and_then(Subscription::from_name);
        let standing = Standing {
            subscription: subscription.ok_or("no such subscription")?,
            ask: match optional(ask) {
                Some(None) => Ask::Nothing,
                Some(Some("subscribe")) => Ask::Subscribe,
                Some(Some(_)) | None => return Err("nothing that is asked"),
            },
            approval: match optional(approved) {
                Some(None) => Approval::Missing,
                Some(Some("true")) => Approval::Given,
                Some(Some(_)) | None => return Err("neither approved nor not"),
            },
        };
        // RFC 6121 appendix A.1 knows no such state.
        if standing.ask == Ask::Subscribe && standing.subscription.is_to() {
            return Err("asked for what is there");
        }
        let name = optional(name).ok_or("no name")?.unwrap_or_default();
        let groups = read_groups(groups).ok_or("no list of groups")?;
        let groups = groups.iter().map(String::as_str);
        Ok(Self::new(jid, standing, name, groups))
    }

    pub(super) fn to_row(&self) -> Row {
        let groups: Vec<&str> = self.groups().collect();
        let groups = match groups.is_empty() {
            true => Field::Absent,
            false => Field::text(&serde_json::Value::from(groups).to_string()),
        };
        let known = |value: Option<&'static str>| {
            value.map_or(Field::Absent, |value| {
                Field::Text(Bytes::from_static(value.as_bytes()))
            })
        };
        let name = Some(self.name()).filter(|name| !name.is_empty());
        Row([
            Field::text(self.contact()),
            name.map_or(Field::Absent, Field::text),
            known(Some(self.subscription().name())),
            known(self.ask().name()),
            known(self.approval().name()),
            groups,
        ]
        .into())
    }
}

/// The row of a contact that comes from elsewhere, with the values of its attributes as they stand there.
///
/// # Errors
/// What is wrong with it.
pub fn imported_contact(
    contact: &BareJid,
    name: &str,
    [subscription, ask, approved]: [Option<&str>; 3],
    groups: &[String],
) -> Result<Row, &'static str> {
    let none = Subscription::None.name();
    let subscription = Subscription::from_name(subscription.unwrap_or(none));
    let standing = Standing {
        subscription: subscription.ok_or("no such subscription")?,
        ask: match ask {
            None => Ask::Nothing,
            Some("subscribe") => Ask::Subscribe,
            Some(_) => return Err("nothing that is asked"),
        },
        approval: match approved {
            None | Some("false" | "0") => Approval::Missing,
            Some("true" | "1") => Approval::Given,
            Some(_) => return Err("neither approved nor not"),
        },
    };
    let groups = groups.iter().map(String::as_str);
    let row = Item::new(contact, standing, name, groups).to_row();
    // What it says must make sense as what was kept.
    Item::read(contact, &row).map(|_| row)
}

/// The row of a version that comes from elsewhere: one that a server like this has told, or that of a change that is made now. One that is still
/// to come would not rise any more.
#[must_use]
pub fn imported_version(told: Option<&str>, now: Now) -> Row {
    let told = told.and_then(Version::parse);
    let next = Version::default().next(now);
    let told = told.filter(|version| *version > Version::default() && *version <= next);
    told.unwrap_or(next).to_row()
}

impl Version {
    fn from_row(row: &Row) -> Result<Self, BadRow> {
        match &row.0[..] {
            [Field::Int(version @ 1..)] => Ok(Self(*version)),
            _ => Err(bad(&ROSTER_VERSION, "no version that a change has")),
        }
    }

    pub(super) fn to_row(self) -> Row {
        Row([Field::Int(self.0)].into())
    }
}

/// The address of the contact that a row is about: the first field.
pub(super) fn address(table: Table, row: &Row) -> Result<BareJid, BadRow> {
    let Some(contact) = row.0.first().and_then(text) else {
        return Err(bad(table, "no contact"));
    };
    let named = |why| BadRow {
        contact: Some(contact.into()),
        ..bad(table, why)
    };
    let jid = BareJid::parse(contact).map_err(|_| named("no bare address"))?;
    // It would not be found, and be written beside itself.
    match jid.as_str() == contact {
        true => Ok(jid),
        false => Err(named("an address that is not prepared")),
    }
}

pub(super) fn bad_of(table: Table, contact: &BareJid, why: &'static str) -> BadRow {
    BadRow {
        contact: Some(contact.as_str().into()),
        ..bad(table, why)
    }
}

fn bad(table: Table, why: &'static str) -> BadRow {
    let contact = None;
    BadRow {
        table,
        contact,
        why,
    }
}

/// A text that is there.
fn text(field: &Field) -> Option<&str> {
    optional(field)?
}

/// A text that may be missing, without NUL: the parts of an item are told apart by it.
fn optional(field: &Field) -> Option<Option<&str>> {
    match field {
        Field::Absent => Some(None),
        Field::Text(text) => {
            let text = core::str::from_utf8(text).ok()?;
            (!text.contains('\0')).then_some(Some(text))
        }
        Field::Bytes(_) | Field::Int(_) | Field::Time(_) | Field::Xml(_) => None,
    }
}

/// Groups that are not empty, each once, as `request::set` sees to.
fn read_groups(field: &Field) -> Option<Vec<String>> {
    let Some(json) = optional(field)? else {
        return Some(Vec::new());
    };
    let groups: Vec<String> = serde_json::from_str(json).ok()?;
    let is_good = |(at, group): (usize, &String)| {
        let earlier = groups.iter().take(at);
        !group.is_empty() && !group.contains('\0') && !earlier.into_iter().any(|g| g == group)
    };
    let good = groups.iter().enumerate().all(is_good);
    good.then_some(groups)
}
