//! Servers that connect: what reaches accounts, what is noted, who may stay, and that nothing is left.

mod bounds;

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::components::component;
use super::stage::{Stage, config};
use crate::archive::Policy;
use crate::config::{Config, TlsAvailable};
use crate::federation::{
    AllowEncryption, Allowed, PolicyOptions, RequireEncryption, Rules, SecureAuth,
};
use crate::jid::Domain;
use crate::limits::{S2S_IDLE, S2S_REFUSED_FOR};
use crate::port::{
    CertificateName, CertificateNames, Chain, CloseReason, NameConstraints, Note, Opening,
    PeerStanding, ServerCertificate, Standing, Verdict,
};
use crate::testing::{Ended, Peer, Step, World};
use crate::time::UnixTime;

const HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
     xmlns:stream='http://etherx.jabber.org/streams' from='a.example' to='localhost' version='1.0'>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";

fn open_config(shards: u16) -> Config {
    let mut config = config(Policy::Always, shards);
    for host in config.accounts_mut() {
        host.tls = TlsAvailable::Yes;
    }
    config.federation.rules = Rules::new(PolicyOptions {
        allow_encryption: AllowEncryption::Yes,
        require_encryption: RequireEncryption::Yes,
        secure_auth: SecureAuth::No,
        secure_domains: BTreeSet::new(),
        insecure_domains: BTreeSet::new(),
        allowed: Allowed::All,
        refused: BTreeSet::new(),
    })
    .unwrap();
    config
}

/// Servers that connect show a certificate for `a.example`.
fn stage(shards: u16) -> Stage {
    stage_of(open_config(shards))
}

fn stage_of(config: Config) -> Stage {
    let mut world = World::new(config);
    world.server = Some(Box::new(ServerCertificate {
        verdict: Some(Verdict::Good),
        chain: Chain::Valid {
            until: UnixTime(1_900_000_000_000),
        },
        names: CertificateNames {
            each: [CertificateName::Dns("a.example".into())].into(),
            constraints: NameConstraints::None,
        },
        fingerprint: [1; 32],
    }));
    Stage { world }
}

impl Stage {
    fn server_says(&mut self, peer: Peer, words: &str) -> String {
        self.write(peer, words);
        self.world.run();
        self.heard(peer)
    }

    /// A server that has TLS and our features.
    fn server(&mut self) -> Peer {
        let peer = self.world.connect_server(Opening::Tls);
        self.world.secure(peer);
        self.server_says(peer, HEADER);
        peer
    }

    /// The same, to a component.
    fn proven_to(&mut self, name: &str) -> Peer {
        let header = HEADER.replace("localhost", name);
        let peer = self.world.connect_server(Opening::Tls);
        self.world.secure(peer);
        for words in [header.as_str(), AUTH, header.as_str()] {
            self.server_says(peer, words);
        }
        peer
    }

    /// `a.example`, by EXTERNAL.
    fn proven(&mut self) -> Peer {
        let peer = self.server();
        for words in [AUTH, HEADER] {
            self.server_says(peer, words);
        }
        peer
    }

    /// What is noted of servers, and of ends.
    fn noted(&mut self) -> Vec<String> {
        let notes = core::mem::take(&mut self.world.notes);
        notes.iter().filter_map(in_words).collect()
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "others are not about servers"
)]
fn in_words(note: &Note) -> Option<String> {
    match note {
        Note::PeerJudged { judged, .. } => {
            let (server, host) = (&judged.server, &judged.host);
            let standing = match judged.standing {
                PeerStanding::Proven(proof, _) => format!("{proof:?}"),
                PeerStanding::Unproven(by, why) => format!("{by:?}: {why}"),
            };
            Some(format!(
                "{} to {}: {standing}",
                server.as_str(),
                host.as_str()
            ))
        }
        Note::Closed {
            account, reason, ..
        } => {
            let account = account
                .as_ref()
                .map_or("nobody", |account| account.as_str());
            Some(match reason {
                CloseReason::Judged(error) => format!("{account} judged: {}", error.condition),
                CloseReason::Failed(error) => format!("{account} failed: {}", error.condition),
                CloseReason::Dismissed(error) => {
                    format!("{account} dismissed: {}", error.condition)
                }
                CloseReason::Ended => format!("{account} ended"),
                CloseReason::Unheard => "unheard".to_owned(),
                CloseReason::Unresponsive | CloseReason::StarttlsRefused => format!("{reason:?}"),
            })
        }
        Note::Bug(what) => panic!("{what}"),
        _ => None,
    }
}

