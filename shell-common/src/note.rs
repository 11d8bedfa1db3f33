//! The core's notes, and what the shell has to say of connections, as lines of the log.
//!
//! The words of a line are an interface:
//!
//! | line | when |
//! |---|---|
//! | `signed in account=A mechanism=M peer=P` | a sign-in succeeded |
//! | `sign-in failed: REASON peer=P account=A` | a password was tried and refused, and nothing else: this is what programs that ban are to count |
//! | `sign-in not possible: REASON peer=P account=A` | a sign-in came to nothing for any other reason: what the client asked for is not offered or cannot be read, it gave up, or nobody is answered for now |
//! | `sign-in cut off: … peer=P account=A` | the connection or its stream ended in the middle of a sign-in |
//! | `stream failed: CONDITION (TEXT) peer=P account=A` | a stream ended with this stream error |
//! | `server proven by HOW: RULE peer=P server=D host=H` | a server that connected has proven that it speaks for the domain `D`, to `H`, by `its certificate` or `dialback` |
//! | `server not proven, by WHOM: WHY peer=P server=D host=H` | it has not, as `this server` has decided by a rule, or `its domain's server` |
//! | `TLS failed: … peer=P` | a TLS handshake or a later record failed, or the peer left in the middle of the handshake |
//! | `not offered, because accounts that were imported have no keys for it: … host=H`, `all accounts have keys for all mechanisms: … host=H` | it was counted who could not sign in by what |
//! | `link is up peer=P server=S host=H by=EXTERNAL\|dialback tls=VERSION\|none` | stanzas of host H go to server S |
//! | `no link, by this server: … server=S host=H`, `by the other server: …` | why they do not, and who decided that |
//! | `component connected peer=P component=C`, `component disconnected` | a component has shown that it serves the name C, or is gone |
//! | `component replaced: … peer=P component=C` | it had a connection that was not known to be dead, or two programs serve one name |
//! | `component refused: … peer=P component=C` | it does not know the secret, or nobody serves that name |
//! | `account added account=A`, `account deleted`, `account disabled`, `account enabled`, `password set` | an administrator's command is done |
//! | `password hashed account=A` | keys are kept of the password of this account, in place of itself or of keys of before |
//! | `nobody can sign in for now, because the directory does not judge passwords: … host=H` | a directory that has the passwords of a host could not be asked, or did not say |
//! | `sessions ended account=A sessions=N` | the same: these sessions were ended by an administrator |
//! | `the account cannot be used until this row of the database is mended: … account=A` | what an account keeps makes no sense: it is not written over |
//! | `left out within a minute: … peer=P` | how many more of these lines that address caused (`limits::log`) |
//!
//! REASON is the name of a SASL error condition (RFC 6120 §6.5), CONDITION that of a stream error (RFC 6120 §4.9.3). `account` is
//! missing where none was named. `peer` is an IPv4 or IPv6 address; IPv4 has its own form also if it came in by an IPv6 socket,
//! since that is what a firewall bans. It stands in front of what a client may choose, and no address of an account has a space, so
//! nobody can write another peer's address into a line. What a program that bans should match:
//! `sign-in failed: [a-z-]+ peer=ADDRESS`.
//!
//! Choice: who connects and goes, or asks for the features and goes, has failed at nothing and is told at the level `debug` alone:
//! health checks do that all day, and scanners all night. Who leaves in the middle of a TLS handshake or a sign-in leaves a line,
//! because something was not to that client's liking: a certificate, a server's proof, the network. A session that the network
//! cuts is told at `debug`: telephones do that all day.

mod links;

use std::fmt;
use std::net::IpAddr;

use spondee_core::jid::{BareJid, Domain};
use spondee_core::limits::CENSUS_MAX;
use spondee_core::port::{
    AccountChange, CloseReason, ComponentChange, ConnId, Decider, Note, PeerJudged, PeerProof,
    PeerStanding, StreamError,
};
use spondee_core::sasl::{Failure, Hash, OfferEmpty, Tally};
use tracing::Level;
use tracing::field::{DisplayValue, display};

use crate::log::{Cause, Subject, may_write};

