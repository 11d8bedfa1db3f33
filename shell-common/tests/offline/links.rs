//! `spondee s2s …`: what is asked of a server, what is shown, by which configuration, and which exit code says what.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use spondee_core::envelope::placement::Placement;
use spondee_core::federation::{
    AllowEncryption, Allowed, Facts, Method, Methods, NameMatch, OwnCertificate, PeerCertificate,
    PolicyOptions, RequireEncryption, Rules, SecureAuth, Side, StarttlsOffer, Tls, Tried, Try,
    Weighed, Whose, conclude,
};
use spondee_core::jid::Domain;
use spondee_core::port::{
    Chain, Command, CommandReply, Explained, Features, LinkReply, LinkTask, LinksClosed, Opening,
    Reach, Reached, Target, TlsVersion,
};
use spondee_shell_common::config::Settings;
use spondee_shell_common::control::{Control, socket_path};
use spondee_shell_common::mailbox::{Letter, Mailbox};

use crate::place::{Outcome, Place};

/// A server that has seen a certificate that has signed itself.
#[derive(Debug)]
struct Answering {
    control: Control,
    seen: Mutex<Vec<LinkTask>>,
}

impl Mailbox for Answering {
    fn post(&self, letters: Vec<Letter>) {
        for letter in letters {
            let Letter::Command(id, Command::Links(task)) = letter else {
                continue;
            };
            self.seen.lock().unwrap().push(task.clone());
            let reply = match task {
                LinkTask::Explain { ours, domain } => explained(ours, &domain),
                LinkTask::List { .. } => LinkReply::Listed(Vec::new(), false),
                LinkTask::Close { .. } => LinkReply::Closed(LinksClosed {
                    links: 1,
                    ..LinksClosed::default()
                }),
            };
            self.control.answer(id, Ok(CommandReply::Links(reply)));
        }
    }
}

fn explained(ours: Domain, theirs: &Domain) -> LinkReply {
    let rules = Rules::new(PolicyOptions {
        allow_encryption: AllowEncryption::Yes,
        require_encryption: RequireEncryption::Yes,
        secure_auth: SecureAuth::Yes,
        secure_domains: BTreeSet::new(),
        insecure_domains: BTreeSet::new(),
        allowed: Allowed::All,
        refused: BTreeSet::new(),
    });
    let rules = rules.unwrap();
    let facts = |tls| Facts {
        ours: ours.clone(),
        own: OwnCertificate::Present,
        side: Side::Out(theirs.clone()),
        whose: Whose::Others,
        tls,
        methods: Methods {
            external: Method::Absent,
            dialback: Method::Offered,
        },
        tried: Tried {
            starttls: Try::Untried,
            external: Try::Untried,
            dialback: Try::Untried,
        },
    };
    let certificate = PeerCertificate::Shown {
        chain: Chain::SelfSigned,
        names: NameMatch::Dns,
    };
    let both = [
        facts(Tls::Clear(StarttlsOffer::Required)),
        facts(Tls::Up {
            version: TlsVersion::V1_3,
            opening: Opening::Clear,
            certificate,
        }),
    ];
    let conclusion = conclude(&rules, (theirs, Whose::Others), &both);
    let known = both.map(|facts| (0, Weighed::by(&rules, facts)));
    let target = Target {
        name: "xmpp.example.com".into(),
        port: 5269,
        opening: Opening::Clear,
    };
    LinkReply::Explained(Box::new(Explained {
        ours,
        reach: Reach {
            asked: Vec::new(),
            attempts: Vec::new(),
            outcome: Ok(Box::new(Reached {
                target,
                at: "192.0.2.1:5269".parse().unwrap(),
                tls: None,
                features: Features::default(),
            })),
        },
        known: known.into(),
        conclusion,
    }))
}

