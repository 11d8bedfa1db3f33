//! Directories: what is said of them for all hosts and for one, and what is wrong with it.

use super::*;
use crate::ldap::{Scope, Security, Server, Settings as Directory};
use crate::limits::LDAP_PATIENCE;

const BASE: &str = "ldap_base = \"ou=people,dc=example,dc=org\"\n";

fn directory<'a>(settings: &'a Settings, host: &str) -> Option<&'a Directory> {
    settings.directories.get(&Domain::parse(host).unwrap())
}

#[test]
fn a_base_is_all_that_must_be_said() {
    let settings = read(&format!(
        "[host.\"a.example\"]\nauthentication = \"ldap\"\n{BASE}[host.\"b.example\"]\n{BASE}"
    ))
    .unwrap();
    assert_eq!(host(&settings, "a.example").provider, Provider::Ldap);
    let a = directory(&settings, "a.example").unwrap();
    assert_eq!(a.server, Server::parse("localhost:389").unwrap());
    assert_eq!(
        (a.host.as_str(), a.base.as_str()),
        ("a.example", "ou=people,dc=example,dc=org")
    );
    assert_eq!((a.scope, a.patience), (Scope::Subtree, LDAP_PATIENCE));
    assert!(a.service.is_none() && a.authorities.is_none());
    // Who asks none has none, whatever is said.
    assert!(directory(&settings, "b.example").is_none());
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn a_host_has_a_directory_of_its_own_or_that_of_all() {
    let settings = read(
        "authentication = \"ldap\"\n\
         ldap_server = \"ldap.example.org\"\n\
         ldap_tls = true\n\
         ldap_cafile = \"ca.pem\"\n\
         ldap_rootdn = \"cn=spondee,dc=example,dc=org\"\n\
         ldap_password = \"looks for users\"\n\
         ldap_base = \"dc=example,dc=org\"\n\
         ldap_mode = \"bind\"\n\
         [host.\"A.example\"]\n\
         [host.\"b.example\"]\n\
         ldap_server = \"ldaps://ldap.b.example:6360\"\n\
         ldap_base = \"dc=b\"\n\
         ldap_scope = \"onelevel\"\n\
         ldap_filter = \"(mail=$user@$host)\"\n\
         ldap_cafile = \"/etc/b.pem\"\n\
         [host.\"c.example\"]\n\
         authentication = \"internal_hashed\"\n",
    )
    .unwrap();
    let (a, b) = (
        directory(&settings, "a.example").unwrap(),
        directory(&settings, "b.example").unwrap(),
    );
    let Server::Network { name, security, .. } = &a.server else {
        panic!("{a:?}");
    };
    assert_eq!(
        (name.as_str(), *security),
        ("ldap.example.org", Security::StartTls)
    );
    assert_eq!(a.host, "a.example");
    assert_eq!(
        a.authorities.as_deref(),
        Some(Path::new("/etc/spondee/ca.pem"))
    );
    let expected = Server::parse("ldaps://ldap.b.example:6360").unwrap();
    assert_eq!((&b.server, b.scope), (&expected, Scope::OneLevel));
    assert_eq!(b.authorities.as_deref(), Some(Path::new("/etc/b.pem")));
    for one in [a, b] {
        let service = one.service.as_ref().unwrap();
        assert_eq!(service.name, "cn=spondee,dc=example,dc=org");
        assert_eq!(service.password.expose(), b"looks for users");
    }
    assert!(directory(&settings, "c.example").is_none());
    assert_eq!(settings.warnings, [""; 0]);
    assert!(!format!("{settings:?}").contains("looks for users"));
}

#[test]
fn what_is_wrong_is_told_where_it_stands_with_what_to_do() {
    let cases: [(String, &str); 10] = [
        (
            "[host.\"a.example\"]\nauthentication = \"ldap\"\n".into(),
            "spondee.toml:2: host a.example asks a directory (`authentication`), and nothing says where its users are: ldap_base = ",
        ),
        (
            "authentication = \"ldap\"\n[host.\"a.example\"]\n".into(),
            "spondee.toml:1: host a.example asks a directory",
        ),
        (
            format!(
                "ldap_rootdn = \"cn=a\"\n{BASE}[host.\"a.example\"]\nauthentication = \"ldap\"\n"
            ),
            "spondee.toml:1: host a.example has `ldap_rootdn` and no `ldap_password`: write both, or neither",
        ),
        (
            format!(
                "ldap_password = \"x\"\n{BASE}[host.\"a.example\"]\nauthentication = \"ldap\"\n"
            ),
            "spondee.toml:1: host a.example has `ldap_password` and no `ldap_rootdn`",
        ),
        (
            "ldap_server = \"http://a\"\n[host.\"a.example\"]\n".into(),
            "spondee.toml:1: `ldap_server` begins with http://",
        ),
        (
            "ldap_filter = \"(uid=juliet)\"\n[host.\"a.example\"]\n".into(),
            "spondee.toml:1: `ldap_filter` does not name $user",
        ),
        (
            "ldap_mode = \"getpasswd\"\n[host.\"a.example\"]\n".into(),
            "spondee.toml:1: `ldap_mode` cannot be \"getpasswd\": passwords are not read from a directory",
        ),
        (
            "ldap_scope = \"sub\"\n[host.\"a.example\"]\n".into(),
            "spondee.toml:1: `ldap_scope` must be one of \"subtree\", \"onelevel\", \"base\", not \"sub\"",
        ),
        (
            "ldap_admin_filter = \"(a=b)\"\n[host.\"a.example\"]\n".into(),
            "spondee.toml:1: `ldap_admin_filter` is not an option here: nobody is an administrator by an entry of the directory",
        ),
        (
            "ldap_passwd = \"x\"\n[host.\"a.example\"]\n".into(),
            "spondee.toml:1: there is no option `ldap_passwd`; did you mean `ldap_password`?",
        ),
    ];
    for (text, expected) in cases {
        let faults = faults(&text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(expected), "{faults:?}");
    }
}

#[test]
fn what_is_hardly_meant_is_told_of_each_host() {
    let settings = read(&format!(
        "ldap_server = \"ldap.example.org\"\n{BASE}[host.\"a.example\"]\nauthentication = \"ldap\"\nallow_registration = true\n\
         disable_sasl_mechanisms = [\"PLAIN\"]\n[host.\"b.example\"]\n"
    ))
    .unwrap();
    let told = [
        "host a.example: passwords go to ldap://ldap.example.org:389 in clear",
        "host a.example: `allow_registration` has no effect while `authentication` is \"ldap\"",
        "host a.example: nobody can sign in: `disable_sasl_mechanisms` names PLAIN",
    ];
    for words in told {
        let mut warnings = settings.warnings.iter();
        assert!(
            warnings.any(|one| one.starts_with(words)),
            "{words}: {:?}",
            settings.warnings
        );
    }
}

#[test]
fn the_example_has_every_option_of_directories() {
    for line in [
        "ldap_server = \"localhost\"",
        "ldap_tls = false",
        "#ldap_cafile = \"/etc/ssl/certs/directory.pem\"",
        "#ldap_rootdn = \"cn=spondee,dc=example,dc=org\"",
        "#ldap_password = { file = \"/etc/spondee/ldap_password\" }",
        "#ldap_base = \"ou=people,dc=example,dc=org\"",
        "ldap_scope = \"subtree\"",
        "ldap_filter = \"(uid=$user)\"",
        "ldap_mode = \"bind\"",
    ] {
        assert!(EXAMPLE.lines().any(|other| other == line), "{line}");
    }
}
