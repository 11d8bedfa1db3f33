//! XEP-0441: Message Archive Management Preferences, version 0.2.0: whose messages a user has archived.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use super::rows::{ARCHIVE_PREFS, ARCHIVE_RULE};
use crate::jid::Jid;
use crate::limits::{ARCHIVE_RULES, ARCHIVE_RULES_BYTES};
use crate::stanza::Condition;
use crate::store::{BadRow, Expect, Field, Loaded, Op, Row};
use crate::xml::{Node, Ns, Writer};

/// With whom messages are archived where nothing is said of somebody (§2.1.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Policy {
    /// With everybody.
    Always,
    /// With nobody.
    Never,
    /// With those in the roster.
    Roster,
}

impl Policy {
    /// As it is written, on the wire and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Roster => "roster",
        }
    }

    /// The policy of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Always, Self::Never, Self::Roster]
            .into_iter()
            .find(|policy| policy.name() == name)
    }
}

/// What a user says of one address (§2.1.2, §2.1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rule {
    Always,
    Never,
}

impl Rule {
    const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// What a user wants to be archived.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Prefs {
    /// `None`: what the host's configuration says.
    policy: Option<Policy>,
    rules: BTreeMap<Jid, Rule>,
}

/// What a message is to the one who asks whether it is archived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party<'a> {
    /// The other side: whom it is for, or whom it is from.
    pub(crate) jid: &'a Jid,
    /// Whether that is in the roster.
    pub(crate) is_contact: bool,
}

impl Prefs {
    /// From what the store has.
    pub(crate) fn from_loaded(loaded: &Loaded) -> Result<Self, BadRow> {
        let bad = |table, why| BadRow {
            table,
            contact: None,
            why,
        };
        let policy = match loaded.rows(&ARCHIVE_PREFS).first() {
            Some(row) => Some(policy_of(row).ok_or_else(|| bad(&ARCHIVE_PREFS, "unknown policy"))?),
            None => None,
        };
        let mut rules = BTreeMap::new();
        for row in loaded.rows(&ARCHIVE_RULE) {
            let (jid, rule) = rule_of(row).ok_or_else(|| bad(&ARCHIVE_RULE, "unknown rule"))?;
            rules.insert(jid, rule);
        }
        Ok(Self { policy, rules })
    }

    /// Whether a message with this one is archived (§2.3). `default` is the host's.
    pub(crate) fn archives(&self, party: Party<'_>, default: Policy) -> bool {
        if !self.rules.is_empty() {
            let bare = Jid::from(party.jid.to_bare());
            let rule = self.rules.get(party.jid).or_else(|| self.rules.get(&bare));
            if let Some(rule) = rule {
                return *rule == Rule::Always;
            }
        }
        match self.policy.unwrap_or(default) {
            Policy::Always => true,
            Policy::Never => false,
            Policy::Roster => party.is_contact,
        }
    }

    /// What a client sets.
    ///
    /// # Errors
    /// A form that is none, an address that is none or stands on both lists: `bad-request`. Too many: `policy-violation`.
    pub(crate) fn read(prefs: &Node<'_>) -> Result<Self, Condition> {
        let policy = prefs.attribute("default").ok_or(Condition::BadRequest)?;
        let policy = Policy::from_name(&policy).ok_or(Condition::BadRequest)?;
        let mut rules = BTreeMap::new();
        let mut bytes = 0_usize;
        for list in prefs.children() {
            let rule = match (list.ns(), list.name()) {
                (Ns::Mam, "always") => Rule::Always,
                (Ns::Mam, "never") => Rule::Never,
                _ => continue,
            };
            for item in list.children().filter(|item| item.is(Ns::Mam, "jid")) {
                let jid = Jid::parse(item.text().trim()).map_err(|_| Condition::BadRequest)?;
                if rules.insert(jid, rule).is_some_and(|other| other != rule) {
                    return Err(Condition::BadRequest);
                }
                bytes = bytes.saturating_add(item.text().len());
                if rules.len() > ARCHIVE_RULES || bytes > ARCHIVE_RULES_BYTES {
                    return Err(Condition::PolicyViolation);
                }
            }
        }
        Ok(Self {
            policy: Some(policy),
            rules,
        })
    }

    /// What is to be written so that these take the place of all others: one batch.
    pub(crate) fn replace(&self) -> Vec<Op> {
        let mut ops = Vec::with_capacity(self.rules.len() + 2);
        if let Some(policy) = self.policy {
            ops.push(Op::Put {
                table: &ARCHIVE_PREFS,
                row: Row([Field::text(policy.name())].into()),
                expect: Expect::Anything,
            });
        }
        ops.push(Op::DeletePrefix {
            table: &ARCHIVE_RULE,
            prefix: Row::default(),
        });
        ops.extend(self.rules.iter().map(|(jid, rule)| Op::Put {
            table: &ARCHIVE_RULE,
            row: Row([Field::text(jid.as_str()), Field::text(rule.name())].into()),
            expect: Expect::Anything,
        }));
        ops
    }

    /// Writes `<prefs/>` (§2.1).
    pub(crate) fn write(&self, w: &mut Writer<'_>, default: Policy) {
        let policy = self.policy.unwrap_or(default);
        w.open("prefs").attribute("xmlns", Ns::Mam.uri());
        w.attribute("default", policy.name());
        for (name, listed) in [("always", Rule::Always), ("never", Rule::Never)] {
            w.open(name);
            for (jid, _) in self.rules.iter().filter(|(_, rule)| **rule == listed) {
                w.leaf("jid", jid.as_str());
            }
            w.close();
        }
        w.close();
    }
}

fn policy_of(row: &Row) -> Option<Policy> {
    match &row.0[..] {
        [Field::Text(name)] => Policy::from_name(text(name)?),
        _ => None,
    }
}

fn rule_of(row: &Row) -> Option<(Jid, Rule)> {
    let [Field::Text(jid), Field::Text(rule)] = &row.0[..] else {
        return None;
    };
    let rule = [Rule::Always, Rule::Never]
        .into_iter()
        .find(|known| known.name().as_bytes() == &rule[..])?;
    Some((Jid::parse(text(jid)?).ok()?, rule))
}

fn text(bytes: &Bytes) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}
