//! Certificates of an authority that speaks ACME, pebble, asked for by certbot and lego, and brought to a server that runs by their hooks.
//!
//! Where the tests run as root, hooks are root's and the server is another user's, as administrators have it. They need what
//! `spec-tests/run` installs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;
use spec_tests::ca::Authority;
use spec_tests::client::{Client, Trust};
use spec_tests::program::{Program, left_out};
use spec_tests::server::{Scratch, Server, free_addresses};

const HOST: &str = "chat.example";
/// An authority takes its time, and interpreters start slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const NOBODY: u32 = 65534;

/// An authority, and a server for `chat.example` that has no certificate for it yet.
struct Stage {
    _pebble: Program,
    server: Server,
    directory: String,
    /// What pebble's own certificate is verified by.
    ca: PathBuf,
    /// Where it looks for answers to its challenges.
    http: u16,
    /// The root of what it issues.
    root: String,
}

/// A server of DNS that has 127.0.0.1 for every name, and nothing else. Its port; it ends with the process.
fn names() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            // A question that cannot be read is not answered.
            if let Some(answer) = address_of(&packet[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    port
}

/// RFC 1035 §4.1: the header and the question again, and an address if one was asked for.
fn address_of(question: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    while *question.get(end)? != 0 {
        end += 1 + usize::from(question[end]);
    }
    let kind = question.get(end + 1..end + 3)?;
    let wants_address = kind == [0, 1];
    let mut answer = question.get(..end + 5)?.to_vec();
    // A response, with recursion; one question, and nothing else but the answer.
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(wants_address), 0, 0, 0, 0]);
    if wants_address {
        // The name is the one in the question.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

impl Stage {
    /// `None` where tests with programs of others are left out.
    fn set() -> Option<Self> {
        if left_out("certificates by certbot and lego from pebble") {
            return None;
        }
        let scratch = Scratch::new().unwrap();
        let stopped = Server::prepare(scratch, &format!("[host.\"{HOST}\"]\n")).unwrap();
        let path = |name: &str| stopped.scratch().join(name);
        let authority = path("authority");
        fs::create_dir(&authority).unwrap();
        let own = Authority::new(&authority).unwrap();
        own.issue(&authority, "localhost").unwrap();
        let ports = free_addresses().unwrap().map(|address| address.port());
        let [https, management, http, tls] = ports;
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{https}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": authority.join("localhost.crt"),
            "privateKey": authority.join("localhost.key"),
            "httpPort": http,
            "tlsPort": tls,
        }});
        let file = path("pebble.json");
        fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new("pebble");
        command
            .arg("-config")
            .arg(&file)
            .args(["-dnsserver", &format!("127.0.0.1:{}", names())])
            .env("PEBBLE_VA_NOSLEEP", "1");
        let mut pebble = Program::start(command).unwrap();
        let listens = |line: &str| line.contains("ACME directory available").then_some(());
        pebble.wait_for(PATIENCE, listens).unwrap();
        let trust = Trust::pem(own.pem()).unwrap();
        let root = get(management, "/roots/0", &trust);
        drop(connect(https));
        let ca = own.path().to_owned();
        Some(Self {
            _pebble: pebble,
            server: begin(stopped),
            directory: format!("https://localhost:{https}/dir"),
            ca,
            http,
            root,
        })
    }

    /// What an administrator would write as the hook.
    fn hook(&self) -> String {
        let config = self.server.scratch().join("spondee.toml");
        let program = program(self.server.scratch());
        format!(
            "{} --config {} cert import",
            program.display(),
            config.display()
        )
    }

    /// Runs a client of ACME to its end.
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("REQUESTS_CA_BUNDLE", &self.ca)
            .env("LEGO_CA_CERTIFICATES", &self.ca);
        let mut client = Program::start(command).unwrap();
        let status = client.wait(PATIENCE).unwrap();
        assert!(
            status.success(),
            "{program}: {status}: {:#?}",
            client.seen()
        );
    }

    /// The fingerprint of what the host is served with, by a client that trusts the authority, and the owner and mode of its files.
    fn served(&self) -> String {
        let trust = Trust::pem(&self.root).unwrap();
        Client::connect_tls(self.server.tls, HOST, &trust, &[]).unwrap();
        let mut starttls = Client::connect(self.server.clear, HOST, &trust).unwrap();
        starttls.open().unwrap();
        starttls.starttls().unwrap();
        let root = self.server.scratch().join("root.pem");
        fs::write(&root, &self.root).unwrap();
        let (address, root) = (self.server.tls.to_string(), root.display().to_string());
        let look = [
            "check",
            "tls",
            HOST,
            "--connect",
            &address,
            "--direct",
            "--ca-file",
            &root,
            "--json",
        ];
        let seen: serde_json::Value =
            serde_json::from_str(&self.server.command(&look).unwrap()).unwrap();
        for name in [format!("{HOST}.crt"), format!("{HOST}.key")] {
            let file = self.server.scratch().join("certs").join(name);
            let metadata = fs::metadata(&file).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file:?}");
            let data = fs::metadata(self.server.data()).unwrap();
            assert_eq!(metadata.uid(), data.uid(), "{file:?}");
        }
        let sha256 = &seen["ways"][0]["certificate"]["sha256"];
        sha256.as_str().unwrap().to_owned()
    }
}

