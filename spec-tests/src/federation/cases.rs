//! How servers meet that are set up well, badly and otherwise, and how each meeting ends: one table, for ours with every other.
//!
//! In a row the first server is the one that is tested, and the second one its peer. Where a row is of ours alone, because no other server has such
//! an option, [`Case::needs_ours`] says so; all others are run with Prosody in our place, too, which shows that they are as such servers have it.
//! Rows of the policy are those of `federation::decide` in the core, which cites what they follow.

use super::World;
use super::authority::Paper;
use super::exchange::{End, Outcome};
use super::explained::Explained;
use super::plan::{Encryption, Family, List, Plan, Program, Proof, Ways};

/// Whether ours speaks with servers yet. Until it does, its rows are left out.
#[must_use]
pub const fn ours_takes_part() -> bool {
    true
}

/// How all that one side says ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ends {
    /// It arrives, is answered, and presence is seen.
    Well,
    /// Nothing arrives, and each that has an answer is refused with this condition.
    Refused(&'static str),
    /// Nothing arrives, whatever is said of it.
    InVain,
    /// It arrives, and no answer comes back: the other way is barred.
    Unanswered,
}

impl Ends {
    /// Whether this is how.
    #[must_use]
    pub fn holds(self, outcome: &Outcome) -> bool {
        match self {
            Self::Well => outcome.is_well(),
            Self::Refused(condition) => outcome.is_refused(condition),
            Self::InVain => outcome.is_in_vain(),
            Self::Unanswered => outcome.message == End::Arrived && outcome.request == End::Nothing,
        }
    }
}

/// Which peers a row is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum With {
    /// Everyone.
    All,
    /// Prosody alone, and ours.
    NotEjabberd,
    /// ejabberd alone.
    Ejabberd,
}

/// Words of one line that the peer logs.
type Words = &'static [&'static str];

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What is special of it.
    pub name: &'static str,
    /// For which peers.
    pub with: With,
    /// What is otherwise than with `Plan::new`, of the first server; it is told the domain of the second.
    pub first: fn(Plan, &str) -> Plan,
    /// The same of the second.
    pub second: fn(Plan) -> Plan,
    /// What the first says to the second, and the second to the first.
    pub ends: [Ends; 2],
    /// What Prosody says, where it is the second.
    pub prosody_says: Words,
    /// What ejabberd says, where it is the second.
    pub ejabberd_says: Words,
}

/// What every failure ends as behind the names (RFC 6120 §10.4.3).
const TIMEOUT: Ends = Ends::Refused("remote-server-timeout");
/// For who asks, who is not talked to is not there.
const UNKNOWN: Ends = Ends::Refused("remote-server-not-found");
const BARRED: [Ends; 2] = [TIMEOUT, Ends::InVain];
const WELL: [Ends; 2] = [Ends::Well, Ends::Well];

/// What most rows begin with: certificates of one authority on both sides, which both require.
const GOOD: Case = Case {
    name: "certificates of an authority that both trust",
    with: With::All,
    first: |plan, _| plan,
    second: |plan| plan,
    ends: WELL,
    prosody_says: &["mechanism='EXTERNAL'"],
    ejabberd_says: &["Accepted inbound s2s EXTERNAL authentication"],
};

/// The same where both may fall back on dialback.
const LENIENT: Case = Case {
    first: |plan, _| plan.asking(Proof::CertificateOrDialback),
    second: |plan| plan.asking(Proof::CertificateOrDialback),
    ..GOOD
};

/// Where the first refuses what the second shows, and tells it so.
const REFUSING: Case = Case {
    ends: BARRED,
    prosody_says: &["closed by remote", "not-authorized"],
    ejabberd_says: &["s2s connection", "closed by peer", "(not-authorized)"],
    ..GOOD
};

