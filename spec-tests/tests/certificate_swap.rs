//! Certificates that change under a server that runs: who is served with what, what a reload answers, and that no session notices.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use spec_tests::ca::Authority;
use spec_tests::client::{Client, PATIENCE, Trust};
use spec_tests::element::CLIENT;
use spec_tests::server::{Scratch, Server, Setup};
use spondee_shell_common::limits::shell::raise_descriptors;

const A: &str = "a.example";
const B: &str = "b.example";

/// Which certificate a host shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Served {
    /// The one it had.
    Old,
    /// The one that came.
    New,
    Nothing,
}

use Served::{New, Nothing, Old};

/// The directory of certificates, and renewals that have not been put there.
struct Files {
    certs: PathBuf,
    renewed: PathBuf,
    config: PathBuf,
}

impl Files {
    fn put(&self, name: &str) {
        fs::copy(self.renewed.join(name), self.certs.join(name)).unwrap();
    }

    fn renew(&self, host: &str) {
        self.put(&format!("{host}.crt"));
        self.put(&format!("{host}.key"));
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.certs.join(name), content).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.certs.join(name)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.certs.join(name)).unwrap()
    }

    /// As certbot keeps a renewal: links that lead to where it is.
    fn link(&self, to: &Path) {
        for ending in ["crt", "key"] {
            let name = format!("{A}.{ending}");
            self.remove(&name);
            symlink(to.join(&name), self.certs.join(&name)).unwrap();
        }
    }
}

/// A state of the files: how it comes about, what `a.example` and `b.example` show then, the exit code of the reload, and what it says.
type Row = (&'static str, fn(&Files), [Served; 2], i32, &'static str);

const TABLE: [Row; 21] = [
    (
        "as it was",
        |_| {},
        [Old, Old],
        0,
        "the server has reloaded",
    ),
    (
        "renewed",
        |files| files.renew(A),
        [New, Old],
        0,
        "the server has reloaded",
    ),
    (
        "both renewed",
        |files| {
            files.renew(A);
            files.renew(B);
        },
        [New, New],
        0,
        "the server has reloaded",
    ),
    (
        "key first",
        |files| files.put("a.example.key"),
        [Old, Old],
        3,
        "a.example.key: this key does not belong to the certificate",
    ),
    (
        "certificate first",
        |files| files.put("a.example.crt"),
        [Old, Old],
        3,
        "a.example.key: this key does not belong to the certificate",
    ),
    (
        "key gone",
        |files| files.remove("a.example.key"),
        [Old, Old],
        3,
        "the private key of this certificate is missing",
    ),
    (
        "certificate gone",
        |files| files.remove("a.example.crt"),
        [Old, Old],
        3,
        "host a.example: its certificate has gone",
    ),
    (
        "both gone",
        |files| {
            files.remove("a.example.key");
            files.remove("a.example.crt");
        },
        [Old, Old],
        3,
        "host a.example: its certificate has gone",
    ),
    (
        "directory gone",
        |files| fs::remove_dir_all(&files.certs).unwrap(),
        [Old, Old],
        3,
        "certs does not exist",
    ),
    (
        "directory empty",
        |files| {
            fs::remove_dir_all(&files.certs).unwrap();
            fs::create_dir(&files.certs).unwrap();
        },
        [Old, Old],
        3,
        "none below",
    ),
    (
        "a file in place of the directory",
        |files| {
            fs::remove_dir_all(&files.certs).unwrap();
            fs::write(&files.certs, "").unwrap();
        },
        [Old, Old],
        3,
        "certs: this file is empty",
    ),
    (
        "empty, as a full disk leaves it",
        |files| files.write("a.example.crt", ""),
        [Old, Old],
        3,
        "this file is empty; a renewal may be under way",
    ),
    (
        "cut off",
        |files| files.write("a.example.crt", &files.read("a.example.crt")[..300]),
        [Old, Old],
        3,
        "a.example.crt: the file is damaged",
    ),
    (
        "another host's",
        |files| {
            files.put("c.example.crt");
            files.put("c.example.key");
            files.remove("a.example.crt");
            files.remove("a.example.key");
        },
        [Old, Old],
        3,
        "host a.example: its certificate has gone",
    ),
    (
        "another host's in its place",
        |files| {
            fs::copy(
                files.renewed.join("c.example.crt"),
                files.certs.join("a.example.crt"),
            )
            .unwrap();
            fs::copy(
                files.renewed.join("c.example.key"),
                files.certs.join("a.example.key"),
            )
            .unwrap();
        },
        [Old, Old],
        3,
        "it is for c.example, not for a.example",
    ),
    (
        "one broken, one renewed",
        |files| {
            files.write("a.example.key", "no key");
            files.renew(B);
        },
        [Old, New],
        3,
        "host a.example: ",
    ),
    (
        "links to a renewal",
        |files| files.link(&files.renewed),
        [New, Old],
        0,
        "the server has reloaded",
    ),
    (
        "links that lead nowhere",
        |files| files.link(Path::new("/nonexistent")),
        [Old, Old],
        3,
        "this is a link to a file that does not exist",
    ),
    (
        "a directory in place of the file",
        |files| {
            files.remove("a.example.crt");
            fs::create_dir(files.certs.join("a.example.crt")).unwrap();
        },
        [Old, Old],
        3,
        "host a.example: ",
    ),
    (
        "renewed beside what it had",
        |files| {
            fs::create_dir(files.certs.join("live")).unwrap();
            for (from, to) in [("crt", "fullchain.pem"), ("key", "privkey.pem")] {
                fs::copy(
                    files.renewed.join(format!("{A}.{from}")),
                    files.certs.join("live").join(to),
                )
                .unwrap();
            }
        },
        [New, Old],
        0,
        "the server has reloaded",
    ),
    (
        "configuration half written",
        |files| {
            files.renew(A);
            fs::write(&files.config, "[host.\"a.exa").unwrap();
        },
        [Old, Old],
        3,
        "spondee.toml",
    ),
];

