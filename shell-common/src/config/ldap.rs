//! Where a host's directory is, and how its users are found there: the options of Prosody's mod_auth_ldap, with one more for who issued the
//! directory's certificate.

use spondee_core::options::{Source as _, of_host};
use spondee_core::sasl::Provider;

use super::reader::Reader;
use crate::ldap::{Filter, Scope, Server, Service, Settings};
use crate::limits::LDAP_PATIENCE;

/// For whom is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host<'a> {
    pub(super) name: &'a str,
    pub(super) provider: Provider,
}

/// `ldap_tls`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum StartTls {
    Asked,
    NotAsked,
}

/// `ldap_mode`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Bind,
}

/// What is said of the directory of this host, if it asks one; `None` for all hosts, which asks for everything and holds nothing against anybody.
pub(super) fn read(from: &mut Reader<'_, '_, '_>, host: Option<Host<'_>>) -> Option<Settings> {
    from.part("The directory of hosts whose `authentication` is \"ldap\"");
    let server = server(from);
    let service = service(from, host);
    let base = from.text::<String>(
        &of_host(
            "ldap_base",
            "Below which entry users are looked for, and how far: \"subtree\" is that entry and all below it, \"onelevel\" what is right \
             below it, \"base\" that entry alone.",
        )
        .shown_as("\"ou=people,dc=example,dc=org\""),
    );
    let scope = from.word(&of_host("ldap_scope", ""), Scope::Subtree, SCOPES);
    let filter = from.parsed(
        &of_host(
            "ldap_filter",
            "Which entry is a user's (RFC 4515). $user is the name before the @, in small letters, and $host the host; both are taken as they are, \
             whatever signs are in them. It must find one entry, and none for who may not sign in: \
             \"(&(uid=$user)(memberOf=cn=xmpp,ou=groups,dc=example,dc=org))\".",
        ),
        "(uid=$user)",
        Filter::parse,
    );
    from.word_but(
        &of_host(
            "ldap_mode",
            "How a password is judged: by signing in to the directory with it. There is no other way here.",
        ),
        Mode::Bind,
        &[("bind", Mode::Bind)],
        &[(
            "getpasswd",
            "passwords are not read from a directory, since whoever may read them has them all; leave `ldap_mode` out",
        )],
    );
    let Host { name, provider } = host?;
    if provider != Provider::Ldap {
        return None;
    }
    let Some(base) = base else {
        from.contradiction_of_host(
            &["ldap_base", "authentication"],
            format!(
                "host {name} asks a directory (`authentication`), and nothing says where its users are: ldap_base = \"ou=people,dc=example,dc=org\""
            ),
        );
        return None;
    };
    let (server, authorities) = server?;
    if server.exposes_passwords() {
        from.warn(format!(
            "passwords go to {server} in clear, for everybody to read who can listen there: set `ldap_tls`, or begin `ldap_server` with ldaps://"
        ));
    }
    Some(Settings {
        server,
        host: name.to_owned(),
        service,
        base,
        scope,
        filter: filter?,
        authorities,
        patience: LDAP_PATIENCE,
    })
}

const SCOPES: &[(&str, Scope)] = &[
    ("subtree", Scope::Subtree),
    ("onelevel", Scope::OneLevel),
    ("base", Scope::Base),
];

/// Where it is, and by whose word it is known.
fn server(from: &mut Reader<'_, '_, '_>) -> Option<(Server, Option<std::path::PathBuf>)> {
    let server = from.parsed(
        &of_host(
            "ldap_server",
            "Where the directory is: a name with or without a port, or ldap://NAME, ldaps://NAME or ldapi://PATH. With `ldap_tls` TLS is \
             asked for by StartTLS before anything else is said; ldaps:// has it from the start. The certificate must be that name's, by an \
             authority of the system's or one in the file `ldap_cafile` (PEM).",
        ),
        "localhost",
        Server::parse,
    );
    let tls = from.either(
        &of_host("ldap_tls", ""),
        StartTls::NotAsked,
        [StartTls::Asked, StartTls::NotAsked],
    );
    let authorities =
        from.file(&of_host("ldap_cafile", "").shown_as("\"/etc/ssl/certs/directory.pem\""));
    let server = server?;
    let server = match tls {
        StartTls::Asked => server.with_start_tls(),
        StartTls::NotAsked => server,
    };
    Some((server, authorities))
}

/// Who looks for users.
fn service(from: &mut Reader<'_, '_, '_>, host: Option<Host<'_>>) -> Option<Service> {
    let name = from.text::<String>(
        &of_host(
            "ldap_rootdn",
            "Who looks for users: the name of an entry, and its password, which is a secret. It needs the right to search, and none to read \
             passwords. Without them nobody in particular looks.",
        )
        .shown_as("\"cn=spondee,dc=example,dc=org\""),
    );
    let password = from.secret(
        &of_host("ldap_password", "").shown_as("{ file = \"/etc/spondee/ldap_password\" }"),
    );
    let missing = match (&name, &password) {
        (Some(_), None) => Some(("ldap_rootdn", "ldap_password")),
        (None, Some(_)) => Some(("ldap_password", "ldap_rootdn")),
        (Some(_), Some(_)) | (None, None) => None,
    };
    if let Some((written, missing)) = missing
        && let Some(Host { name, provider }) = host
        && provider == Provider::Ldap
    {
        from.contradiction_of_host(
            &[written, missing],
            format!("host {name} has `{written}` and no `{missing}`: write both, or neither"),
        );
    }
    Some(Service {
        name: name?,
        password: password?,
    })
}
