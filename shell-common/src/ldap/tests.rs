//! Against directories that are made up here: how they fail. spec-tests/tests/ldap.rs has a real one.

mod desk;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::ber::{self, Bytes, ENUMERATED, INTEGER, OCTETS, Reader, SEQUENCE};
use super::*;

const BASE: &str = "dc=a";
const JULIET: &str = "uid=juliet,dc=a";

fn settings(server: &str) -> Settings {
    Settings {
        server: Server::parse(server).unwrap(),
        host: "a.example".to_owned(),
        service: Some(Service {
            name: "cn=spondee,dc=a".to_owned(),
            password: secret("service"),
        }),
        base: BASE.to_owned(),
        scope: Scope::Subtree,
        filter: Filter::default(),
        authorities: None,
        patience: Duration::from_secs(30),
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// A request, as far as a directory here looks at it.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Asked {
    Bind(String, Vec<u8>),
    Search,
    StartTls,
}

/// What a directory does about a request: bytes to send, or to close the connection.
type Answers = fn(u32, &Asked) -> Option<Vec<u8>>;

/// A directory that answers so, and what it was asked on each connection.
struct Fake {
    address: String,
    asked: Receiver<(usize, Asked)>,
}

impl Fake {
    fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, asked) = channel();
        thread::spawn(move || {
            for (number, socket) in listener.incoming().enumerate() {
                let sender = sender.clone();
                thread::spawn(move || serve(&socket.unwrap(), number, answers, &sender));
            }
        });
        Self { address, asked }
    }

    fn directory(&self) -> Directory {
        Directory::new(settings(&self.address)).unwrap()
    }

    /// On which connections something was asked, in order.
    fn connections(&self) -> Vec<usize> {
        self.asked.try_iter().map(|(number, _)| number).collect()
    }
}

fn serve(mut socket: &TcpStream, number: usize, answers: Answers, sender: &Sender<(usize, Asked)>) {
    while let Some((id, asked)) = request(socket) {
        // Nobody may want to know.
        let _ = sender.send((number, asked.clone()));
        match answers(id, &asked) {
            Some(bytes) => socket.write_all(&bytes).unwrap(),
            None => return,
        }
    }
}

fn request(mut socket: &TcpStream) -> Option<(u32, Asked)> {
    let mut header = [0; 2];
    socket.read_exact(&mut header).ok()?;
    let mut contents = vec![0; usize::from(header[1])];
    socket.read_exact(&mut contents).ok()?;
    let mut message = Reader(&contents);
    let id = message.number(INTEGER).unwrap();
    let (tag, contents) = message.next().unwrap()?;
    let mut contents = Reader(contents);
    let asked = match tag {
        0x60 => {
            contents.number(INTEGER).unwrap();
            let name = contents.text().unwrap();
            Asked::Bind(name, contents.expect(0x80).unwrap().to_vec())
        }
        0x63 => Asked::Search,
        0x77 => Asked::StartTls,
        // It takes leave.
        _ => return None,
    };
    Some((id, asked))
}

fn message(id: u32, operation: Bytes) -> Vec<u8> {
    ber::made_of(SEQUENCE, &[ber::number(INTEGER, id), operation]).to_vec()
}

fn result(id: u32, tag: u8, code: u32) -> Vec<u8> {
    let parts = [
        ber::number(ENUMERATED, code),
        ber::text(""),
        ber::text("words"),
    ];
    message(id, ber::made_of(tag, &parts))
}

fn entry(id: u32, name: &str) -> Vec<u8> {
    let parts = [ber::text(name), ber::made_of(SEQUENCE, &[])];
    message(id, ber::made_of(0x64, &parts))
}

/// One that knows Juliet, whose password is "secret".
fn good(id: u32, asked: &Asked) -> Option<Vec<u8>> {
    Some(match asked {
        Asked::Bind(name, password) => {
            let right: &[u8] = if name == JULIET {
                b"secret"
            } else {
                b"service"
            };
            result(id, 0x61, if password == right { 0 } else { 49 })
        }
        Asked::Search => [entry(id, JULIET), result(id, 0x65, 0)].concat(),
        Asked::StartTls => result(id, 0x78, 2),
    })
}

