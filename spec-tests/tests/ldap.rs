//! Passwords that slapd verifies, OpenLDAP's server: first by the client of LDAP alone, then by a whole server that asks it.
//!
//! It needs slapd, so it runs as the tests of interop.rs do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpListener;
use std::time::Instant;

use spec_tests::ca::Authority;
use spec_tests::client::{BindTo, Client, PATIENCE};
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server as Host, Setup};
use spec_tests::slapd::{SERVICE, SERVICE_PASSWORD, SUFFIX, Slapd};
use spondee_core::sasl::Mechanism;
use spondee_core::secret::Secret;
use spondee_shell_common::ldap::{Directory, Filter, Scope, Server, Service, Settings, Verdict};

fn settings(slapd: &Slapd, server: &str) -> Settings {
    Settings {
        server: Server::parse(server).unwrap(),
        host: "a.example".to_owned(),
        service: Some(Service {
            name: SERVICE.to_owned(),
            password: secret(SERVICE_PASSWORD),
        }),
        base: SUFFIX.to_owned(),
        scope: Scope::Subtree,
        filter: Filter::default(),
        authorities: Some(slapd.authority().to_owned()),
        patience: PATIENCE,
    }
}

fn clear(slapd: &Slapd) -> Settings {
    settings(slapd, &slapd.clear())
}

