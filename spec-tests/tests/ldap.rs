//! Passwords that slapd verifies, OpenLDAP's server: a private one, with a database of its own, on ports of its own.
//!
//! It needs slapd, so it runs as the tests of interop.rs do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, DirBuilder};
use std::net::TcpStream;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use spec_tests::ca::Authority;
use spec_tests::client::PATIENCE;
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, free_addresses};
use spondee_core::secret::Secret;
use spondee_shell_common::ldap::{Directory, Filter, Scope, Server, Service, Settings, Verdict};

const SUFFIX: &str = "dc=example,dc=org";
const SERVICE: &str = "cn=spondee,dc=example,dc=org";
/// Beside what is in it, users with all that has a meaning in filters and names.
const ENTRIES: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Verona

dn: cn=spondee,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: spondee
userPassword: looks for users

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: uid=juliet,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: juliet
cn: Juliet
sn: Capulet
mail: juliet@a.example
userPassword: {SSHA}HASH

dn: cn=Romeo\\, of Montague + sn=Montague,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: romeo
uid: ro*m)(eo
cn: Romeo, of Montague
sn: Montague
userPassword: w\u{f6}rter & *)(

dn: uid=ghost,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: ghost
cn: one without a password
sn: Ghost

dn: uid=twin,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
cn: one
sn: Twin
userPassword: secret

dn: cn=twin,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
cn: twin
sn: Twin
userPassword: secret
";

/// A directory that runs. Ended when dropped.
struct Slapd {
    child: Child,
    scratch: Scratch,
    authority: Authority,
    clear: u16,
    tls: u16,
}

impl Slapd {
    /// Starts one; `access` goes before what else its configuration says of who may do what.
    fn start(access: &str) -> Self {
        let scratch = Scratch::new().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let authority = Authority::new(scratch.path()).unwrap();
        authority.issue(scratch.path(), "localhost").unwrap();
        DirBuilder::new().mode(0o700).create(path("db")).unwrap();
        fs::write(
            path("slapd.conf"),
            config(scratch.path(), &authority, access),
        )
        .unwrap();
        let entries = path("entries.ldif");
        fs::write(&entries, ENTRIES.replace("{SSHA}HASH", &hash("secret"))).unwrap();
        let mut add = Command::new("/usr/sbin/slapadd");
        let added = add
            .arg("-f")
            .arg(path("slapd.conf"))
            .arg("-l")
            .arg(entries)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&added.stderr);
        assert!(added.status.success(), "{said}");

        let [clear, tls] = free_addresses().unwrap().map(|address| address.port());
        let socket = path("ldapi").display().to_string().replace('/', "%2F");
        let urls = format!("ldap://127.0.0.1:{clear} ldaps://127.0.0.1:{tls} ldapi://{socket}");
        let child = Command::new("/usr/sbin/slapd")
            .args(["-d", "0", "-h", &urls, "-f"])
            .arg(path("slapd.conf"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut slapd = Self {
            child,
            scratch,
            authority,
            clear,
            tls,
        };
        slapd.wait();
        slapd
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        for port in [self.clear, self.tls] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                let ended = self.child.try_wait().unwrap();
                assert!(ended.is_none() && Instant::now() < deadline, "no slapd");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn settings(&self, server: &str) -> Settings {
        Settings {
            server: Server::parse(server).unwrap(),
            host: "a.example".to_owned(),
            service: Some(Service {
                name: SERVICE.to_owned(),
                password: secret("looks for users"),
            }),
            base: SUFFIX.to_owned(),
            scope: Scope::Subtree,
            filter: Filter::default(),
            authorities: Some(self.authority.path().to_owned()),
            patience: PATIENCE,
        }
    }

    fn clear(&self) -> Settings {
        self.settings(&format!("ldap://localhost:{}", self.clear))
    }

    fn socket(&self) -> PathBuf {
        self.scratch.path().join("ldapi")
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(home: &Path, authority: &Authority, access: &str) -> String {
    let (home, authority) = (home.display(), authority.path().display());
    format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         pidfile {home}/slapd.pid\n\
         TLSCACertificateFile {authority}\n\
         TLSCertificateFile {home}/localhost.crt\n\
         TLSCertificateKeyFile {home}/localhost.key\n\
         allow bind_anon_cred\n\
         database mdb\n\
         suffix \"{SUFFIX}\"\n\
         directory {home}/db\n\
         {access}\n\
         access to attrs=userPassword by anonymous auth by * none\n\
         access to * by dn.exact=\"{SERVICE}\" read by anonymous auth by * none\n"
    )
}

/// As slapd keeps it, salted.
fn hash(password: &str) -> String {
    let made = Command::new("/usr/sbin/slappasswd")
        .args(["-h", "{SSHA}", "-s", password])
        .output()
        .unwrap();
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
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
    let slapd = Slapd::start("");
    let ways = [
        slapd.clear(),
        slapd.settings(&format!("ldaps://localhost:{}", slapd.tls)),
        slapd.settings(&format!("ldapi://{}", slapd.socket().display())),
        Settings {
            server: slapd.clear().server.with_start_tls(),
            ..slapd.clear()
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
    let slapd = Slapd::start("");
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
        assert_eq!(verify(slapd.clear(), user, password), expected, "{user}");
    }
    unreachable(
        verify(slapd.clear(), "twin", "secret"),
        "more than one entry",
    );
    assert_eq!(verify(slapd.clear(), "juliet", ""), Verdict::Wrong);
}

#[test]
fn it_looks_as_nobody_where_everybody_may() {
    if is_left_out() {
        return;
    }
    let slapd = Slapd::start(
        "access to attrs=userPassword by anonymous auth by * none\naccess to * by * read",
    );
    let nobody = Settings {
        service: None,
        ..slapd.clear()
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
    let slapd = Slapd::start("");
    let people = format!("ou=people,{SUFFIX}");
    for (base, scope, expected) in [
        (SUFFIX, Scope::OneLevel, Verdict::NoSuchUser),
        (&people, Scope::OneLevel, Verdict::Right),
        (&people, Scope::Base, Verdict::NoSuchUser),
    ] {
        let settings = Settings {
            base: base.to_owned(),
            scope,
            ..slapd.clear()
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
            ..slapd.clear()
        };
        assert_eq!(verify(settings, "juliet", "secret"), expected, "{filter}");
    }
}

#[test]
fn what_stands_in_the_way_is_told() {
    if is_left_out() {
        return;
    }
    let slapd = Slapd::start("");
    let asked = |settings| verify(settings, "juliet", "secret");
    let service = |password: &str| {
        Some(Service {
            name: SERVICE.to_owned(),
            password: secret(password),
        })
    };
    let refused = Settings {
        service: service("wrong"),
        ..slapd.clear()
    };
    unreachable(
        asked(refused),
        "refuses cn=spondee,dc=example,dc=org, by whom users are looked for",
    );
    // Nobody in particular may look for anything here.
    let nobody = Settings {
        service: None,
        ..slapd.clear()
    };
    unreachable(asked(nobody), "set `ldap_rootdn` and `ldap_password`");
    let elsewhere = Settings {
        base: "dc=example,dc=net".to_owned(),
        ..slapd.clear()
    };
    unreachable(asked(elsewhere), "see to `ldap_base`");
    // A certificate of somebody else's, and one for another name.
    let stranger = Scratch::new().unwrap();
    let stranger = Authority::new(stranger.path()).map(|authority| (authority, stranger));
    let (stranger, _kept) = stranger.unwrap();
    let tls = slapd.settings(&format!("ldaps://localhost:{}", slapd.tls));
    let unknown = Settings {
        authorities: Some(stranger.path().to_owned()),
        ..tls
    };
    unreachable(asked(unknown), "invalid peer certificate");
    let other = slapd.settings(&format!("ldaps://127.0.0.1:{}", slapd.tls));
    unreachable(asked(other), "not valid for name");
    unreachable(
        asked(slapd.settings(&format!("ldap://localhost:{}", slapd.tls))),
        "ldap://localhost",
    );
}

/// The sessions of a directory end with it; the next verification begins one.
#[test]
fn a_directory_that_was_started_again_is_found_again() {
    if is_left_out() {
        return;
    }
    let mut slapd = Slapd::start("");
    let directory = Directory::new(slapd.clear()).unwrap();
    let verify = || directory.verify("juliet", &secret("secret"));
    assert_eq!(verify(), Verdict::Right);
    slapd.child.kill().unwrap();
    slapd.child.wait().unwrap();
    unreachable(verify(), "cannot connect to");
    slapd.child = Command::new("/usr/sbin/slapd")
        .args([
            "-d",
            "0",
            "-h",
            &format!("ldap://127.0.0.1:{}", slapd.clear),
            "-f",
        ])
        .arg(slapd.scratch.path().join("slapd.conf"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    slapd.tls = slapd.clear;
    slapd.wait();
    assert_eq!(verify(), Verdict::Right);
}