#[test]
fn an_entry_is_found_as_the_service_and_bound_as_itself_on_connections_that_are_kept() {
    let fake = Fake::start(good);
    let directory = fake.directory();
    assert_eq!(
        directory.verify("juliet", &secret("secret")),
        Verdict::Right
    );
    assert_eq!(directory.verify("juliet", &secret("wrong")), Verdict::Wrong);
    let service = Asked::Bind("cn=spondee,dc=a".to_owned(), b"service".to_vec());
    let own = |password: &str| Asked::Bind(JULIET.to_owned(), password.as_bytes().to_vec());
    let asked: Vec<_> = fake.asked.try_iter().collect();
    let expected = [
        service.clone(),
        Asked::Search,
        own("secret"),
        // Whoever was bound before.
        service,
        Asked::Search,
        own("wrong"),
    ];
    assert_eq!(asked, expected.map(|asked| (0, asked)));
}

/// RFC 4513 §5.1.2: some servers take such a bind for one that succeeded.
#[test]
fn an_empty_password_or_name_is_never_sent() {
    let fake = Fake::start(|id, asked| match asked {
        Asked::Bind(..) => Some(result(id, 0x61, 0)),
        Asked::Search | Asked::StartTls => good(id, asked),
    });
    let directory = fake.directory();
    assert_eq!(directory.verify("juliet", &secret("")), Verdict::Wrong);
    assert_eq!(directory.verify("", &secret("secret")), Verdict::NoSuchUser);
    assert_eq!(fake.connections(), [0; 0]);
}

#[test]
fn an_entry_without_a_name_is_nobodys() {
    let fake = Fake::start(|id, asked| match asked {
        Asked::Search => Some([entry(id, ""), result(id, 0x65, 0)].concat()),
        Asked::Bind(..) | Asked::StartTls => good(id, asked),
    });
    let verdict = fake.directory().verify("juliet", &secret("secret"));
    assert_eq!(verdict, Verdict::NoSuchUser);
}

