//! `spondee reach`: what is shown, and which exit code says what.

use std::sync::{Arc, Mutex};

use spondee_core::envelope::placement::Placement;
use spondee_core::port::{
    Asked, Attempt, AttemptOutcome, CertificateNames, Chain, Command, CommandError, CommandReply,
    CommandResult, Features, Lookup, NameConstraints, Opening, Protocol, Reach, Reached, Resolved,
    Secured, SecuredBy, ServerCertificate, Target, TlsVersion, Unreached, Verdict,
};
use spondee_shell_common::config::Settings;
use spondee_shell_common::control::{Control, socket_path};
use spondee_shell_common::mailbox::{Letter, Mailbox};

use crate::place::{Outcome, Place};

/// A server that answers everything with this.
#[derive(Debug)]
struct Answering {
    control: Control,
    result: CommandResult,
    seen: Mutex<Vec<Command>>,
}

impl Mailbox for Answering {
    fn post(&self, letters: Vec<Letter>) {
        for letter in letters {
            if let Letter::Command(id, command) = letter {
                self.seen.lock().unwrap().push(command);
                self.control.answer(id, self.result.clone());
            }
        }
    }
}

/// What is said of a line while a server answers this, and what that was asked.
fn beside(place: &Place, line: &str, result: CommandResult) -> (Outcome, Vec<Command>) {
    let settings = Settings::load(&place.path("spondee.toml")).unwrap();
    std::fs::create_dir_all(&settings.data_directory).unwrap();
    let control = Control::new(socket_path(&settings.data_directory).unwrap());
    let shard = Arc::new(Answering {
        control: control.clone(),
        result,
        seen: Mutex::default(),
    });
    let mailbox: Arc<dyn Mailbox> = Arc::clone(&shard) as _;
    control
        .serve(vec![mailbox], Placement::new(&[0; 32], 1))
        .unwrap();
    let outcome = place.run(line, "");
    control.stop();
    let seen = shard.seen.lock().unwrap().clone();
    (outcome, seen)
}

fn told(verdict: Verdict) -> Reach {
    let target = Target {
        name: "xmpp.example.com".into(),
        port: 5223,
        opening: Opening::Tls,
    };
    let at = "192.0.2.1:5223".parse().unwrap();
    let certificate = ServerCertificate {
        verdict: Some(verdict),
        chain: Chain::Untrusted,
        names: CertificateNames {
            each: Vec::new(),
            constraints: NameConstraints::None,
        },
        fingerprint: [0xab; 32],
    };
    Reach {
        asked: vec![Asked {
            lookup: Lookup::Services("_xmpp-client._tcp.example.com".into()),
            outcome: Some(Resolved::NoName),
        }],
        attempts: vec![Attempt {
            target: target.clone(),
            to: at,
            outcome: AttemptOutcome::Reached,
        }],
        outcome: Ok(Box::new(Reached {
            target,
            at,
            tls: Some(Secured {
                by: SecuredBy::DirectTls,
                version: TlsVersion::V1_3,
                suite: "TLS_AES_128_GCM_SHA256",
                certificate: Some(Box::new(certificate)),
            }),
            features: Features::default(),
        })),
    }
}

fn reply(reach: Reach) -> CommandResult {
    Ok(CommandReply::Reached(Box::new(reach)))
}

#[test]
fn a_domain_that_is_reached_as_it_should_be_is_code_0() {
    let place = Place::new();
    let good = reply(told(Verdict::Good));
    let (done, seen) = beside(&place, "spondee reach example.com --server", good.clone());
    let shown = &done.is_done().out;
    assert!(shown.starts_with("example.com, as a server\n"), "{shown}");
    assert!(
        shown.contains("TLS 1.3 with TLS_AES_128_GCM_SHA256 by direct TLS\n"),
        "{shown}"
    );
    let [Command::Reach { domain, service }] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(domain.as_str(), "example.com");
    assert_eq!(*service, Protocol::XmppServer);
    let (done, _) = beside(&place, "spondee reach example.com --json", good);
    let json: serde_json::Value = serde_json::from_str(&done.is_done().out).unwrap();
    assert_eq!(json["outcome"]["reached"]["tls"]["version"], "1.3");
    assert_eq!(json["asked"][0]["answer"], "no-name");
}

#[test]
fn a_domain_that_is_not_reached_or_not_safely_is_code_1_and_all_is_shown() {
    let place = Place::new();
    let unreached = Reach {
        outcome: Err(Unreached::NoService),
        ..told(Verdict::Good)
    };
    for (reach, why) in [
        (told(Verdict::Expired), "has expired"),
        (told(Verdict::OtherName), "for other names"),
        (unreached, "it says that it has no such service"),
    ] {
        for line in [
            "spondee reach example.com",
            "spondee reach example.com --json",
        ] {
            let (outcome, _) = beside(&place, line, reply(reach.clone()));
            outcome.is_refused(1, why);
            assert!(outcome.out.contains("192.0.2.1:5223"), "{outcome:?}");
        }
    }
}

#[test]
fn whoever_cannot_be_asked_is_code_3_and_says_what_to_do() {
    let place = Place::new();
    let alone = place.run("spondee reach example.com", "");
    alone.is_refused(3, "no server runs");
    alone.is_refused(3, "`spondee check tls example.com`");
    let full = Err(CommandError::Reaching);
    let (outcome, _) = beside(&place, "spondee reach example.com", full);
    outcome.is_refused(3, "try again in a minute");
    place
        .run("spondee reach juliet@example.com", "")
        .is_refused(2, "what stands behind the @");
}
