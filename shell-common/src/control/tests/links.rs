//! What is asked of links and told of them, through the socket.

use spondee_core::federation::{
    self, AllowEncryption, Allowed, Conclusion, Facts, LinkFailure, Method, Methods, NameMatch,
    OwnCertificate, PeerCertificate, PolicyOptions, RequireEncryption, Rules, SecureAuth, Side,
    StarttlsOffer, Tls, Tried, Try, Unreached, Weighed, Whose,
};
use spondee_core::port::{
    Direction, Explained, LinkProof, LinkReply, LinkShown, LinkState, LinkTask, LinkTls,
    LinksClosed, QueueShown, Reach,
};

use super::*;
use crate::control::linking::{self, Told};

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn rules() -> Rules {
    Rules::new(PolicyOptions {
        allow_encryption: AllowEncryption::Yes,
        require_encryption: RequireEncryption::Yes,
        secure_auth: SecureAuth::Yes,
        secure_domains: [].into(),
        insecure_domains: [].into(),
        allowed: Allowed::All,
        refused: [].into(),
    })
    .unwrap()
}

fn facts(tls: Tls) -> Facts {
    Facts {
        ours: domain("x.example"),
        own: OwnCertificate::Present,
        side: Side::Out(domain("y.example")),
        whose: Whose::Others,
        tls,
        methods: Methods {
            external: Method::Offered,
            dialback: Method::Absent,
        },
        tried: Tried {
            starttls: Try::Failed,
            external: Try::Untried,
            dialback: Try::Failed,
        },
    }
}

const CHAINS: [Chain; 7] = [
    Chain::Valid {
        until: UnixTime(1_795_316_645_000),
    },
    Chain::Expired {
        on: UnixTime(1_795_316_645_000),
    },
    Chain::NotYetValid {
        from: UnixTime(1_795_316_645_000),
    },
    Chain::SelfSigned,
    Chain::Untrusted,
    Chain::WrongUse,
    Chain::Unreadable,
];

#[test]
fn facts_come_back_as_they_were_so_that_other_rules_judge_the_same() {
    let names = [
        NameMatch::Xmpp,
        NameMatch::Srv,
        NameMatch::Dns,
        NameMatch::Mismatch,
        NameMatch::Nameless,
    ];
    let shown = CHAINS
        .into_iter()
        .flat_map(|chain| names.map(|names| PeerCertificate::Shown { chain, names }));
    let certificates = shown.chain([PeerCertificate::None]);
    let up = certificates.flat_map(|certificate| {
        [
            (TlsVersion::V1_2, Opening::Clear),
            (TlsVersion::V1_3, Opening::Tls),
        ]
        .map(|(version, opening)| Tls::Up {
            version,
            opening,
            certificate,
        })
    });
    let clear = [
        StarttlsOffer::Absent,
        StarttlsOffer::Offered,
        StarttlsOffer::Required,
    ];
    for tls in up.chain(clear.map(Tls::Clear)).chain([Tls::Failed]) {
        let facts = facts(tls);
        let told = serde_json::to_string(&linking::Facts::from(&facts)).unwrap();
        let told: linking::Facts = serde_json::from_str(&told).unwrap();
        assert_eq!(told.to(&domain("y.example")), Ok(facts));
    }
    let spoilt = linking::Facts {
        tls: linking::facts::Tls::Up {
            version: reaching::Version::V1_3,
            opening: reaching::Begins::Starttls,
            certificate: Some(linking::facts::Certificate {
                chain: linking::Chain::Valid {
                    until: "tomorrow".to_owned(),
                },
                names: linking::facts::Names::DnsName,
            }),
        },
        ..linking::Facts::from(&facts(Tls::Failed))
    };
    let error = spoilt.to(&domain("y.example")).unwrap_err();
    assert_eq!(error, "\"tomorrow\" is no time");
}