/// What a client gets on either port.
fn served(server: &Server, host: &str, old: &Trust, new: &Trust) -> Served {
    let direct = |trust: &Trust| Client::connect_tls(server.tls, host, trust, &[]).is_ok();
    let starttls = |trust: &Trust| {
        let mut client = Client::connect(server.clear, host, trust).unwrap();
        client.open().unwrap();
        client.starttls().is_ok()
    };
    let of = |shows: &dyn Fn(&Trust) -> bool| match (shows(old), shows(new)) {
        (true, _) => Old,
        (false, true) => New,
        (false, false) => Nothing,
    };
    let [by_direct, by_starttls] = [of(&direct), of(&starttls)];
    assert_eq!(by_direct, by_starttls, "{host}");
    by_direct
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Removes whatever it is.
fn clear(path: &Path) {
    let _ = fs::remove_dir_all(path);
    let _ = fs::remove_file(path);
}

/// Each state after the one before was mended.
#[test]
fn whatever_becomes_of_the_files_each_host_is_served_and_the_answer_says_with_what() {
    let hosts = format!("[host.\"{A}\"]\n[host.\"{B}\"]\n");
    let stopped = Server::prepare(Scratch::new().unwrap(), &hosts).unwrap();
    let path = |name: &str| stopped.scratch().join(name);
    let (certs, good, renewed) = (path("certs"), path("good"), path("renewed"));
    let (first, second) = (path("first"), path("second"));
    for directory in [&renewed, &first, &second] {
        fs::create_dir(directory).unwrap();
    }
    let old = Authority::new(&first).unwrap();
    let new = Authority::new(&second).unwrap();
    for host in [A, B] {
        old.issue_for(&certs, host, 60).unwrap();
    }
    for host in [A, B, "c.example"] {
        new.issue(&renewed, host).unwrap();
    }
    copy(&certs, &good);
    let files = Files {
        certs,
        renewed,
        config: path("spondee.toml"),
    };
    let config = fs::read(&files.config).unwrap();
    let [old, new] = [old, new].map(|authority| Trust::pem(authority.pem()).unwrap());
    let command = Command::new(stopped.binary());
    let server = stopped.begin(command).unwrap();
    for (name, change, expected, code, words) in TABLE {
        change(&files);
        let (ended, said) = server.outcome(&["reload"]).unwrap();
        assert_eq!(ended, code, "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
        let shown = [A, B].map(|host| served(&server, host, &old, &new));
        assert_eq!(shown, expected, "{name}: {said}");
        // Mended: all is as before.
        clear(&files.certs);
        copy(&good, &files.certs);
        fs::write(&files.config, &config).unwrap();
        let (ended, said) = server.outcome(&["reload"]).unwrap();
        assert_eq!(ended, 0, "{name}, mended: {said}");
        let shown = [A, B].map(|host| served(&server, host, &old, &new));
        assert_eq!(shown, [Old, Old], "{name}, mended");
    }
    // A host that comes with a reload has nothing to keep.
    let more = [config.as_slice(), b"[host.\"d.example\"]\n"].concat();
    fs::write(&files.config, more).unwrap();
    let (ended, said) = server.outcome(&["reload"]).unwrap();
    let lacks =
        "host d.example: nobody can sign in, because TLS is required and there is no certificate";
    assert!(ended == 3 && said.contains(lacks), "{ended} {said}");
    assert_eq!(
        [A, B].map(|host| served(&server, host, &old, &new)),
        [Old, Old]
    );
    assert!(Client::connect_tls(server.tls, "d.example", &old, &[]).is_err());
}

const USERS: [&str; 20] = [
    "u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9", "u10", "u11", "u12", "u13", "u14",
    "u15", "u16", "u17", "u18", "u19",
];
const SESSIONS: usize = 1000;

/// Asks for an answer (XEP-0199).
fn ping(client: &mut Client, id: &str) {
    let ping = format!("<iq type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>");
    client.send(&ping).unwrap();
}

fn is_answered(client: &mut Client, id: &str) {
    let answer = client.next_where(PATIENCE, |element| element.attribute("id") == Some(id));
    let answer = answer.unwrap();
    assert!(answer.is(CLIENT, "iq"), "{answer}");
    assert_eq!(answer.attribute("type"), Some("result"), "{answer}");
}

/// What was asked before a swap is answered after it, and what is asked then, too.
#[test]
fn a_certificate_swapped_under_a_thousand_sessions_drops_none() {
    let files = raise_descriptors();
    assert!(
        files > SESSIONS + 100,
        "{files} open files are too few: ulimit -Hn"
    );
    let accounts = USERS.map(|user| (format!("{user}@localhost"), "secret"));
    let accounts: Vec<_> = accounts
        .iter()
        .map(|(jid, password)| (jid.as_str(), *password))
        .collect();
    let setup = Setup {
        options: "default_iteration_count = 4096\nmax_sessions_per_account = 60\nlog_level = \"warn\"\n",
        ..Setup::default()
    };
    let server = Server::start_with(&accounts, setup).unwrap();
    let trust = server.trust().unwrap();
    let mut clients: Vec<Client> = thread::scope(|scope| {
        let threads: Vec<_> = USERS
            .chunks(5)
            .map(|users| {
                let (server, trust) = (&server, &trust);
                scope.spawn(move || {
                    let each = SESSIONS / USERS.len();
                    let sessions = users.iter().flat_map(|user| vec![user; each]);
                    let begin = |user: &&str| {
                        Client::session(server.clear, "localhost", trust, user, "secret")
                    };
                    sessions
                        .map(|user| begin(user).unwrap())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(clients.len(), SESSIONS);
    let certs = server.scratch().join("certs");
    for round in 0..3 {
        let id = format!("before-{round}");
        for client in &mut clients {
            ping(client, &id);
        }
        let directory = server.scratch().join(format!("authority-{round}"));
        fs::create_dir(&directory).unwrap();
        let authority = Authority::new(&directory).unwrap();
        authority.issue(&certs, "localhost").unwrap();
        let said = server.command(&["reload"]).unwrap();
        assert!(said.contains("the server has reloaded"), "{said}");
        let trust = Trust::pem(authority.pem()).unwrap();
        let new = Client::session(server.clear, "localhost", &trust, "u0", "secret").unwrap();
        new.close().unwrap();
        Client::connect_tls(server.tls, "localhost", &trust, &[]).unwrap();
        for client in &mut clients {
            is_answered(client, &id);
        }
        let id = format!("after-{round}");
        for client in &mut clients {
            ping(client, &id);
        }
        for client in &mut clients {
            is_answered(client, &id);
        }
    }
}
