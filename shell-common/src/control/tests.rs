mod links;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use spondee_core::jid::{BareJid, Domain, Resource};
use spondee_core::port::{
    self, ArchiveSize, ArchiveTask, Asked, Attempt, AttemptError, AttemptOutcome, Availability,
    CertificateNames, Chain, CommandError, CommandReply, Contacts, Device, Features, LastActivity,
    Line, Lookup, NameConstraints, Opening, Protocol, Reached, Resolved, Secured, SecuredBy,
    ServerCertificate, Show, Target, TlsVersion, UserDetails, UserEntry, Verdict,
};
use spondee_core::sasl::{Form, Held, Status, Tombstones};
use spondee_core::secret::Secret;
use spondee_core::store::Erased;
use spondee_core::time::UnixTime;

use super::*;
use crate::scratch::Scratch;

/// A shard that hands its commands to the test.
#[derive(Debug)]
struct Desk(Mutex<Sender<(u16, CommandId, Command)>>, u16);

impl Mailbox for Desk {
    fn post(&self, letters: Vec<Letter>) {
        for letter in letters {
            let Letter::Command(id, command) = letter else {
                panic!("{letter:?}");
            };
            let _ = self.0.lock().unwrap().send((self.1, id, command));
        }
    }
}

struct Server {
    control: Control,
    commands: Receiver<(u16, CommandId, Command)>,
    placement: Placement,
    directory: Scratch,
}

impl Server {
    fn start() -> Self {
        let directory = Scratch::new();
        let control = Control::new(directory.path().join(SOCKET_NAME));
        let (sender, commands) = channel();
        let mailboxes = (0..4)
            .map(|shard| Arc::new(Desk(Mutex::new(sender.clone()), shard)) as Arc<dyn Mailbox>)
            .collect();
        let placement = Placement::new(&[7; 32], 4);
        control.serve(mailboxes, placement.clone()).unwrap();
        Self {
            control,
            commands,
            placement,
            directory,
        }
    }

    /// Asks in a thread, answers here.
    fn exchange(&self, command: Command, result: CommandResult) -> (Command, CommandResult) {
        let path = self.control.path().to_owned();
        let asking = thread::spawn(move || call(&path, &command).unwrap());
        let (_, id, command) = self.commands.recv().unwrap();
        self.control.answer(id, result);
        (command, asking.join().unwrap())
    }

    fn connect(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(self.control.path()).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.stop();
    }
}

fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