/// Logs one note.
pub fn log(note: &Note) {
    match note {
        Note::AccountChanged { .. } => account_changed(note),
        Note::AccountHeldUp { account, peer } => account_held_up(account, *peer),
        Note::AddressHeldUp { peer } => address_held_up(*peer),
        Note::Bug(what) => bug(what),
        Note::Bound { conn, jid } => {
            // Without the resource, which may be any words, also those of another line.
            tracing::debug!(account = jid.bare(), ?conn, "session began");
        }
        Note::Resumed { conn, jid } => {
            tracing::debug!(account = jid.bare(), ?conn, "session resumed");
        }
        Note::Closed {
            conn,
            peer,
            account,
            reason,
        } => closed(*conn, *peer, account.as_ref(), reason),
        Note::LinkProven {
            ours,
            theirs,
            peer,
            by,
            tls,
        } => links::proven((ours, theirs), *peer, *by, *tls),
        Note::LinkTaken { ours, theirs, peer } => links::taken((ours, theirs), *peer),
        Note::LinkFailed { ours, theirs, why } => links::failed((ours, theirs), why),
        Note::Component { .. } => component(note),
        Note::Disconnected { account, sessions } => {
            tracing::info!(%account, sessions, "sessions ended");
        }
        Note::KeysMissing { host, tally } => keys_missing(host, tally),
        Note::NothingOffered { host, peer, why } => {
            if allows(Level::WARN, *peer, Subject::Warning) {
                tracing::warn!(%host, "nobody can sign in like this: {}", advice(*why));
            }
        }
        Note::SignInCutOff {
            conn: _,
            peer,
            account,
        } => sign_in_cut_off(*peer, account.as_ref()),
        Note::SignInFailed {
            conn: _,
            peer,
            account,
            failure,
        } => sign_in_failed(*peer, account.as_ref(), *failure),
        Note::PeerJudged {
            conn: _,
            peer,
            judged,
        } => peer_judged(*peer, judged),
        Note::SignedIn {
            conn: _,
            peer,
            account,
            mechanism,
        } => {
            let (peer, mechanism) = (peer.to_canonical(), mechanism.name());
            tracing::info!(%account, %mechanism, %peer, "signed in");
        }
        Note::LinkQueue {
            ours,
            theirs,
            trouble,
        } => links::queue((ours, theirs), *trouble),
        Note::Unkept { account, messages } => unkept(account, *messages),
        Note::Unreadable { account, why } => unreadable(account, why),
    }
}

fn component(note: &Note) {
    let Note::Component {
        conn: _,
        peer,
        name: component,
        change,
    } = note
    else {
        return;
    };
    let (peer, change) = (*peer, *change);
    let address = peer.to_canonical();
    match change {
        ComponentChange::Connected => {
            tracing::info!(peer = %address, %component, "component connected");
        }
        ComponentChange::Gone => {
            tracing::info!(peer = %address, %component, "component disconnected");
        }
        ComponentChange::Replaced => {
            tracing::warn!(
                peer = %address, %component,
                "component replaced: another connection has shown its secret"
            );
        }
        ComponentChange::WrongSecret if allows(Level::WARN, peer, Subject::Warning) => {
            tracing::warn!(
                peer = %address, %component,
                "component refused: its secret is not that of `component_secret`"
            );
        }
        ComponentChange::Unknown if allows(Level::WARN, peer, Subject::Warning) => {
            tracing::warn!(
                peer = %address, %component,
                "component refused: the configuration has no section [component.\"{component}\"]"
            );
        }
        ComponentChange::HeldUp if allows(Level::WARN, peer, Subject::Warning) => {
            tracing::warn!(
                peer = %address, %component,
                "component refused: too many sign-ins have failed at its address; unlimited_addresses excepts it"
            );
        }
        ComponentChange::HeldUp | ComponentChange::WrongSecret | ComponentChange::Unknown => {}
    }
}

fn account_held_up(account: &BareJid, peer: IpAddr) {
    if allows(Level::WARN, peer, Subject::Warning) {
        let peer = peer.to_canonical();
        tracing::warn!(
            %peer, %account,
            "too many failed sign-ins: for a while nobody signs in to this account from an unusual address"
        );
    }
}