/// All rows.
pub const CASES: &[Case] = &[
    GOOD,
    Case {
        name: "a peer that has all forms of its name in its certificate",
        second: |plan| plan.showing(Paper::Full),
        ..GOOD
    },
    Case {
        name: "all forms of the name, shown to whoever reads them",
        with: With::NotEjabberd,
        first: |plan, _| plan.showing(Paper::Full),
        ..GOOD
    },
    Case {
        name: "certificates, and dialback where it is not needed",
        ..LENIENT
    },
    // I6, O6: EXTERNAL fails, or is not offered, and dialback goes on in the same stream.
    Case {
        name: "self-signed certificates, and dialback over TLS",
        first: |plan, _| {
            plan.showing(Paper::SelfSigned)
                .asking(Proof::CertificateOrDialback)
        },
        second: |plan| {
            plan.showing(Paper::SelfSigned)
                .asking(Proof::CertificateOrDialback)
        },
        prosody_says: &["SEND:", "db:verify", "type='valid'"],
        ejabberd_says: &["Accepted inbound s2s dialback authentication"],
        ..GOOD
    },
    // O2, I1.
    Case {
        name: "a peer without TLS, where it is required",
        second: |plan| {
            plan.encrypting(Encryption::Never)
                .asking(Proof::CertificateOrDialback)
        },
        ends: BARRED,
        prosody_says: &["s2s stream", "closed"],
        ejabberd_says: &["Failed to secure inbound s2s connection"],
        ..LENIENT
    },
    // O3, I2.
    Case {
        name: "a peer without TLS, where it is not required",
        first: |plan, _| {
            plan.encrypting(Encryption::Offered)
                .asking(Proof::CertificateOrDialback)
        },
        second: |plan| {
            plan.encrypting(Encryption::Never)
                .asking(Proof::CertificateOrDialback)
        },
        prosody_says: &["SEND:", "db:verify", "type='valid'"],
        ejabberd_says: &["Accepted inbound s2s dialback authentication"],
        ..GOOD
    },
    Case {
        name: "a self-signed peer, where certificates are required of all but it",
        first: |plan, peer| plan.listing(List::Insecure, peer),
        second: |plan| {
            plan.showing(Paper::SelfSigned)
                .asking(Proof::CertificateOrDialback)
        },
        prosody_says: &["SEND:", "db:verify", "type='valid'"],
        ejabberd_says: &["dialback"],
        ..GOOD
    },
    Case {
        name: "a self-signed peer, where certificates are required of it alone",
        first: |plan, peer| {
            plan.asking(Proof::CertificateOrDialback)
                .listing(List::Secure, peer)
        },
        second: |plan| {
            plan.showing(Paper::SelfSigned)
                .asking(Proof::CertificateOrDialback)
        },
        ..REFUSING
    },
    // I5, O5.
    Case {
        name: "a self-signed peer, where certificates are required",
        second: |plan| {
            plan.showing(Paper::SelfSigned)
                .asking(Proof::CertificateOrDialback)
        },
        ..REFUSING
    },
    Case {
        name: "a peer whose certificate has expired",
        second: |plan| plan.showing(Paper::Expired),
        ..REFUSING
    },
    Case {
        name: "a peer whose certificate has expired, where dialback will do",
        second: |plan| {
            plan.showing(Paper::Expired)
                .asking(Proof::CertificateOrDialback)
        },
        prosody_says: &["SEND:", "db:verify", "type='valid'"],
        ejabberd_says: &["Accepted outbound s2s dialback authentication"],
        ..LENIENT
    },
    Case {
        name: "a peer with a certificate of another name",
        second: |plan| plan.showing(Paper::WrongName),
        ..REFUSING
    },
    Case {
        name: "a peer of an authority that nobody trusts",
        second: |plan| plan.showing(Paper::Untrusted),
        ..REFUSING
    },
    Case {
        name: "a peer whose certificate is for servers alone",
        second: |plan| plan.showing(Paper::ServerUse),
        ..GOOD
    },
    Case {
        name: "a certificate for servers alone, shown to who does not mind",
        with: With::NotEjabberd,
        first: |plan, _| plan.showing(Paper::ServerUse),
        ..GOOD
    },
    // O7: EXTERNAL failed, and there is no dialback.
    Case {
        name: "a certificate for servers alone, shown to who minds",
        with: With::Ejabberd,
        first: |plan, _| plan.showing(Paper::ServerUse),
        ends: [TIMEOUT, Ends::Unanswered],
        ejabberd_says: &[
            "Failed inbound s2s EXTERNAL authentication",
            "unsupported certificate purpose",
        ],
        ..GOOD
    },
    // O6: what EXTERNAL did not prove, dialback does.
    Case {
        name: "a certificate for servers alone, shown to who minds and has dialback",
        with: With::Ejabberd,
        first: |plan, _| {
            plan.showing(Paper::ServerUse)
                .asking(Proof::CertificateOrDialback)
        },
        ejabberd_says: &["Accepted inbound s2s dialback authentication"],
        ..LENIENT
    },
    Case {
        name: "an expired certificate, shown to who requires good ones",
        first: |plan, _| plan.showing(Paper::Expired),
        ends: BARRED,
        prosody_says: &["Forbidding insecure connection", "has expired"],
        ejabberd_says: &[
            "Failed inbound s2s EXTERNAL authentication",
            "certificate has expired",
        ],
        ..GOOD
    },
    Case {
        name: "a self-signed certificate, shown to who requires good ones",
        first: |plan, _| plan.showing(Paper::SelfSigned),
        ends: BARRED,
        prosody_says: &["Forbidding insecure connection", "certificate is "],
        ejabberd_says: &[
            "Failed inbound s2s EXTERNAL authentication",
            "self signed certificate",
        ],
        ..GOOD
    },
    Case {
        name: "a certificate of another name, shown to who requires good ones",
        first: |plan, _| plan.showing(Paper::WrongName),
        ends: BARRED,
        prosody_says: &["Forbidding insecure connection", "not valid for this name"],
        ejabberd_says: &["Failed inbound s2s EXTERNAL authentication"],
        ..GOOD
    },
    Case {
        name: "a certificate that nobody trusts, shown to who requires good ones",
        first: |plan, _| plan.showing(Paper::Untrusted),
        ends: BARRED,
        prosody_says: &["Forbidding insecure connection", "is not trusted"],
        ejabberd_says: &[
            "Failed inbound s2s EXTERNAL authentication",
            "unable to verify the first certificate",
        ],
        ..GOOD
    },
    Case {
        name: "direct TLS alone",
        first: |plan, _| plan.by(Ways::DirectTls),
        second: |plan| plan.by(Ways::DirectTls),
        ..GOOD
    },
    Case {
        name: "IPv6 alone",
        first: |plan, _| plan.at(Family::V6),
        second: |plan| plan.at(Family::V6),
        ..GOOD
    },
    // XEP-0288. Ours has it anyway.
    Case {
        name: "both ways on one stream",
        with: With::NotEjabberd,
        first: |plan, _| plan.having("s2s_bidi"),
        second: |plan| plan.having("s2s_bidi"),
        prosody_says: &["Requested bidirectional stream"],
        ..GOOD
    },
    Case {
        name: "both ways on one stream, by dialback",
        with: With::NotEjabberd,
        first: |plan, _| {
            plan.showing(Paper::SelfSigned)
                .asking(Proof::CertificateOrDialback)
                .having("s2s_bidi")
        },
        second: |plan| {
            plan.showing(Paper::SelfSigned)
                .asking(Proof::CertificateOrDialback)
                .having("s2s_bidi")
        },
        prosody_says: &["Requested bidirectional stream"],
        ..GOOD
    },
    // A1.
    Case {
        name: "a peer that the list of those allowed does not have",
        first: |plan, _| plan.listing(List::Allowed, "somebody.else.example"),
        ends: [UNKNOWN, Ends::InVain],
        prosody_says: &["closed by remote", "policy-violation"],
        ejabberd_says: &["s2s connection", "closed by peer", "(policy-violation)"],
        ..GOOD
    },
    Case {
        name: "a peer that the list of those refused has",
        first: |plan, peer| plan.listing(List::Refused, peer),
        ends: [UNKNOWN, Ends::InVain],
        prosody_says: &["closed by remote", "policy-violation"],
        ejabberd_says: &["s2s connection", "closed by peer", "(policy-violation)"],
        ..GOOD
    },
];