fn line(connection: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_command_goes_to_its_owners_shard_and_its_result_comes_back() {
    let server = Server::start();
    for local in ["a", "b", "c", "d", "e"] {
        let account = jid(&format!("{local}@x.example"));
        let path = server.control.path().to_owned();
        let command = Command::Disable {
            account: account.clone(),
        };
        let asking = thread::spawn(move || call(&path, &command).unwrap());
        let (shard, id, command) = server.commands.recv().unwrap();
        assert_eq!(shard, server.placement.owner(account.as_str()).shard);
        assert!(matches!(command, Command::Disable { account: named } if named == account));
        server.control.answer(id, Ok(CommandReply::Done));
        assert_eq!(asking.join().unwrap(), Ok(CommandReply::Done));
    }
}

#[test]
fn passwords_and_pages_arrive_as_sent() {
    let server = Server::start();
    let typed = "pa\"ss\\w\u{f6}rd \u{1f511}\n";
    let add = Command::Add {
        account: jid("juli\u{e9}t@x.example"),
        password: Secret::new(typed.as_bytes().to_vec()),
        tombstones: Tombstones::Ignore,
    };
    let (arrived, result) = server.exchange(add, Err(CommandError::Exists));
    let Command::Add {
        account,
        password,
        tombstones,
    } = arrived
    else {
        panic!("{arrived:?}");
    };
    assert_eq!(tombstones, Tombstones::Ignore);
    assert_eq!(account, jid("juli\u{e9}t@x.example"));
    assert_eq!(password.expose(), typed.as_bytes());
    assert_eq!(result, Err(CommandError::Exists));

    let list = Command::List {
        host: Domain::parse("x.example").unwrap(),
        after: Some(jid("a@x.example")),
        limit: 2,
    };
    let page = vec![
        UserEntry {
            account: jid("b@x.example"),
            status: Status::Disabled,
            password: Form::Plain,
        },
        UserEntry {
            account: jid("c@x.example"),
            status: Status::Enabled,
            password: Form::PartlyHashed,
        },
    ];
    let (arrived, result) = server.exchange(list, Ok(CommandReply::Users(page.clone())));
    assert!(
        matches!(arrived, Command::List { after: Some(after), limit: 2, .. }
        if after == jid("a@x.example"))
    );
    assert_eq!(result, Ok(CommandReply::Users(page)));
}

#[test]
fn an_account_is_shown_as_its_shard_tells_it() {
    let server = Server::start();
    let device = |resource: &str, peer: &str, availability| Device {
        resource: resource.to_owned(),
        peer: peer.parse().unwrap(),
        connected: Duration::from_secs(7505),
        availability,
        line: Line::Here { unread: 300 },
    };
    let said = |show, status: Option<&str>| Availability::Available {
        priority: -128,
        show,
        status: status.map(str::to_owned),
    };
    let mut devices = vec![
        device("phone", "192.0.2.7:51234", Availability::Connected),
        device(
            "b\u{202e}\u{1b}\"\n",
            "[2001:db8::1]:1",
            said(None, Some("\u{1b}\0\u{202e}")),
        ),
    ];
    devices[1].line = Line::Asleep {
        lasted: Duration::from_secs(125),
        left: Duration::ZERO,
        waiting: 12,
    };
    for show in Show::ALL {
        devices.push(device("balcony", "127.0.0.1:1", said(Some(show), None)));
    }
    for (status, devices) in [(Status::Enabled, devices), (Status::Disabled, Vec::new())] {
        let account = jid("a@x.example");
        let show = Command::Show { account };
        let details = UserDetails {
            status,
            password: Form::Hashed,
            contacts: Contacts {
                none: 1,
                to: 2,
                from: 3,
                both: 4,
                requests: 5,
                blocked: 6,
            },
            last_activity: devices.is_empty().then(|| LastActivity {
                ago: Duration::from_secs(903),
                status: Some("\u{202e}\n".to_owned()),
            }),
            devices,
        };
        let reply = Ok(CommandReply::User(Box::new(details)));
        let (arrived, result) = server.exchange(show, reply.clone());
        assert!(matches!(arrived, Command::Show { account } if account == jid("a@x.example")));
        assert_eq!(result, reply);
    }
}

#[test]
fn whose_sessions_are_to_end_and_how_many_did_arrives_as_sent() {
    let server = Server::start();
    for (resource, sessions) in [(Some("b \u{f6}\"'"), 1), (None, 12), (None, 0)] {
        let command = Command::Disconnect {
            account: jid("a@x.example"),
            resource: resource.map(|name| Resource::parse(name).unwrap()),
        };
        let reply = Ok(CommandReply::Disconnected { sessions });
        let (arrived, result) = server.exchange(command, reply.clone());
        let Command::Disconnect {
            account,
            resource: named,
        } = arrived
        else {
            panic!("{arrived:?}");
        };
        assert_eq!(account, jid("a@x.example"));
        assert_eq!(named.as_ref().map(Resource::as_str), resource);
        assert_eq!(result, reply);
    }
}

#[test]
fn every_error_comes_back_as_itself() {
    let server = Server::start();
    for error in [
        CommandError::Busy,
        CommandError::Directory,
        CommandError::Exists,
        CommandError::Full,
        CommandError::Guests,
        CommandError::Held(Held {
            deleted: UnixTime(1_795_316_645_678),
            until: Some(UnixTime(1_795_316_645_679)),
        }),
        CommandError::Held(Held {
            deleted: UnixTime(-1),
            until: None,
        }),
        CommandError::KeepsPasswords,
        CommandError::NoSuchHost,
        CommandError::NoSuchSession,
        CommandError::NoSuchUser,
        CommandError::Password,
        CommandError::Reaching,
        CommandError::Store,
        CommandError::Unknown,
    ] {
        let command = Command::Delete {
            account: jid("a@x.example"),
        };
        assert_eq!(server.exchange(command, Err(error)).1, Err(error));
    }
}

#[test]
fn garbage_is_answered_and_the_next_line_served() {
    let server = Server::start();
    let mut connection = server.connect();
    for garbage in [
        "hello",
        "{}",
        "[]",
        "{\"command\":\"stop\"}",
        "{\"command\":\"add\",\"account\":\"a@x.example\"}",
        "{\"command\":\"delete\",\"account\":\"a@x.example\",\"really\":true}",
        "{\"command\":\"delete\",\"account\":\"x.example\"}",
        "{\"command\":\"delete\",\"account\":\"a b@x.example\"}",
        "{\"command\":\"show\",\"account\":\"x.example\"}",
        "{\"command\":\"show\"}",
        "{\"command\":\"disconnect\",\"account\":\"a@x.example\",\"resource\":\"\"}",
        "{\"command\":\"list\",\"host\":\"x.example\",\"limit\":0}",
        "{\"command\":\"list\",\"host\":\"x.example\",\"limit\":1001}",
    ] {
        writeln!(connection.get_mut(), "{garbage}").unwrap();
        let answer = line(&mut connection);
        assert!(
            answer.contains("\"error\":\"malformed\""),
            "{garbage}: {answer}"
        );
    }
    writeln!(
        connection.get_mut(),
        "{{\"command\":\"enable\",\"account\":\"a@x.example\"}}"
    )
    .unwrap();
    let (_, id, _) = server.commands.recv().unwrap();
    server.control.answer(id, Ok(CommandReply::Done));
    assert_eq!(line(&mut connection), "{\"result\":\"done\"}\n");
}

#[test]
fn what_is_wrong_with_a_request_does_not_tell_its_password() {
    let told = Request::parse(br#"{"command":"add","password":"hunter2","account":7}"#);
    assert!(!told.unwrap_err().contains("hunter2"));
    let told = Request::parse(br#"{"command":"add","password":"hunter2"#);
    assert!(!told.unwrap_err().contains("hunter2"));
}

#[test]
fn a_line_that_is_too_long_ends_the_connection() {
    let server = Server::start();
    let mut connection = server.connect();
    let long = vec![b' '; usize::try_from(CONTROL_REQUEST_BYTES).unwrap()];
    connection.get_mut().write_all(&long).unwrap();
    assert!(line(&mut connection).contains("malformed"));
    assert_eq!(line(&mut connection), "");
}

#[test]
fn the_connection_over_the_bound_is_told_so() {
    let server = Server::start();
    let mut first: Vec<_> = (0..CONTROL_CONNECTIONS).map(|_| server.connect()).collect();
    for connection in &mut first {
        writeln!(connection.get_mut(), "?").unwrap();
        assert!(line(connection).contains("malformed"));
    }
    let command = Command::Enable {
        account: jid("a@x.example"),
    };
    let refused = call(server.control.path(), &command).unwrap();
    assert_eq!(refused, Err(CommandError::Busy));
}

#[test]
fn the_socket_is_for_its_owner_only_and_replaces_a_stale_one() {
    let directory = Scratch::new();
    let path = directory.path().join(SOCKET_NAME);
    drop(UnixListener::bind(&path).unwrap());
    let command = Command::Enable {
        account: jid("a@x.example"),
    };
    assert!(matches!(call(&path, &command), Err(CallError::NoServer)));
    let control = Control::new(path.clone());
    control
        .serve(Vec::new(), Placement::new(&[0; 32], 1))
        .unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    control.stop();
    assert!(matches!(call(&path, &command), Err(CallError::NoServer)));
}

#[test]
fn a_directory_whose_path_leaves_no_room_for_the_socket_is_refused_with_advice() {
    let longest = CONTROL_PATH_BYTES - "/".len() - SOCKET_NAME.len();
    let scratch = Scratch::new();
    let mut path = scratch.path().to_owned();
    path.push("x".repeat(longest - path.as_os_str().len() - "/".len()));
    let socket = socket_path(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    // It fits indeed.
    drop(UnixListener::bind(socket).unwrap());
    path.set_file_name("x".repeat(longest));
    let refusal = socket_path(&path).unwrap_err();
    let advice = format!("room for {longest} bytes; set a shorter data_directory");
    assert!(refusal.contains(&advice), "{refusal}");
}

#[test]
fn stopping_ends_open_connections_and_removes_the_socket() {
    let server = Server::start();
    let mut idle = server.connect();
    let path = server.control.path().to_owned();
    let command = Command::Enable {
        account: jid("a@x.example"),
    };
    let waiting = thread::spawn(move || call(&path, &command));
    let (_, id, _) = server.commands.recv().unwrap();
    server.control.stop();
    assert!(matches!(waiting.join().unwrap(), Err(CallError::Lost(_))));
    assert_eq!(line(&mut idle), "");
    assert_eq!(server.directory.path().read_dir().unwrap().count(), 0);
    // The late answer reaches nobody.
    server.control.answer(id, Ok(CommandReply::Done));
}

#[test]
fn what_is_asked_of_archives_and_of_what_was_deleted_arrives_and_is_answered() {
    let server = Server::start();
    let account = || jid("a@x.example");
    let size = ArchiveSize {
        messages: 3,
        bytes: u64::MAX,
        oldest: Some(-1),
        newest: Some(i64::MAX),
        waiting: 7,
    };
    let nothing = ArchiveSize::default();
    for (task, reply) in [
        (ArchiveTask::Measure, CommandReply::Archive(size)),
        (ArchiveTask::Measure, CommandReply::Archive(nothing)),
        (
            ArchiveTask::Trim(i64::MIN),
            CommandReply::Trimmed {
                messages: 500,
                more: true,
            },
        ),
    ] {
        let command = Command::Archive {
            account: account(),
            task,
        };
        let (arrived, result) = server.exchange(command, Ok(reply.clone()));
        let Command::Archive {
            account: of,
            task: what,
        } = arrived
        else {
            panic!("{arrived:?}");
        };
        assert_eq!((of, what), (account(), task));
        assert_eq!(result, Ok(reply));
    }
    for erased in [Erased::All, Erased::Held, Erased::Some] {
        let host = Domain::parse("x.example").unwrap();
        let reply = Ok(CommandReply::Erased(erased));
        let command = Command::Erase { host: host.clone() };
        let (arrived, result) = server.exchange(command, reply.clone());
        assert!(matches!(arrived, Command::Erase { host: at } if at == host));
        assert_eq!(result, reply);
    }
}

/// What is to be read may be written after the one before began.
#[test]
fn whoever_asks_for_a_reload_is_told_what_came_of_one_that_began_later() {
    let server = Server::start();
    let path = server.control.path().to_owned();
    let refused = reload(&path).unwrap_err();
    assert!(matches!(refused, CallError::Lost(why) if why.contains("does not reload")));
    server.control.ring_for_reloads(Waker::noop().clone());
    let waits = || {
        let path = path.clone();
        thread::spawn(move || reload(&path).unwrap())
    };
    let next = || loop {
        match server.control.reload_asked() {
            Some(asked) => break asked,
            None => thread::yield_now(),
        }
    };
    let first = waits();
    let asked = next();
    let second = waits();
    let later = next();
    asked.answer(&Reloaded::Whole);
    assert_eq!(first.join().unwrap(), Reloaded::Whole);
    let outcome = Reloaded::InPart {
        faults: vec!["a.crt: gone".to_owned()],
    };
    later.answer(&outcome);
    assert_eq!(second.join().unwrap(), outcome);
    assert!(server.control.reload_asked().is_none());
}

#[test]
fn what_came_of_reaching_a_domain_comes_as_it_is() {
    let server = Server::start();
    let domain = Domain::parse("x.example").unwrap();
    let command = Command::Reach {
        domain: domain.clone(),
        service: Protocol::XmppServer,
    };
    let path = server.control.path().to_owned();
    let asking = thread::spawn(move || reach(&path, &command).unwrap());
    let (_, id, arrived) = server.commands.recv().unwrap();
    let Command::Reach {
        domain: of,
        service,
    } = arrived
    else {
        panic!("{arrived:?}");
    };
    assert_eq!((of, service), (domain, Protocol::XmppServer));
    let target = Target {
        name: "x.example".into(),
        port: 5270,
        opening: Opening::Tls,
    };
    let to = "192.0.2.1:5270".parse().unwrap();
    let attempt = |outcome| Attempt {
        target: target.clone(),
        to,
        outcome,
    };
    let told = port::Reach {
        asked: vec![Asked {
            lookup: Lookup::Services("_xmpps-server._tcp.x.example".into()),
            outcome: Some(Resolved::NoService),
        }],
        attempts: vec![
            attempt(AttemptOutcome::Failed(AttemptError::Tls)),
            attempt(AttemptOutcome::Reached),
        ],
        outcome: Ok(Box::new(Reached {
            target: target.clone(),
            at: to,
            tls: Some(Secured {
                by: SecuredBy::DirectTls,
                version: TlsVersion::V1_2,
                suite: "ECDHE-RSA-AES128-GCM-SHA256",
                certificate: Some(Box::new(ServerCertificate {
                    verdict: Some(Verdict::OtherName),
                    chain: Chain::Untrusted,
                    names: CertificateNames {
                        each: Vec::new(),
                        constraints: NameConstraints::None,
                    },
                    fingerprint: [0x0f; 32],
                })),
            }),
            features: Features::default(),
        })),
    };
    let reply = CommandReply::Reached(Box::new(told.clone()));
    server.control.answer(id, Ok(reply));
    let came = asking.join().unwrap().unwrap();
    assert_eq!(*came, reaching::Reach::from(told));
    let json = serde_json::to_value(&*came).unwrap();
    let tls = &json["outcome"]["reached"]["tls"];
    assert_eq!(tls["certificate"]["verdict"], "other-name");
    assert_eq!(tls["certificate"]["sha256"], "0f".repeat(32));
    assert_eq!(json["attempts"][0]["outcome"], "tls-failed");
}
