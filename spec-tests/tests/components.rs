//! Components (XEP-0114) at the running server: one by hand, slixmpp's, and biboumi, a gateway to IRC.
//!
//! Those of others run as interop.rs says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha1::{Digest as _, Sha1};
use spec_tests::client::{Client, PATIENCE};
use spec_tests::element::{CLIENT, Element};
use spec_tests::program::{Program, installed, left_out, script};
use spec_tests::server::{Scratch, Server, Setup, free_addresses};

const NAME: &str = "irc.localhost";
const SECRET: &str = "s3cret";
const INFO: &str = "http://jabber.org/protocol/disco#info";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";
const COMMANDS: &str = "http://jabber.org/protocol/commands";
const JULIET: (&str, &str) = ("juliet@localhost", "wherefore art thou");
const ROMEO: (&str, &str) = ("romeo@localhost", "by yonder blessed moon");
/// A gateway on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A server with a component's section.
struct Stage {
    server: Server,
    port: SocketAddr,
    place: Scratch,
}

impl Stage {
    fn new() -> Self {
        let place = Scratch::new().unwrap();
        let file = place.path().join("secret");
        private(&file, &format!("{SECRET}\n"));
        let [port] = free_addresses().unwrap();
        let options = format!(
            "component_ports = {}\ncomponent_interfaces = \"127.0.0.1\"\n\
             component.\"{NAME}\".component_secret = {{ file = {file:?} }}\n",
            port.port()
        );
        let setup = Setup {
            options: &options,
            ..Setup::default()
        };
        let server = Server::start_with(&[JULIET, ROMEO], setup).unwrap();
        Self {
            server,
            port,
            place,
        }
    }

    fn client(&self, (account, password): (&str, &str)) -> Client {
        let trust = self.server.trust().unwrap();
        let (user, host) = account.split_once('@').unwrap();
        Client::session(self.server.clear, host, &trust, user, password).unwrap()
    }
}

fn private(file: &Path, text: &str) {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(file).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A component by hand.
struct Component {
    socket: TcpStream,
    heard: String,
}

impl Component {
    fn connect(stage: &Stage) -> Self {
        let socket = TcpStream::connect(stage.port).unwrap();
        let mut component = Self {
            socket,
            heard: String::new(),
        };
        component.say(&format!(
            "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='{NAME}'>"
        ));
        component
    }

    /// One that serves its name.
    fn serves(stage: &Stage) -> Self {
        let mut component = Self::connect(stage);
        component.shake(SECRET);
        component.hears("<handshake/>");
        component
    }

    fn shake(&mut self, secret: &str) {
        let header = self.hears("'>");
        let (_, rest) = header.split_once(" id='").unwrap();
        let id = rest.split_once('\'').unwrap().0;
        let hash = Sha1::digest(format!("{id}{secret}"));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.say(&format!("<handshake>{hex}</handshake>"));
    }

    fn say(&mut self, xml: &str) {
        self.socket.write_all(xml.as_bytes()).unwrap();
    }

    /// What came up to these words, which come in time.
    fn hears(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.heard.find(words) {
                let rest = self.heard.split_off(at + words.len());
                return std::mem::replace(&mut self.heard, rest);
            }
            assert!(Instant::now() < deadline, "no {words}: {}", self.heard);
            let mut buffer = [0; 4096];
            self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let count = self.socket.read(&mut buffer).unwrap();
            assert!(count > 0, "no {words}: {}", self.heard);
            self.heard
                .push_str(str::from_utf8(&buffer[..count]).unwrap());
        }
    }
}

fn is_answer(element: &Element, id: &str) -> bool {
    element.is(CLIENT, "iq") && element.attribute("id") == Some(id)
}

/// What somebody answers to a request.
fn ask(client: &mut Client, id: &str, to: &str, payload: &str) -> Element {
    let kind = match payload.contains("<command") {
        true => "set",
        false => "get",
    };
    client
        .send(&format!(
            "<iq type='{kind}' id='{id}' to='{to}'>{payload}</iq>"
        ))
        .unwrap();
    client
        .next_where(PATIENCE, |element| is_answer(element, id))
        .unwrap()
}

#[test]
fn a_component_serves_its_name() {
    let stage = Stage::new();
    let mut juliet = stage.client(JULIET);
    let refused = ask(&mut juliet, "1", NAME, &format!("<query xmlns='{INFO}'/>"));
    assert_eq!(refused.attribute("type"), Some("error"), "{refused}");
    assert!(
        refused.to_string().contains("service-unavailable"),
        "{refused}"
    );
    let mut gateway = Component::serves(&stage);
    stage
        .server
        .wait_for_log(&[
            "component connected",
            "component=irc.localhost",
            "peer=127.0.0.1",
        ])
        .unwrap();
    juliet
        .send("<message to='nurse@irc.localhost' type='chat'><body>Ay me</body></message>")
        .unwrap();
    let heard = gateway.hears("</message>");
    assert!(heard.contains("<body>Ay me</body>"), "{heard}");
    assert!(heard.contains("from='juliet@localhost/"), "{heard}");
    gateway.say(
        "<message from='nurse@irc.localhost/x' to='juliet@localhost'><body>Anon</body></message>",
    );
    juliet.send("<presence/>").unwrap();
    let (from, body) = juliet.next_body(PATIENCE).unwrap();
    assert_eq!(
        (from.as_str(), body.as_str()),
        ("nurse@irc.localhost/x", "Anon")
    );
    gateway.say("</stream:stream>");
    gateway.hears("</stream:stream>");
    stage
        .server
        .wait_for_log(&["component disconnected"])
        .unwrap();
    let refused = ask(&mut juliet, "2", NAME, &format!("<query xmlns='{INFO}'/>"));
    assert_eq!(refused.attribute("type"), Some("error"), "{refused}");
}