fn address_held_up(peer: IpAddr) {
    if allows(Level::WARN, peer, Subject::Warning) {
        let peer = peer.to_canonical();
        tracing::warn!(%peer, "too many failed sign-ins: for a while nobody signs in from this address to an account that did not before");
    }
}

fn bug(what: &str) {
    if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
        tracing::error!(
            "an error of this program, please report it: {what}; the stream was closed"
        );
    }
}

fn unkept(account: &BareJid, messages: usize) {
    if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
        tracing::error!(%account, messages, "messages could not be kept");
    }
}

fn keys_missing(host: &Domain, tally: &Tally) {
    let counted = Hash::ALL.into_iter().zip(tally.lacking);
    let missing: Vec<String> = counted
        .filter(|(_, lacking)| *lacking > 0)
        .map(|(hash, lacking)| match lacking < u64::from(CENSUS_MAX) {
            true => format!("SCRAM-{} ({lacking} accounts)", hash.name()),
            false => format!("SCRAM-{} ({lacking} accounts or more)", hash.name()),
        })
        .collect();
    match missing.is_empty() {
        true => {
            tracing::info!(%host, "all accounts have keys for all mechanisms: all are offered again");
        }
        false => tracing::warn!(
            %host,
            "not offered, because accounts that were imported have no keys for it: {}; an account gets them with its next password, or when it \
             signs in by PLAIN",
            missing.join(", ")
        ),
    }
}

fn account_changed(note: &Note) {
    let Note::AccountChanged {
        account,
        change,
        by,
    } = note
    else {
        return;
    };
    let done = done(*change);
    match by {
        None => tracing::info!(%account, "{done}"),
        Some(peer) if allows(Level::INFO, *peer, Subject::Warning) => {
            let peer = peer.to_canonical();
            tracing::info!(%account, %peer, "{done} by its user");
        }
        Some(_) => {}
    }
}

fn unreadable(account: &BareJid, why: &str) {
    if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
        tracing::error!(
            %account,
            "the account cannot be used until this row of the database is mended: {why}"
        );
    }
}

/// A directory did not say whether a password is right.
pub(crate) fn directory_silent(host: &Domain, why: &str) {
    if may_write(Level::WARN, Cause::Server, Subject::Warning) {
        tracing::warn!(%host, "nobody can sign in for now, because the directory does not judge passwords: {why}");
    }
}

/// TLS with this peer came to nothing, or broke.
pub fn tls_failed(peer: Option<IpAddr>, why: &str) {
    // Without a peer the connection is gone already, and its end has been told.
    if let Some(peer) = peer
        && allows(Level::INFO, peer, Subject::Failure)
    {
        let peer = peer.to_canonical();
        tracing::info!(%peer, "TLS failed: {why}");
    }
}

/// What this peer has shown in TLS does not say who it is.
pub fn certificate_passed_over(peer: Option<IpAddr>, why: &str) {
    if let Some(peer) = peer
        && allows(Level::DEBUG, peer, Subject::Failure)
    {
        let peer = peer.to_canonical();
        tracing::debug!(%peer, "its certificate is as good as none: {why}");
    }
}

fn sign_in_cut_off(peer: IpAddr, account: Option<&BareJid>) {
    if allows(Level::INFO, peer, Subject::Failure) {
        let (peer, account) = (peer.to_canonical(), named(account));
        tracing::info!(%peer, account, "sign-in cut off: the connection ended");
    }
}

fn sign_in_failed(peer: IpAddr, account: Option<&BareJid>, failure: Failure) {
    let (subject, what) = match failure.is_about_a_password() {
        true => (Subject::Password, "failed"),
        false => (Subject::Failure, "not possible"),
    };
    if allows(Level::INFO, peer, subject) {
        let (peer, account, why) = (peer.to_canonical(), named(account), failure.name());
        tracing::info!(%peer, account, "sign-in {what}: {why}");
    }
}