impl Case {
    /// Whether no server but ours can be the first of it.
    #[must_use]
    pub fn needs_ours(&self) -> bool {
        let plan = (self.first)(Plan::new(Program::Prosody, "a.example"), "b.example");
        let ours = [List::Allowed, List::Refused];
        plan.lists.iter().any(|(list, _)| ours.contains(list))
    }

    /// Whether it is for these two.
    #[must_use]
    pub fn is_for(&self, first: Program, second: Program) -> bool {
        let plan = (self.second)(Plan::new(second, "b.example"));
        let with = match second {
            Program::Ejabberd => self.with != With::NotEjabberd,
            Program::Prosody => self.with != With::Ejabberd,
            Program::Spondee(_) => {
                self.with != With::Ejabberd && plan.encryption != Encryption::Never
            }
        };
        let can = match first {
            Program::Spondee(_) => true,
            Program::Prosody | Program::Ejabberd => !self.needs_ours(),
        };
        with && can
    }

    /// Runs it.
    ///
    /// # Errors
    /// How it ended otherwise, with the names of both.
    pub fn run(&self, first: Program, second: Program) -> Result<(), String> {
        let [domain, peer] = ["first", "second"].map(|name| format!("{name}.example"));
        let plans = [
            (self.first)(Plan::new(first, &domain), &peer),
            (self.second)(Plan::new(second, &peer)),
        ];
        let fault = |said: &str| format!("{}: {first:?} with {second:?}: {said}", self.name);
        let world = World::begin(plans).map_err(|said| fault(&said))?;
        let [one, other] = &world.peers;
        let explained = Explained::ask(one, other).map_err(|said| fault(&said))?;
        let outcomes = world.converse().map_err(|said| fault(&said))?;
        let hold = self.ends.iter().zip(&outcomes);
        if !hold.clone().all(|(ends, outcome)| ends.holds(outcome)) {
            let logs = world.peers.each_ref().map(|peer| streams(&peer.log()));
            return Err(fault(&format!(
                "{:?} expected, not {outcomes:#?}\n{}",
                self.ends,
                logs.join("\n---\n")
            )));
        }
        if let Some(explained) = explained {
            let held = explained.holds(one, other);
            held.map_err(|said| fault(&format!("{said}\n{}", streams(&one.log()))))?;
            let after = Explained::ask(one, other).map_err(|said| fault(&said))?;
            let agreed = after.map_or(Ok(()), |after| after.agrees(&explained, one));
            agreed.map_err(|said| fault(&said))?;
        }
        let words = match second {
            Program::Prosody => self.prosody_says,
            Program::Ejabberd => self.ejabberd_says,
            Program::Spondee(_) => &[],
        };
        let [_, second] = &world.peers;
        let said = second.wait_for_log(words);
        said.map(drop).map_err(|log| fault(&streams(&log)))
    }
}

/// Of a log what is of streams between servers.
fn streams(log: &str) -> String {
    let lines = log
        .lines()
        .filter(|line| line.contains("s2s") || line.contains("XML on stream"));
    lines.collect::<Vec<_>>().join("\n")
}