/// The one that was built may lie where another user may not look.
fn program(scratch: &Path) -> PathBuf {
    scratch.join("spondee")
}

/// Starts the server: as another user, if this one is root.
fn begin(stopped: spec_tests::server::Stopped) -> Server {
    let program = program(stopped.scratch());
    fs::copy(stopped.binary(), &program).unwrap();
    if !geteuid().is_root() {
        return stopped.begin(Command::new(program)).unwrap();
    }
    let scratch = stopped.scratch();
    fs::set_permissions(scratch, Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(stopped.data()).unwrap();
    fs::set_permissions(stopped.data(), Permissions::from_mode(0o700)).unwrap();
    let key = scratch.join("certs/localhost.key");
    for path in [&stopped.data(), &key] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    command.arg(program);
    stopped.begin(command).unwrap()
}

/// A port of pebble's, which says that it listens a moment before it does.
fn connect(port: u16) -> TcpStream {
    let end = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(socket) => return socket,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < end => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(error) => panic!("port {port}: {error}"),
        }
    }
}

/// A page of pebble's.
fn get(port: u16, page: &str, trust: &Trust) -> String {
    let socket = connect(port);
    let name = "localhost".try_into().unwrap();
    let client = ClientConnection::new(trust.client_config().unwrap(), name).unwrap();
    let mut tls = StreamOwned::new(client, socket);
    let ask = format!("GET {page} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    tls.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    // Some close without saying so.
    let _ = tls.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{answer}");
    body.to_owned()
}

#[test]
fn what_certbot_is_given_and_renews_is_served_by_its_hook() {
    let Some(stage) = Stage::set() else { return };
    let place = stage.server.scratch().join("certbot").display().to_string();
    let (hook, port) = (stage.hook(), stage.http.to_string());
    let all = [
        "--config-dir",
        &place,
        "--work-dir",
        &place,
        "--logs-dir",
        &place,
        "--non-interactive",
    ];
    let first = [
        "certonly",
        "--standalone",
        "--http-01-port",
        &port,
        "--server",
        &stage.directory,
        "--agree-tos",
        "--email",
        "admin@example.org",
        "--domain",
        HOST,
        "--deploy-hook",
        &hook,
    ];
    stage.run("certbot", &[&first[..], &all].concat());
    let before = stage.served();
    // The hook is written down with the certificate.
    stage.run(
        "certbot",
        &[
            &["renew", "--force-renewal", "--no-random-sleep-on-renew"][..],
            &all,
        ]
        .concat(),
    );
    let after = stage.served();
    assert_ne!(before, after);
}

#[test]
fn what_lego_is_given_and_renews_is_served_by_its_hook() {
    let Some(stage) = Stage::set() else { return };
    let place = stage.server.scratch().join("lego").display().to_string();
    let (hook, port) = (stage.hook(), format!("127.0.0.1:{}", stage.http));
    let all = [
        "--path",
        &place,
        "--server",
        &stage.directory,
        "--accept-tos",
        "--email",
        "admin@example.org",
        "--domains",
        HOST,
        "--key-type",
        "rsa2048",
        "--http",
        "--http.port",
        &port,
    ];
    stage.run("lego", &[&all[..], &["run", "--run-hook", &hook]].concat());
    let before = stage.served();
    let renew = [
        "renew",
        "--days",
        "4000",
        "--no-random-sleep",
        "--renew-hook",
        &hook,
    ];
    stage.run("lego", &[&all[..], &renew].concat());
    let after = stage.served();
    assert_ne!(before, after);
}