fn peer_judged(peer: IpAddr, judged: &PeerJudged) {
    let PeerJudged {
        host,
        server,
        standing,
    } = judged;
    let address = peer.to_canonical();
    let unproven = |by: &str, why: &str| {
        if allows(Level::INFO, peer, Subject::Failure) {
            tracing::info!(peer = %address, %server, %host, "server not proven, by {by}: {why}");
        }
    };
    match *standing {
        PeerStanding::Proven(proof, rule) => {
            let proof = match proof {
                PeerProof::Certificate => "its certificate",
                PeerProof::Dialback => "dialback",
            };
            tracing::info!(peer = %address, %server, %host, "server proven by {proof}: {rule}");
        }
        PeerStanding::Unproven(Decider::Here, why) => unproven("this server", why),
        PeerStanding::Unproven(Decider::TheirDomain, why) => unproven("its domain's server", why),
    }
}

fn closed(conn: ConnId, peer: IpAddr, account: Option<&BareJid>, reason: &CloseReason) {
    let failed = |why: &dyn fmt::Display| {
        if allows(Level::INFO, peer, Subject::Failure) {
            let peer = peer.to_canonical();
            // A domain alone is a server.
            let (server, account) = (
                named(account.filter(|account| account.local().is_none())),
                named(account.filter(|account| account.local().is_some())),
            );
            tracing::info!(%peer, server, account, "{why}");
        }
    };
    let ended = |why: &dyn fmt::Display| {
        let (peer, account) = (peer.to_canonical(), named(account));
        tracing::debug!(%peer, account, ?conn, "closed: {why}");
    };
    match reason {
        CloseReason::Ended => ended(&"ended"),
        CloseReason::Unheard => ended(&"nothing was heard"),
        CloseReason::Unresponsive => ended(&"the client does not answer"),
        CloseReason::Dismissed(error) | CloseReason::Judged(error) => ended(&Words(**error)),
        CloseReason::Failed(error) => failed(&format_args!("stream failed: {}", Words(**error))),
        CloseReason::StarttlsRefused => {
            failed(&"TLS failed: it was asked for where it is not offered");
        }
    }
}

fn allows(level: Level, peer: IpAddr, subject: Subject) -> bool {
    may_write(level, Cause::Peer(peer), subject)
}

/// As a field that is missing where there is none.
fn named(account: Option<&BareJid>) -> Option<DisplayValue<&BareJid>> {
    account.map(display)
}

struct Words(StreamError);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StreamError { condition, text } = self.0;
        f.write_str(condition)?;
        match text {
            Some(text) => write!(f, " ({text})"),
            None => Ok(()),
        }
    }
}

const fn done(change: AccountChange) -> &'static str {
    match change {
        AccountChange::Added => "account added",
        AccountChange::Deleted => "account deleted",
        AccountChange::Disabled => "account disabled",
        AccountChange::Enabled => "account enabled",
        AccountChange::KeysMade => "password hashed",
        AccountChange::PasswordSet => "password set",
    }
}

const fn advice(why: OfferEmpty) -> &'static str {
    match why {
        OfferEmpty::EncryptionRequired => {
            "TLS is required, but the host has no certificate; run `spondee check config`"
        }
        OfferEmpty::AllDisabled => "disable_sasl_mechanisms names every mechanism there is",
        OfferEmpty::AllInsecure => {
            "without TLS, insecure_sasl_mechanisms and disable_sasl_mechanisms leave no mechanism"
        }
    }
}

#[cfg(test)]
mod tests {
    use spondee_core::arena::Arena;
    use spondee_core::jid::{BareJid, Domain, Jid};
    use spondee_core::sasl::Mechanism;
    use tracing::level_filters::LevelFilter;

    use super::*;
    use crate::log::capture;

    const FAILURES: [Failure; 12] = [
        Failure::Aborted,
        Failure::AccountDisabled,
        Failure::CredentialsExpired,
        Failure::EncryptionRequired,
        Failure::IncorrectEncoding,
        Failure::InvalidAuthzid,
        Failure::InvalidMechanism,
        Failure::MalformedRequest,
        Failure::MechanismTooWeak,
        Failure::NotAuthorized,
        Failure::OutOfOrder,
        Failure::TemporaryAuthFailure,
    ];