#[test]
fn what_a_proven_server_says_reaches_accounts_on_every_shard() {
    for shards in 1..4 {
        let mut stage = stage(shards);
        let peer = stage.proven();
        for shard in 0..usize::from(shards) {
            let account = stage.account(shard, 0);
            let juliet = stage.available(&account, "balcony");
            let from = "romeo@a.example/x";
            stage.server_says(
                peer,
                &format!(
                    "<message from='{from}' to='{account}' type='chat'><body>soft</body></message>\
                     <iq type='get' id='v' from='{from}' to='{account}/balcony'>\
                     <query xmlns='jabber:iq:version'/></iq>\
                     <presence from='romeo@a.example' to='{account}' type='subscribe'/>"
                ),
            );
            let heard = stage.heard(juliet);
            for part in [
                "<body>soft</body>",
                "<query xmlns='jabber:iq:version'/>",
                "type='subscribe'",
                "from='romeo@a.example/x'",
                "from='romeo@a.example'",
            ] {
                assert!(heard.contains(part), "{part}: {heard}");
            }
        }
        assert_eq!(
            stage.heard(peer),
            "",
            "nothing of ours goes on their stream"
        );
        stage.no_bugs();
    }
}

#[test]
fn a_message_waits_for_who_is_away_and_a_contact_is_kept() {
    let mut stage = stage(1);
    let account = stage.account(0, 0);
    let peer = stage.proven();
    stage.server_says(
        peer,
        &format!(
            "<presence from='romeo@a.example' to='{account}' type='subscribe'/>\
             <message from='romeo@a.example/x' to='{account}' type='chat'><body>later</body></message>"
        ),
    );
    let juliet = stage.session(&account, "balcony", super::stage::Counts::No);
    let heard = stage.server_says(juliet, "<presence/>");
    assert!(heard.contains("<body>later</body>"), "{heard}");
    assert!(heard.contains("type='subscribe'"), "{heard}");
    // She agrees, and what he does from now on counts.
    stage.server_says(
        juliet,
        "<presence to='romeo@a.example' type='subscribed'/><presence to='romeo@a.example' type='subscribe'/>",
    );
    stage.server_says(
        peer,
        &format!(
            "<presence from='romeo@a.example' to='{account}' type='subscribed'/>\
             <presence from='romeo@a.example/x' to='{account}'><show>away</show></presence>\
             <presence from='romeo@a.example' to='{account}' type='probe'/>"
        ),
    );
    let heard = stage.heard(juliet);
    assert!(heard.contains("<show>away</show>"), "{heard}");
    stage.no_bugs();
}

#[test]
fn who_has_proven_something_keeps_its_place() {
    let mut stage = stage(1);
    let stranger = stage.server();
    assert_eq!(stage.world.standing(stranger), Standing::Stranger);
    stage.world.evict(stranger);
    assert_eq!(stage.world.ended(stranger), Some(Ended::Closed));
    let peer = stage.proven();
    assert_eq!(stage.world.standing(peer), Standing::Member);
    stage.world.evict(peer);
    assert_eq!(stage.world.ended(peer), None);
    // At its end it has none any more.
    let heard = stage.server_says(peer, "<message from='b.example' to='localhost'/>");
    assert!(heard.contains("<invalid-from "), "{heard}");
    assert_eq!(stage.world.standing(peer), Standing::Stranger);
    assert_eq!(
        stage.noted(),
        [
            "a.example failed: resource-constraint",
            "a.example to localhost: Certificate",
            "a.example failed: invalid-from",
        ]
    );
}

#[test]
fn each_outcome_is_noted_once() {
    let mut stage = stage(1);
    let peer = stage.server();
    // The stand-in of links knows nobody.
    let heard = stage.server_says(
        peer,
        "<db:result from='b.example' to='localhost'>x</db:result>",
    );
    assert!(heard.contains("<remote-server-not-found "), "{heard}");
    assert_eq!(
        stage.noted(),
        ["b.example to localhost: Here: DNS knows no server of the domain that could be asked"]
    );
    let heard = stage.server_says(
        peer,
        "<db:result from='localhost' to='localhost'>x</db:result>",
    );
    assert!(heard.contains("<policy-violation "), "{heard}");
    assert_eq!(
        stage.noted(),
        [
            "localhost to localhost: Here: the domain is served here",
            "a.example judged: policy-violation"
        ]
    );
    // Signing in by another name, until it is enough.
    let peer = stage.server();
    let auth = AUTH.replace(">=<", ">Yi5leGFtcGxl<").repeat(3);
    let heard = stage.server_says(peer, &auth);
    assert_eq!(heard.matches("<invalid-authzid/>").count(), 3, "{heard}");
    assert!(heard.contains("<policy-violation "), "{heard}");
    let failed = "a.example to localhost: Here: invalid-authzid";
    assert_eq!(
        stage.noted(),
        [failed, failed, failed, "a.example failed: policy-violation"]
    );
}

#[test]
fn who_says_nothing_leaves_no_line() {
    for opening in [Opening::Clear, Opening::Tls] {
        let mut stage = stage(1);
        let peer = stage.world.connect_server(opening);
        stage.world.hang_up(peer);
        stage.world.run();
        assert_eq!(stage.noted(), ["unheard"]);
    }
}