#[test]
fn what_is_explained_comes_from_the_shard_of_the_domain_as_it_is() {
    let server = Server::start();
    let command = Command::Links(LinkTask::Explain {
        domain: domain("y.example"),
        ours: domain("x.example"),
    });
    let path = server.control.path().to_owned();
    let asking = thread::spawn(move || links(&path, &command).unwrap());
    let (shard, id, arrived) = server.commands.recv().unwrap();
    assert_eq!(shard, server.placement.owner("y.example").shard);
    assert!(
        matches!(arrived, Command::Links(LinkTask::Explain { domain, ours })
        if domain.as_str() == "y.example" && ours.as_str() == "x.example")
    );
    let weighed = Weighed::by(&rules(), facts(Tls::Clear(StarttlsOffer::Absent)));
    let explained = Explained {
        ours: domain("x.example"),
        reach: Reach {
            asked: Vec::new(),
            attempts: Vec::new(),
            outcome: Err(Unreached::Policy(federation::Refusal::StarttlsAbsent)),
        },
        known: vec![(0, weighed.clone())],
        conclusion: Conclusion::Refused(weighed.verdict),
    };
    let reply = LinkReply::Explained(Box::new(explained.clone()));
    server.control.answer(id, Ok(CommandReply::Links(reply)));
    let Told::Explained(came) = asking.join().unwrap().unwrap() else {
        panic!("something else");
    };
    assert_eq!(*came, linking::Explained::from(explained));
    let json = serde_json::to_value(&*came).unwrap();
    assert_eq!(json["conclusion"]["refused"]["rule"], "starttls-absent");
    assert_eq!(json["failure"]["by"], "this-server");
    assert_eq!(json["failure"]["condition"], "remote-server-timeout");
    assert_eq!(
        json["known"][0]["verdict"]["trail"][0]["rule"],
        "secure-auth"
    );
}

fn shown(theirs: &str) -> LinkShown {
    LinkShown {
        direction: Direction::Out,
        ours: domain("x.example"),
        theirs: domain(theirs),
        state: LinkState::Waiting(Duration::from_secs(7)),
        since: None,
        peer: Some("192.0.2.1:5269".parse().unwrap()),
        proof: Some(LinkProof::External),
        tls: Some(LinkTls {
            version: TlsVersion::V1_3,
            suite: "TLS_AES_128_GCM_SHA256",
            certificate: Some(Box::new(ServerCertificate {
                verdict: None,
                chain: CHAINS[0],
                names: CertificateNames {
                    each: vec![
                        port::CertificateName::Dns("y.example".into()),
                        port::CertificateName::Srv("z".repeat(300).into()),
                    ],
                    constraints: NameConstraints::None,
                },
                fingerprint: [0x0f; 32],
            })),
        }),
        queue: QueueShown {
            stanzas: 3,
            bytes: 900,
            unconfirmed: 1,
        },
        failure: Some(LinkFailure::Unreached(Unreached::NoService, None)),
        verdict: None,
    }
}

/// Every shard answers this.
fn of_all(server: &Server, task: LinkTask, reply: impl Fn(u16) -> LinkReply) -> Told {
    let path = server.control.path().to_owned();
    let command = Command::Links(task);
    let asking = thread::spawn(move || links(&path, &command).unwrap());
    let mut asked = Vec::new();
    for _ in 0..4 {
        let (shard, id, _) = server.commands.recv().unwrap();
        asked.push(shard);
        server
            .control
            .answer(id, Ok(CommandReply::Links(reply(shard))));
    }
    assert_eq!(asked, [0, 1, 2, 3]);
    asking.join().unwrap().unwrap()
}

#[test]
fn links_of_all_shards_are_listed_and_closed_together() {
    let server = Server::start();
    let told = of_all(&server, LinkTask::List { domain: None }, |shard| {
        LinkReply::Listed(vec![shown(&format!("y{shard}.example"))], shard == 2)
    });
    let Told::Listed { links, more } = told else {
        panic!("{told:?}");
    };
    assert_eq!((links.len(), more), (4, true));
    let json = serde_json::to_value(&links[3]).unwrap();
    assert_eq!(json["theirs"], "y3.example");
    assert_eq!(json["state"], "waiting");
    assert_eq!(json["seconds_left"], 7);
    assert_eq!(json["method"], "external");
    let certificate = &json["tls"]["certificate"];
    assert_eq!(
        certificate["chain"]["valid"]["until"],
        "2026-11-22T03:04:05.000Z"
    );
    assert_eq!(certificate["names"][0], "y.example");
    let long = certificate["names"][1].as_str().unwrap();
    assert_eq!(long, format!("SRVName:{}", "z".repeat(255)));
    assert_eq!(json["failure"]["by"], "domain");
    assert_eq!(json["failure"]["text"], serde_json::Value::Null);

    let close = LinkTask::Close {
        domain: domain("y.example"),
    };
    let told = of_all(&server, close, |shard| {
        LinkReply::Closed(LinksClosed {
            links: 1,
            streams: shard.into(),
            cleared: 0,
        })
    });
    let closed = linking::Closed {
        links: 4,
        streams: 6,
        cleared: 0,
    };
    assert_eq!(told, Told::Closed(closed));
}