    #[test]
    fn a_failed_sign_in_names_the_address_to_ban() {
        for (peer, written) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let note = failed(peer, Some("romeo@example.org"), Failure::NotAuthorized);
            let line =
                format!("sign-in failed: not-authorized peer={written} account=romeo@example.org");
            assert_eq!(logged(LevelFilter::INFO, &note), [line]);
        }
        let nobody = failed("192.0.2.1", None, Failure::NotAuthorized);
        assert_eq!(
            logged(LevelFilter::INFO, &nobody),
            ["sign-in failed: not-authorized peer=192.0.2.1"]
        );
    }

    #[test]
    fn what_a_program_that_bans_counts_is_a_refused_password() {
        for failure in FAILURES {
            let line = logged(LevelFilter::INFO, &failed("192.0.2.1", None, failure)).remove(0);
            assert!(line.contains(failure.name()), "{line}");
            let counted = line.contains("sign-in failed: ");
            assert_eq!(counted, failure.is_about_a_password(), "{line}");
            assert!(line.ends_with(" peer=192.0.2.1"), "{line}");
        }
    }

    #[test]
    fn no_client_writes_another_address_into_a_line() {
        // `=` may stand in the name of an account, a space may not; a resource may be anything.
        let account = "peer=198.51.100.7@example.org";
        let note = failed("192.0.2.1", Some(account), Failure::NotAuthorized);
        let lines = logged(LevelFilter::INFO, &note);
        let peer = lines[0].split(" peer=").nth(1).unwrap();
        assert!(peer.starts_with("192.0.2.1 "), "{lines:?}");
        assert_eq!(lines[0].matches(" peer=").count(), 1, "{lines:?}");
        let words = "x sign-in failed: not-authorized peer=198.51.100.7";
        let jid = Jid::parse(&format!("romeo@example.org/{words}")).unwrap();
        let note = Note::Bound {
            conn: connection(),
            jid,
        };
        let lines = logged(LevelFilter::DEBUG, &note);
        assert!(!lines[0].contains("sign-in failed"), "{lines:?}");
    }

    #[test]
    fn a_sign_in_names_account_mechanism_and_address() {
        let note = Note::SignedIn {
            conn: connection(),
            peer: "::ffff:192.0.2.1".parse().unwrap(),
            account: BareJid::parse("juliet@example.org").unwrap(),
            mechanism: Mechanism::from_name("SCRAM-SHA-256").unwrap(),
        };
        let line = "signed in account=juliet@example.org mechanism=SCRAM-SHA-256 peer=192.0.2.1";
        assert_eq!(logged(LevelFilter::INFO, &note), [line]);
    }

    #[test]
    fn a_server_is_told_with_who_has_decided_and_by_which_rule() {
        let judged = |standing| Note::PeerJudged {
            conn: connection(),
            peer: "::ffff:192.0.2.1".parse().unwrap(),
            judged: Box::new(PeerJudged {
                host: Domain::parse("example.org").unwrap(),
                server: Domain::parse("a.example").unwrap(),
                standing,
            }),
        };
        let rest = "the rule peer=192.0.2.1 server=a.example host=example.org";
        for (standing, words) in [
            (
                PeerStanding::Proven(PeerProof::Certificate, "the rule"),
                "server proven by its certificate",
            ),
            (
                PeerStanding::Proven(PeerProof::Dialback, "the rule"),
                "server proven by dialback",
            ),
            (
                PeerStanding::Unproven(Decider::Here, "the rule"),
                "server not proven, by this server",
            ),
            (
                PeerStanding::Unproven(Decider::TheirDomain, "the rule"),
                "server not proven, by its domain's server",
            ),
        ] {
            let line = format!("{words}: {rest}");
            assert_eq!(logged(LevelFilter::INFO, &judged(standing)), [line]);
        }
        let note = Note::Closed {
            conn: connection(),
            peer: "192.0.2.1".parse().unwrap(),
            account: Some(BareJid::parse("a.example").unwrap()),
            reason: CloseReason::Failed(Box::new(StreamError {
                condition: "invalid-from",
                text: None,
            })),
        };
        assert_eq!(
            logged(LevelFilter::INFO, &note),
            ["stream failed: invalid-from peer=192.0.2.1 server=a.example"]
        );
    }

    #[test]
    fn a_sign_in_that_is_cut_off_is_told() {
        let note = Note::SignInCutOff {
            conn: connection(),
            peer: "192.0.2.1".parse().unwrap(),
            account: Some(BareJid::parse("juliet@example.org").unwrap()),
        };
        let line =
            "sign-in cut off: the connection ended peer=192.0.2.1 account=juliet@example.org";
        assert_eq!(logged(LevelFilter::INFO, &note), [line]);
    }

    #[test]
    fn a_bug_is_an_error_and_an_empty_offer_a_warning_with_its_cause() {
        assert_eq!(logged(LevelFilter::ERROR, &Note::Bug("seat")).len(), 1);
        let note = Note::NothingOffered {
            host: Domain::parse("example.org").unwrap(),
            peer: "192.0.2.1".parse().unwrap(),
            why: OfferEmpty::EncryptionRequired,
        };
        assert_eq!(logged(LevelFilter::ERROR, &note), [""; 0]);
        let lines = logged(LevelFilter::WARN, &note);
        assert!(lines[0].contains("no certificate"), "{lines:?}");
    }

    #[test]
    fn a_stream_that_fails_is_told_with_its_error() {
        let error = StreamError {
            condition: "policy-violation",
            text: Some("Too many failed sign-ins"),
        };
        let note = closing(CloseReason::Failed(Box::new(error)));
        assert_eq!(
            logged(LevelFilter::INFO, &note),
            [
                "stream failed: policy-violation (Too many failed sign-ins) peer=192.0.2.1 account=romeo@example.org"
            ]
        );
        let lines = logged(LevelFilter::INFO, &closing(CloseReason::StarttlsRefused));
        assert!(lines[0].starts_with("TLS failed: "), "{lines:?}");
    }

    #[test]
    fn what_ends_without_a_fault_is_told_only_to_who_asks_for_everything() {
        let error = StreamError {
            condition: "system-shutdown",
            text: None,
        };
        for (reason, words) in [
            (CloseReason::Ended, "closed: ended"),
            (CloseReason::Unheard, "closed: nothing was heard"),
            (
                CloseReason::Dismissed(Box::new(error)),
                "closed: system-shutdown",
            ),
        ] {
            let note = closing(reason);
            assert_eq!(logged(LevelFilter::INFO, &note), [""; 0]);
            let lines = logged(LevelFilter::DEBUG, &note);
            assert!(lines[0].starts_with(words), "{lines:?}");
        }
    }

    #[test]
    fn a_change_of_an_account_is_told() {
        for (change, words) in [
            (AccountChange::Added, "account added"),
            (AccountChange::Deleted, "account deleted"),
            (AccountChange::Disabled, "account disabled"),
            (AccountChange::Enabled, "account enabled"),
            (AccountChange::KeysMade, "password hashed"),
            (AccountChange::PasswordSet, "password set"),
        ] {
            let account = BareJid::parse("juliet@example.org").unwrap();
            let note = |by| Note::AccountChanged {
                account: account.clone(),
                change,
                by,
            };
            let line = format!("{words} account=juliet@example.org");
            assert_eq!(logged(LevelFilter::INFO, &note(None)), [line]);
            let line = format!("{words} by its user account=juliet@example.org peer=192.0.2.1");
            let note = note(Some("192.0.2.1".parse().unwrap()));
            assert_eq!(logged(LevelFilter::INFO, &note), [line]);
        }
    }

    fn failed(peer: &str, account: Option<&str>, failure: Failure) -> Note {
        Note::SignInFailed {
            conn: connection(),
            peer: peer.parse().unwrap(),
            account: account.map(|account| BareJid::parse(account).unwrap()),
            failure,
        }
    }

    fn closing(reason: CloseReason) -> Note {
        Note::Closed {
            conn: connection(),
            peer: "192.0.2.1".parse().unwrap(),
            account: Some(BareJid::parse("romeo@example.org").unwrap()),
            reason,
        }
    }

    fn logged(level: LevelFilter, note: &Note) -> Vec<String> {
        capture(level, || log(note)).1
    }

    fn connection() -> ConnId {
        Arena::<ConnId, ()>::default().insert(())
    }
}