#[test]
fn a_stream_that_is_silent_for_an_hour_is_closed_in_order() {
    let mut stage = stage(1);
    let peer = stage.proven();
    stage.noted();
    stage.world.advance(S2S_IDLE);
    stage.world.run();
    assert_eq!(stage.heard(peer), "</stream:stream>");
    assert_eq!(stage.world.standing(peer), Standing::Stranger);
    assert_eq!(stage.noted(), ["nobody ended"]);
    assert_eq!(stage.world.ended(peer), None);
    stage.server_says(peer, "</stream:stream>");
    assert_eq!(stage.world.ended(peer), Some(Ended::Closed));
}

#[test]
fn a_stop_and_a_host_that_goes_end_streams() {
    let mut stage = stage(1);
    let peer = stage.proven();
    stage.noted();
    let mut without = open_config(1);
    without.hosts.clear();
    stage.world.reload(without);
    let heard = stage.heard(peer);
    assert!(heard.contains("<host-gone "), "{heard}");
    assert_eq!(stage.noted(), ["a.example dismissed: host-gone"]);
    let mut stage = self::stage(1);
    let peer = stage.proven();
    stage.world.shut_down();
    let heard = stage.heard(peer);
    assert!(heard.contains("<system-shutdown "), "{heard}");
}

#[test]
fn rules_that_change_hold_for_streams_that_are_there() {
    let mut stage = stage(1);
    let peer = stage.proven();
    stage.noted();
    stage.world.reload(open_config(1));
    assert_eq!(stage.heard(peer), "");
    let mut changed = open_config(1);
    changed.federation.rules = Rules::isolated();
    stage.world.reload(changed);
    let heard = stage.heard(peer);
    assert!(heard.contains("<policy-violation "), "{heard}");
    assert_eq!(stage.noted(), ["a.example failed: policy-violation"]);
}

#[test]
fn who_reads_no_answers_is_read_no_more() {
    let mut config = open_config(1);
    config.limits.session_queue_bytes = 128 * 1024;
    let mut stage = stage_of(config);
    let peer = stage.proven();
    stage.world.stop_taking(peer);
    let question = "<db:result from='a.example' to='localhost'>x</db:result>";
    let mut written = 0;
    while stage.world.reads(peer) {
        assert!(written < 1024 * 1024);
        stage.write(peer, &question.repeat(16));
        stage.world.run();
        written += 16 * question.len();
    }
    assert!(stage.world.owed(peer) < 128 * 1024);
    stage.world.take_again(peer);
    stage.world.run();
    assert!(stage.world.reads(peer));
    stage.no_bugs();
}

#[test]
fn a_server_that_writes_faster_than_another_shard_takes_waits() {
    let mut stage = stage(2);
    let peer = stage.proven();
    let (here, _) = stage.world.seat(peer).unwrap();
    let account = stage.account(1 - here, 0);
    let message = format!(
        "<message from='romeo@a.example' to='{account}'><body>{}</body></message>",
        "x".repeat(60_000)
    );
    let mut waited = false;
    for _ in 0..200 {
        stage.write(peer, &message);
        // The other shard takes nothing.
        let goes_on = |step: &Step| matches!(step, Step::Read(_)) || *step == Step::Drain(here);
        while let Some(step) = stage.world.steps().into_iter().find(goes_on) {
            stage.world.step(step);
        }
        waited |= !stage.world.reads(peer);
    }
    assert!(waited);
    stage.world.run();
    assert!(stage.world.reads(peer));
    stage.no_bugs();
}

#[test]
fn nothing_is_left_of_servers_that_were_there() {
    let mut stage = stage(2);
    let before = stage.world.residue();
    let peers: Vec<_> = (0..4).map(|_| stage.proven()).collect();
    let claims = stage.server();
    stage.server_says(
        claims,
        "<db:result from='b.example' to='localhost'>x</db:result>",
    );
    for peer in peers.into_iter().chain([claims]) {
        stage.world.hang_up(peer);
    }
    stage.world.run();
    // That there is no such server is known for a while.
    stage.world.advance(S2S_REFUSED_FOR);
    assert_eq!(stage.world.residue(), before);
    stage.no_bugs();
}

#[test]
fn a_server_reaches_a_component_as_it_reaches_a_host() {
    for shards in [1, 3] {
        let mut config = open_config(shards);
        let name = Domain::parse("irc.localhost").unwrap();
        config.hosts.insert(name, component("s3cret"));
        let mut stage = stage_of(config);
        let gateway = stage.serves(0);
        let server = stage.proven_to("irc.localhost");
        let said = stage.server_says(
            server,
            "<message from='romeo@a.example/x' to='nurse@irc.localhost' id='1'><body>1</body></message>",
        );
        assert_eq!(said, "");
        let heard = stage.heard(gateway);
        assert!(heard.contains("from='romeo@a.example/x'"), "{heard}");
        assert!(heard.contains("<body>1</body>"), "{heard}");
        stage.no_bugs();
    }
}