fn start(access: &str) -> Slapd {
    Slapd::start(access).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn verify(settings: Settings, user: &str, password: &str) -> Verdict {
    Directory::new(settings)
        .unwrap()
        .verify(user, &secret(password))
}

#[track_caller]
fn unreachable(verdict: Verdict, words: &str) {
    match verdict {
        Verdict::Unreachable(why) => assert!(why.contains(words), "{words}: {why}"),
        other @ (Verdict::Right | Verdict::Wrong | Verdict::NoSuchUser) => {
            panic!("{words}: {other:?}")
        }
    }
}

fn is_left_out() -> bool {
    left_out("passwords that slapd verifies")
}

#[test]
fn slapd_tells_right_from_wrong_on_every_way_to_it() {
    if is_left_out() {
        return;
    }
    let slapd = start("");
    let ways = [
        clear(&slapd),
        settings(&slapd, &slapd.tls()),
        settings(&slapd, &format!("ldapi://{}", slapd.socket().display())),
        Settings {
            server: clear(&slapd).server.with_start_tls(),
            ..clear(&slapd)
        },
    ];
    for way in ways {
        let directory = Directory::new(way).unwrap();
        let verify = |user: &str, password: &str| directory.verify(user, &secret(password));
        // On one connection, one behind the other.
        for _ in 0..3 {
            assert_eq!(verify("juliet", "secret"), Verdict::Right, "{directory:?}");
            assert_eq!(verify("juliet", "Secret"), Verdict::Wrong);
            assert_eq!(verify("juliet", ""), Verdict::Wrong);
            assert_eq!(verify("tybalt", "secret"), Verdict::NoSuchUser);
            assert_eq!(verify("ghost", "secret"), Verdict::Wrong);
            assert_eq!(verify("romeo", "w\u{f6}rter & *)("), Verdict::Right);
        }
    }
}

/// `bind_anon_cred` has slapd take a name with an empty password for nobody, and say that it succeeded: here that is nobody's way in.
#[test]
fn names_and_passwords_are_taken_as_they_are() {
    if is_left_out() {
        return;
    }
    let slapd = start("");
    let password = "w\u{f6}rter & *)(";
    for (user, expected) in [
        ("ro*m)(eo", Verdict::Right),
        // What would find somebody if it were a part of the filter.
        ("*", Verdict::NoSuchUser),
        ("rom*", Verdict::NoSuchUser),
        ("romeo)(uid=*", Verdict::NoSuchUser),
        ("\\72omeo", Verdict::NoSuchUser),
        ("romeo\0", Verdict::NoSuchUser),
    ] {
        assert_eq!(verify(clear(&slapd), user, password), expected, "{user}");
    }
    unreachable(
        verify(clear(&slapd), "twin", "secret"),
        "more than one entry",
    );
    assert_eq!(verify(clear(&slapd), "juliet", ""), Verdict::Wrong);
}

#[test]
fn it_looks_as_nobody_where_everybody_may() {
    if is_left_out() {
        return;
    }
    let slapd =
        start("access to attrs=userPassword by anonymous auth by * none\naccess to * by * read");
    let nobody = Settings {
        service: None,
        ..clear(&slapd)
    };
    let directory = Directory::new(nobody).unwrap();
    let verify = |user: &str, password: &str| directory.verify(user, &secret(password));
    for _ in 0..2 {
        assert_eq!(verify("juliet", "secret"), Verdict::Right);
        assert_eq!(verify("juliet", "wrong"), Verdict::Wrong);
        assert_eq!(verify("tybalt", "secret"), Verdict::NoSuchUser);
    }
}

#[test]
fn it_looks_where_and_for_what_it_is_told() {
    if is_left_out() {
        return;
    }
    let slapd = start("");
    let people = format!("ou=people,{SUFFIX}");
    for (base, scope, expected) in [
        (SUFFIX, Scope::OneLevel, Verdict::NoSuchUser),
        (&people, Scope::OneLevel, Verdict::Right),
        (&people, Scope::Base, Verdict::NoSuchUser),
    ] {
        let settings = Settings {
            base: base.to_owned(),
            scope,
            ..clear(&slapd)
        };
        assert_eq!(verify(settings, "juliet", "secret"), expected, "{base}");
    }
    for (filter, expected) in [
        ("(mail=$user@$host)", Verdict::Right),
        ("(&(uid=$user)(mail=*))", Verdict::Right),
        ("(&(uid=$user)(!(mail=*)))", Verdict::NoSuchUser),
        ("(|(cn=$user)(uid=$user))", Verdict::Right),
        ("(&(uid=$user)(mail=*@a.ex*ple))", Verdict::Right),
        ("(uid:caseExactMatch:=$user)", Verdict::Right),
    ] {
        let settings = Settings {
            filter: Filter::parse(filter).unwrap(),
            ..clear(&slapd)
        };
        assert_eq!(verify(settings, "juliet", "secret"), expected, "{filter}");
    }
}

#[test]
fn what_stands_in_the_way_is_told() {
    if is_left_out() {
        return;
    }
    let slapd = start("");
    let asked = |settings| verify(settings, "juliet", "secret");
    let service = |password: &str| {
        Some(Service {
            name: SERVICE.to_owned(),
            password: secret(password),
        })
    };
    let refused = Settings {
        service: service("wrong"),
        ..clear(&slapd)
    };
    unreachable(
        asked(refused),
        "refuses cn=spondee,dc=example,dc=org, by whom users are looked for",
    );
    // Nobody in particular may look for anything here.
    let nobody = Settings {
        service: None,
        ..clear(&slapd)
    };
    unreachable(asked(nobody), "set `ldap_rootdn` and `ldap_password`");
    let elsewhere = Settings {
        base: "dc=example,dc=net".to_owned(),
        ..clear(&slapd)
    };
    unreachable(asked(elsewhere), "see to `ldap_base`");
    // A certificate of somebody else's, and one for another name.
    let stranger = Scratch::new().unwrap();
    let stranger = Authority::new(stranger.path()).map(|authority| (authority, stranger));
    let (stranger, _kept) = stranger.unwrap();
    let tls = settings(&slapd, &slapd.tls());
    let unknown = Settings {
        authorities: Some(stranger.path().to_owned()),
        ..tls
    };
    unreachable(asked(unknown), "invalid peer certificate");
    let other = settings(&slapd, &slapd.tls_by_address());
    unreachable(asked(other), "not valid for name");
    unreachable(
        asked(settings(&slapd, &slapd.clear_on_tls())),
        "ldap://localhost",
    );
}

/// The sessions of a directory end with it; the next verification begins one.
#[test]
fn a_directory_that_was_started_again_is_found_again() {
    if is_left_out() {
        return;
    }
    let mut slapd = start("");
    let directory = Directory::new(clear(&slapd)).unwrap();
    let verify = || directory.verify("juliet", &secret("secret"));
    assert_eq!(verify(), Verdict::Right);
    slapd.kill().unwrap();
    unreachable(verify(), "cannot connect to");
    slapd.start_again().unwrap();
    assert_eq!(verify(), Verdict::Right);
}

/// A server whose host asks a directory.
fn host(options: &str) -> Host {
    let setup = Setup {
        options,
        ..Setup::default()
    };
    Host::start_with(&[], setup).unwrap()
}

fn stream(host: &Host) -> Client {
    let trust = host.trust().unwrap();
    let mut client = Client::connect_tls(host.tls, "localhost", &trust, &[]).unwrap();
    client.open().unwrap();
    client
}

/// A session, or what stands in its way.
fn sign_in(host: &Host, user: &str, password: &str) -> Result<Client, String> {
    let mut client = stream(host);
    client.sign_in(user, password, Mechanism::Plain, BindTo::Exporter)?;
    client.bind(None)?;
    Ok(client)
}

#[track_caller]
fn refused(host: &Host, user: &str, password: &str, expected: &str) {
    let came = sign_in(host, user, password).map(drop);
    assert_eq!(
        came,
        Err(format!("failure: {expected}")),
        "{user} {password}"
    );
}

fn reload(host: &Host) {
    let file = host.scratch().join("spondee.toml").display().to_string();
    host.command(&["reload", "--config", &file]).unwrap();
}

fn configure(host: &Host, from: &str, to: &str) {
    let file = host.scratch().join("spondee.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replace(from, to)).unwrap();
}

#[test]
fn who_is_in_the_directory_signs_in_to_an_account_that_is_made_for_that() {
    if is_left_out() {
        return;
    }
    let slapd = start("");
    let host = host(&slapd.options());
    refused(&host, "juliet", "wrong", "not-authorized");
    refused(&host, "tybalt", "secret", "not-authorized");
    refused(&host, "ghost", "secret", "not-authorized");
    assert_eq!(host.command(&["user", "list"]).unwrap(), "");

    let mut juliet = sign_in(&host, "Juliet", "secret").unwrap();
    host.wait_for_log(&["account added by its user", "juliet@localhost"])
        .unwrap();
    let mut romeo = sign_in(&host, "romeo", "w\u{f6}rter & *)(").unwrap();
    juliet
        .send("<message to='romeo@localhost' type='chat'><body>hi</body></message>")
        .unwrap();
    romeo.send("<presence/>").unwrap();
    let (_, body) = romeo.next_body(PATIENCE).unwrap();
    assert_eq!(body, "hi");
    let list = host.command(&["user", "list"]).unwrap();
    assert_eq!(list, "juliet@localhost\nromeo@localhost\n");
    let shown = host.command(&["user", "show", "juliet@localhost"]).unwrap();
    assert!(
        shown.contains("\nits password is a directory's\n"),
        "{shown}"
    );
    let shown = host
        .command(&["user", "show", "juliet@localhost", "--json"])
        .unwrap();
    assert!(shown.contains("\"password\": \"elsewhere\""), "{shown}");
    let checked = host.command(&["check", "config", "--connect"]).unwrap();
    assert!(
        checked.contains("localhost: asks ldap://localhost:"),
        "{checked}"
    );
    assert!(checked.contains(", which answers\n"), "{checked}");
}

#[test]
fn commands_that_set_passwords_say_where_they_are_set() {
    if is_left_out() {
        return;
    }
    let slapd = start("");
    let host = host(&slapd.options());
    drop(sign_in(&host, "juliet", "secret").unwrap());
    for (command, words) in [
        ("add", "when its user first signs in"),
        ("passwd", "set it there, and it is good at once"),
    ] {
        let (code, said) = host
            .outcome(&["user", command, "juliet@localhost"])
            .unwrap();
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("is a directory's") && said.contains(words),
            "{said}"
        );
    }
    let file = host.scratch().join("juliet.xml").display().to_string();
    host.command(&["user", "export", "juliet@localhost", "--output", &file])
        .unwrap();
    let exported = fs::read_to_string(&file).unwrap();
    assert!(
        !exported.contains("password") && !exported.contains("scram"),
        "{exported}"
    );
    host.command(&["user", "delete", "--yes", "juliet@localhost"])
        .unwrap();
    // The name is held, and the file says nothing of a password.
    let said = host.command(&["user", "import", "--again", &file]).unwrap();
    assert!(!said.contains("passwd"), "{said}");
    drop(sign_in(&host, "juliet", "secret").unwrap());
}

#[test]
fn who_is_disabled_here_stays_out_and_who_was_deleted_begins_anew() {
    if is_left_out() {
        return;
    }
    let slapd = start("");
    let host = host(&slapd.options());
    let mut juliet = sign_in(&host, "juliet", "secret").unwrap();
    host.command(&["user", "disable", "juliet@localhost"])
        .unwrap();
    juliet.expect_end().unwrap_err();
    refused(&host, "juliet", "secret", "account-disabled");
    refused(&host, "juliet", "wrong", "not-authorized");
    host.command(&["user", "enable", "juliet@localhost"])
        .unwrap();
    drop(sign_in(&host, "juliet", "secret").unwrap());
    host.command(&["user", "delete", "--yes", "juliet@localhost"])
        .unwrap();
    assert_eq!(host.command(&["user", "list"]).unwrap(), "");
    drop(sign_in(&host, "juliet", "secret").unwrap());
    assert_eq!(
        host.command(&["user", "list"]).unwrap(),
        "juliet@localhost\n"
    );
}

#[test]
fn a_password_that_is_changed_in_the_directory_is_so_at_once() {
    if is_left_out() {
        return;
    }
    let slapd = start("");
    let host = host(&slapd.options());
    let mut juliet = sign_in(&host, "juliet", "secret").unwrap();
    slapd.set_password("juliet", "another").unwrap();
    refused(&host, "juliet", "secret", "not-authorized");
    drop(sign_in(&host, "juliet", "another").unwrap());
    // Nobody tells the server, so who is there stays.
    is_answered(&mut juliet);
}

fn is_answered(client: &mut Client) {
    client
        .send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        .unwrap();
    let is_it = |element: &spec_tests::element::Element| element.attribute("id") == Some("p");
    client.next_where(PATIENCE, is_it).unwrap();
}

#[test]
fn while_a_directory_is_away_nobody_new_comes_in_and_nobody_is_called_wrong() {
    if is_left_out() {
        return;
    }
    let mut slapd = start("");
    let host = host(&slapd.options());
    let mut juliet = sign_in(&host, "juliet", "secret").unwrap();
    slapd.kill().unwrap();
    for (user, password) in [("juliet", "secret"), ("juliet", "wrong"), ("tybalt", "x")] {
        refused(&host, user, password, "temporary-auth-failure");
    }
    host.wait_for_log(&[
        "the directory does not judge passwords",
        "cannot connect to",
    ])
    .unwrap();
    let (code, said) = host.outcome(&["check", "config", "--connect"]).unwrap();
    assert_eq!(code, 3);
    assert!(
        said.contains("its directory does not judge passwords"),
        "{said}"
    );
    is_answered(&mut juliet);
    slapd.start_again().unwrap();
    drop(sign_in(&host, "juliet", "secret").unwrap());
    refused(&host, "juliet", "wrong", "not-authorized");
}

/// One that takes connections and says nothing.
#[test]
fn a_directory_that_is_silent_is_given_up_and_holds_up_no_session() {
    if is_left_out() {
        return;
    }
    let slapd = start("");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = host(&slapd.options());
    let mut juliet = sign_in(&host, "juliet", "secret").unwrap();
    let address = format!("ldap://{}", silent.local_addr().unwrap());
    configure(&host, &slapd.clear(), &address);
    reload(&host);
    let asked = Instant::now();
    let mut waiting = stream(&host);
    let auth = spec_tests::talk::plain_auth("juliet", "secret");
    waiting.send(&auth).unwrap();
    while asked.elapsed() < spondee_shell_common::limits::LDAP_PATIENCE / 2 {
        is_answered(&mut juliet);
    }
    let failure = waiting.next(PATIENCE).unwrap();
    assert_eq!(failure.condition(), Some("temporary-auth-failure"));
    host.wait_for_log(&[
        "the directory does not judge passwords",
        "not answer in time",
    ])
    .unwrap();
}

#[test]
fn a_reload_brings_another_directory() {
    if is_left_out() {
        return;
    }
    let slapd = start("");
    let host = host(&slapd.options());
    drop(sign_in(&host, "juliet", "secret").unwrap());
    let filter = "ldap_filter = \"(&(uid=$user)(sn=Nobody))\"\n";
    configure(&host, "ldap_base", &format!("{filter}ldap_base"));
    reload(&host);
    refused(&host, "juliet", "secret", "not-authorized");
    configure(&host, filter, "");
    configure(
        &host,
        &slapd.authority().display().to_string(),
        "/nowhere/ca.pem",
    );
    let file = host.scratch().join("spondee.toml").display().to_string();
    let (code, said) = host.outcome(&["reload", "--config", &file]).unwrap();
    assert!(code != 0 && said.contains("/nowhere/ca.pem"), "{said}");
    // It goes on to ask as before.
    refused(&host, "juliet", "secret", "not-authorized");
    configure(
        &host,
        "/nowhere/ca.pem",
        &slapd.authority().display().to_string(),
    );
    reload(&host);
    drop(sign_in(&host, "juliet", "secret").unwrap());

    // Back to passwords of its own, of which there is none.
    configure(
        &host,
        "authentication = \"ldap\"",
        "authentication = \"internal_hashed\"",
    );
    reload(&host);
    refused(&host, "juliet", "secret", "not-authorized");
    let shown = host.command(&["user", "show", "juliet@localhost"]).unwrap();
    assert!(shown.contains("it has no password"), "{shown}");
}