/// Who is not found is not known sooner than who is, on a new connection and on one that is there.
#[test]
fn whoever_is_asked_for_it_takes_as_many_round_trips() {
    fn knows(id: u32, asked: &Asked, found: Vec<u8>) -> Option<Vec<u8>> {
        match asked {
            Asked::Search => Some([found, result(id, 0x65, 0)].concat()),
            Asked::Bind(..) | Asked::StartTls => good(id, asked),
        }
    }
    let cases: [(Answers, &str, Verdict); 6] = [
        (good, "secret", Verdict::Right),
        (good, "wrong", Verdict::Wrong),
        (
            |id, asked| knows(id, asked, vec![]),
            "secret",
            Verdict::NoSuchUser,
        ),
        // The directory says of nobody that the password is right, or that this is no name.
        (
            |id, asked| knows(id, asked, vec![]),
            "service",
            Verdict::NoSuchUser,
        ),
        (
            |id, asked| match asked {
                Asked::Bind(name, _) if name.starts_with("cn=nobody") => Some(result(id, 0x61, 34)),
                Asked::Bind(..) | Asked::StartTls | Asked::Search => knows(id, asked, vec![]),
            },
            "secret",
            Verdict::NoSuchUser,
        ),
        (
            |id, asked| knows(id, asked, entry(id, "")),
            "secret",
            Verdict::NoSuchUser,
        ),
    ];
    for (answers, password, expected) in cases {
        let fake = Fake::start(answers);
        let directory = fake.directory();
        for _ in 0..2 {
            assert_eq!(directory.verify("juliet", &secret(password)), expected);
            let asked: Vec<_> = fake.asked.try_iter().map(|(_, asked)| asked).collect();
            let [
                Asked::Bind(service, _),
                Asked::Search,
                Asked::Bind(name, tried),
            ] = &asked[..]
            else {
                panic!("{expected:?}: {asked:?}");
            };
            assert_eq!(
                (service.as_str(), tried.as_slice()),
                ("cn=spondee,dc=a", password.as_bytes())
            );
            assert_eq!(
                expected == Verdict::NoSuchUser,
                name.ends_with("asked for,dc=a"),
                "{name}"
            );
        }
    }
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced() {
    // It closes each connection behind the third answer.
    let fake = Fake::start(|id, asked| if id > 3 { None } else { good(id, asked) });
    let directory = fake.directory();
    for _ in 0..3 {
        assert_eq!(
            directory.verify("juliet", &secret("secret")),
            Verdict::Right
        );
    }
    let connections = fake.connections();
    assert_eq!(connections.last(), Some(&2), "{connections:?}");
}

#[test]
fn what_a_directory_says_of_a_bind_is_told_apart() {
    type Case = (Answers, Option<&'static str>);
    let cases: [Case; 6] = [
        (|id, asked| of_user(id, asked, 48), None),
        (|id, asked| of_user(id, asked, 50), None),
        (|id, asked| of_user(id, asked, 53), None),
        (|id, asked| of_user(id, asked, 32), None),
        (|id, asked| of_user(id, asked, 51), Some("busy (51): words")),
        (
            |id, asked| of_user(id, asked, 13),
            Some("confidentialityRequired (13)"),
        ),
    ];
    for (answers, expected) in cases {
        let verdict = Fake::start(answers)
            .directory()
            .verify("juliet", &secret("secret"));
        match (verdict, expected) {
            (Verdict::Wrong, None) => {}
            (Verdict::Unreachable(why), Some(words)) => assert!(why.contains(words), "{why}"),
            (verdict, expected) => panic!("{verdict:?} and not {expected:?}"),
        }
    }
}

fn of_user(id: u32, asked: &Asked, code: u32) -> Option<Vec<u8>> {
    match asked {
        Asked::Bind(name, _) if name == JULIET => Some(result(id, 0x61, code)),
        Asked::Bind(..) | Asked::Search | Asked::StartTls => good(id, asked),
    }
}

fn search_ends(id: u32, asked: &Asked, code: u32) -> Option<Vec<u8>> {
    match asked {
        Asked::Search => Some(result(id, 0x65, code)),
        Asked::Bind(..) | Asked::StartTls => good(id, asked),
    }
}

#[test]
fn what_stands_in_the_way_is_told_with_what_to_do() {
    let cases: [(Answers, &str); 9] = [
        (
            |id, asked| match asked {
                Asked::Bind(..) => Some(result(id, 0x61, 49)),
                Asked::Search | Asked::StartTls => good(id, asked),
            },
            "refuses cn=spondee,dc=a, by whom users are looked for (`ldap_rootdn`, `ldap_password`): invalidCredentials",
        ),
        (
            |id, asked| match asked {
                Asked::Search => {
                    Some([entry(id, JULIET), entry(id, "uid=j"), result(id, 0x65, 4)].concat())
                }
                Asked::Bind(..) | Asked::StartTls => good(id, asked),
            },
            "more than one entry",
        ),
        (
            |id, asked| search_ends(id, asked, 32),
            "there is no entry dc=a",
        ),
        (
            |id, asked| search_ends(id, asked, 50),
            "does not let cn=spondee,dc=a look for users",
        ),
        (
            |id, asked| search_ends(id, asked, 1),
            "does not look for users: operationsError (1)",
        ),
        (
            |_, _| Some(b"HTTP/1.1 400 Bad Request\r\n".to_vec()),
            "no LDAP",
        ),
        (
            |_, _| Some(vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]),
            "no LDAP",
        ),
        (|_, _| None, "it closed the connection"),
        (
            |_, _| Some(result(0, 0x78, 52)),
            "it disconnects: unavailable (52): words",
        ),
    ];
    for (answers, words) in cases {
        let fake = Fake::start(answers);
        let verdict = fake.directory().verify("juliet", &secret("secret"));
        let Verdict::Unreachable(why) = verdict else {
            panic!("{words}: {verdict:?}");
        };
        assert!(why.contains(words), "{words}: {why}");
        assert!(why.contains(&format!("ldap://{}", fake.address)), "{why}");
    }
}

#[test]
fn a_directory_that_answers_something_else_or_without_end_is_left() {
    let cases: [(Answers, &str); 3] = [
        // The answer to another question.
        (|id, asked| good(id + 1, asked), "what was not asked"),
        (|id, _| Some(result(id, 0x65, 0)), "what was not asked"),
        (
            |id, asked| match asked {
                Asked::Search => {
                    let one = message(id, ber::made_of(0x73, &[ber::element(OCTETS, b"ldap://b")]));
                    Some(one.repeat(1000))
                }
                Asked::Bind(..) | Asked::StartTls => good(id, asked),
            },
            "finds without end",
        ),
    ];
    for (answers, words) in cases {
        let verdict = Fake::start(answers)
            .directory()
            .verify("juliet", &secret("secret"));
        let is_it = matches!(&verdict, Verdict::Unreachable(why) if why.contains(words));
        assert!(is_it, "{words}: {verdict:?}");
    }
}

#[test]
fn a_directory_that_says_nothing_is_waited_for_no_longer_than_is_said() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let directory = Directory::new(Settings {
        patience: Duration::from_millis(50),
        ..settings(&address)
    })
    .unwrap();
    let verdict = directory.verify("juliet", &secret("secret"));
    let is_it = matches!(&verdict, Verdict::Unreachable(why) if why.contains("not answer in time"));
    assert!(is_it, "{verdict:?}");
    // And one that is not there.
    drop(silent);
    let verdict = directory.verify("juliet", &secret("secret"));
    let is_it = matches!(&verdict, Verdict::Unreachable(why) if why.contains("cannot connect to ldap://127"));
    assert!(is_it, "{verdict:?}");
}