#[test]
fn a_wrong_secret_and_an_unknown_name_are_told_and_logged() {
    let stage = Stage::new();
    let mut gateway = Component::connect(&stage);
    gateway.shake("guess");
    let said = gateway.hears("</stream:stream>");
    assert!(said.contains("<not-authorized "), "{said}");
    let log = stage
        .server
        .wait_for_log(&["component refused", "component_secret"]);
    log.unwrap();
    let mut other = TcpStream::connect(stage.port).unwrap();
    other
        .write_all(
            b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='sms.localhost'>",
        )
        .unwrap();
    let line = stage
        .server
        .wait_for_log(&["component refused", "[component.\"sms.localhost\"]"]);
    line.unwrap();
}

#[test]
fn a_second_one_takes_the_place_of_the_first() {
    let stage = Stage::new();
    let mut first = Component::serves(&stage);
    let mut second = Component::serves(&stage);
    let said = first.hears("</stream:stream>");
    assert!(said.contains("<conflict "), "{said}");
    let mut juliet = stage.client(JULIET);
    juliet
        .send("<message to='irc.localhost'><body>1</body></message>")
        .unwrap();
    second.hears("<body>1</body>");
    stage.server.wait_for_log(&["component replaced"]).unwrap();
}

#[test]
fn a_configuration_with_a_component_is_checked() {
    let stage = Stage::new();
    let (code, said) = stage.server.outcome(&["check", "config"]).unwrap();
    assert_eq!(code, 0, "{said}");
    let file = stage.place.path().join("secret");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = stage.server.outcome(&["check", "config"]).unwrap();
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("others can read it: `chmod 0600"), "{said}");
}

#[test]
fn slixmpp_is_a_gateway() {
    let Some(installed) = installed("slixmpp's components") else {
        return;
    };
    let stage = Stage::new();
    let begin = |secret: &str| {
        let mut command = Command::new(installed.join("venv/bin/python"));
        command
            .arg(script("slixmpp_component.py"))
            .args([NAME, &stage.port.port().to_string()]);
        let mut program = Program::start(command).unwrap();
        program.say(secret).unwrap();
        program
    };
    let said = |line: &str, key: &str| -> Option<String> {
        let value: Value = serde_json::from_str(line).ok()?;
        Some(value.get(key)?.as_str()?.to_owned())
    };
    let mut wrong = begin("guess");
    let refused = wrong.wait_for(LONG, |line| said(line, "refused")).unwrap();
    assert_eq!(refused, "not-authorized");
    drop(wrong);
    let mut gateway = begin(SECRET);
    gateway
        .wait_for(LONG, |line| said(line, "connected"))
        .unwrap();
    let mut romeo = stage.client(ROMEO);
    romeo.send("<presence/>").unwrap();
    let items = ask(
        &mut romeo,
        "1",
        "localhost",
        &format!("<query xmlns='{ITEMS}'/>"),
    );
    assert!(items.to_string().contains(NAME), "{items}");
    let info = ask(&mut romeo, "2", NAME, &format!("<query xmlns='{INFO}'/>"));
    assert!(info.to_string().contains("gateway"), "{info}");
    romeo
        .send(&format!("<presence type='subscribe' to='{NAME}'/>"))
        .unwrap();
    romeo
        .next_where(LONG, |element| {
            element.is(CLIENT, "presence")
                && element.attribute("from") == Some(NAME)
                && element.to_string().contains("at the gate")
        })
        .unwrap();
    romeo
        .send("<message to='nurse@irc.localhost' type='chat'><body>Peace</body></message>")
        .unwrap();
    let (from, body) = romeo.next_body(LONG).unwrap();
    assert_eq!(
        (from.as_str(), body.as_str()),
        ("nurse@irc.localhost", "Peace")
    );
}

/// Debian's package `biboumi`: it has its account of each IRC server by a command.
#[test]
fn biboumi_is_a_gateway() {
    if left_out("biboumi") {
        return;
    }
    let stage = Stage::new();
    let directory = stage.place.path();
    let config = directory.join("biboumi.cfg");
    private(
        &config,
        &format!(
            "hostname={NAME}\npassword={SECRET}\nxmpp_server_ip=127.0.0.1\nport={}\ndb_name={}\nlog_level=1\n",
            stage.port.port(),
            directory.join("biboumi.sqlite").display()
        ),
    );
    let mut command = Command::new("biboumi");
    command.arg(&config).current_dir(directory);
    let _biboumi = Program::start(command).unwrap();
    stage.server.wait_for_log(&["component connected"]).unwrap();
    let mut juliet = stage.client(JULIET);
    juliet.send("<presence/>").unwrap();
    let info = ask(&mut juliet, "1", NAME, &format!("<query xmlns='{INFO}'/>"));
    assert!(info.to_string().contains("Biboumi"), "{info}");
    let node = format!("<query xmlns='{ITEMS}' node='{COMMANDS}'/>");
    let commands = ask(&mut juliet, "2", NAME, &node);
    assert!(commands.to_string().contains("configure"), "{commands}");
    let ping = format!("<command xmlns='{COMMANDS}' node='ping' action='execute'/>");
    let pong = ask(&mut juliet, "3", NAME, &ping);
    assert!(pong.to_string().contains("Pong"), "{pong}");
    // An IRC server, by its own address and its form.
    let server = format!("irc.example.org@{NAME}");
    let configure = format!("<command xmlns='{COMMANDS}' node='configure' action='execute'/>");
    let form = ask(&mut juliet, "4", &server, &configure);
    assert!(form.to_string().contains("jabber:x:data"), "{form}");
}