/// What is said of a line while that server runs, and what it was asked.
fn beside(place: &Place, line: &str) -> (Outcome, Vec<LinkTask>) {
    let settings = Settings::load(&place.path("spondee.toml")).unwrap();
    std::fs::create_dir_all(&settings.data_directory).unwrap();
    let control = Control::new(socket_path(&settings.data_directory).unwrap());
    let shard = Arc::new(Answering {
        control: control.clone(),
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

#[test]
fn who_is_refused_now_is_code_1_and_by_another_configuration_there_would_be_a_link() {
    let place = Place::new();
    let (outcome, seen) = beside(&place, "spondee s2s explain example.com");
    assert_eq!(outcome.code, 1);
    let why = "no link, by this server: a certificate is needed, and this one has signed itself";
    assert_eq!(outcome.err, format!("spondee: example.com: {why}\n"));
    assert!(
        outcome.out.contains(&format!("\n  result: {why}\n")),
        "{}",
        outcome.out
    );
    let [
        LinkTask::Explain { ours, .. },
        LinkTask::List { domain: Some(of) },
    ] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert_eq!((ours.as_str(), of.as_str()), ("example.net", "example.com"));

    let file = place.path("new.toml");
    let text = "data_directory = \"data\"\ns2s_insecure_domains = [\"example.com\"]\n[host.\"example.org\"]\n";
    std::fs::write(&file, text).unwrap();
    let line = format!(
        "spondee s2s explain example.com --from example.org --what-if {}",
        file.display()
    );
    let (outcome, seen) = beside(&place, &line);
    assert!(matches!(&seen[0], LinkTask::Explain { ours, .. } if ours.as_str() == "example.org"));
    let shown = &outcome.is_done().out;
    assert!(shown.contains(&format!("\n  now: {why}\n")), "{shown}");
    let with = format!(
        "\n  with {}: a link, who we are is proven by dialback\n",
        file.display()
    );
    assert!(shown.contains(&with), "{shown}");
    let (outcome, _) = beside(&place, &(line + " --json"));
    let json: serde_json::Value = serde_json::from_str(&outcome.is_done().out).unwrap();
    assert_eq!(
        json["conclusion"]["refused"]["rule"],
        "certificate-self-signed"
    );
    assert_eq!(
        json["what_if"]["conclusion"]["link"]["verdict"]["rule"],
        "dialback"
    );
}

#[test]
fn a_configuration_that_bars_a_domain_is_code_1_and_one_that_is_none_is_code_3() {
    let place = Place::new();
    let file = place.path("new.toml");
    let text = "data_directory = \"data\"\ns2s_refused_domains = [\"example.com\"]\n[host.\"example.org\"]\n";
    std::fs::write(&file, text).unwrap();
    let line = format!(
        "spondee s2s explain example.com --what-if {}",
        file.display()
    );
    let (outcome, _) = beside(&place, &line);
    assert_eq!(outcome.code, 1);
    let why = "no link, by this server: the domain is among those that must not be talked to";
    assert_eq!(outcome.err, format!("spondee: example.com: {why}\n"));
    std::fs::write(&file, "s2s_secure_auth = 3").unwrap();
    let (outcome, seen) = beside(&place, &line);
    assert_eq!((outcome.code, seen.len()), (3, 0));
}

#[test]
fn links_are_listed_and_closed_by_the_server_that_runs() {
    let place = Place::new();
    let (outcome, _) = beside(&place, "spondee s2s list");
    assert_eq!(outcome.is_done().out, "there are no links\n");
    let (outcome, seen) = beside(&place, "spondee s2s list example.com --json");
    let json: serde_json::Value = serde_json::from_str(&outcome.is_done().out).unwrap();
    assert_eq!(json, serde_json::json!({"links": [], "more": false}));
    assert!(matches!(&seen[..], [LinkTask::List { domain: Some(_) }]));
    let (outcome, _) = beside(&place, "spondee s2s close example.com");
    assert_eq!(outcome.is_done().out, "1 link closed\n");
    let outcome = place.run("spondee s2s list", "");
    assert_eq!(outcome.code, 3);
    assert!(outcome.err.contains("start it"), "{}", outcome.err);
}