#[test]
fn of_many_who_ask_at_once_as_many_are_served_as_there_are_connections() {
    let fake = Fake::start(good);
    let directory = fake.directory();
    thread::scope(|scope| {
        for number in 0..64 {
            let directory = &directory;
            scope.spawn(move || {
                let (password, expected) = match number % 2 {
                    0 => ("secret", Verdict::Right),
                    _ => ("wrong", Verdict::Wrong),
                };
                assert_eq!(directory.verify("juliet", &secret(password)), expected);
            });
        }
    });
    let most = fake.connections().into_iter().max().unwrap();
    assert!(most < crate::limits::LDAP_CONNECTIONS, "{most}");
}

/// What a server refuses is not done without.
#[test]
fn without_tls_that_was_asked_for_nothing_more_is_said() {
    let fake = Fake::start(good);
    let scratch = crate::scratch::Scratch::new();
    let authorities = scratch.path().join("ca.pem");
    let root = crate::tls::made::Authority::root("a directory's");
    std::fs::write(&authorities, &root.certificate).unwrap();
    let settings = settings(&fake.address);
    let directory = Directory::new(Settings {
        server: settings.server.clone().with_start_tls(),
        authorities: Some(authorities.clone()),
        ..settings.clone()
    })
    .unwrap();
    let verdict = directory.verify("juliet", &secret("secret"));
    let is_it = matches!(&verdict, Verdict::Unreachable(why) if why.contains("refuses StartTLS: protocolError"));
    assert!(is_it, "{verdict:?}");
    let asked: Vec<_> = fake.asked.try_iter().map(|(_, asked)| asked).collect();
    assert_eq!(asked, [Asked::StartTls]);

    for (contents, words) in [
        (None, "there is no such file"),
        (Some("no PEM"), "there is no certificate"),
    ] {
        match contents {
            Some(contents) => std::fs::write(&authorities, contents).unwrap(),
            None => std::fs::remove_file(&authorities).unwrap(),
        }
        let refused = Directory::new(Settings {
            server: settings.server.clone().with_start_tls(),
            authorities: Some(authorities.clone()),
            ..settings.clone()
        });
        let why = refused.unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn nothing_prints_a_password() {
    let fake = Fake::start(good);
    let directory = fake.directory();
    directory.verify("juliet", &secret("secret"));
    let printed = format!("{directory:?}");
    assert!(printed.contains("cn=spondee"), "{printed}");
    assert!(
        !printed.contains("\"service\"") && !printed.contains("secret\""),
        "{printed}"
    );
}
