//! `tls_profile`, the tables `ssl`, `c2s_ssl`, `c2s_direct_tls_ssl` and `s2s_ssl`, `certificate` and `c2s_direct_tls_certificate`, with Prosody's
//! names: what TLS offers, and with which certificates.
//!
//! As in Prosody each says more of what the one before has said, key by key: the profile, `ssl`, the table of a service; for all hosts
//! first, then for one.

use std::path::{Path, PathBuf};

use rustls::{CipherSuite, NamedGroup};
use spondee_core::options::{Source as _, of_host};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::options::Kind;
use super::reader::{Reader, Wrongs};
use super::value::{path, text};
use crate::tls::{
    ClientAuth, DH_GROUP, Dhe, HostPolicy, Location, Named, Policy, Suites, Versions, dhparam,
    group, lacks_group_for_12, suite_of_12, suite_of_13,
};

/// What one of the options says.
#[derive(Clone, Debug, Default)]
struct Said {
    versions: Option<Versions>,
    ciphers: Option<Vec<CipherSuite>>,
    ciphersuites: Option<Vec<CipherSuite>>,
    groups: Option<Vec<NamedGroup>>,
    dhe: Option<Dhe>,
    /// One that is named brings its key along: that of another layer is not its own.
    certificate: Option<Location>,
}

/// What a host offers, as far as the file says.
pub(super) fn read(from: &mut Reader<'_, '_, '_>) -> HostPolicy {
    from.part("TLS");
    let profile = profile(from);
    let ssl = table(
        from,
        "ssl",
        "Where TLS is to be narrower than its profile: `protocol`, \"tlsv1_2\", \"tlsv1_2+\", \"tlsv1_3\" or \"tlsv1_3+\"; `ciphers`, suites of \
         TLS 1.2 in the order in which they are taken, by OpenSSL's or IANA's names; `ciphersuites`, the same of TLS 1.3; `curveslist`, \
         the groups that keys may be agreed on in. It is wider with `dhparam`, \"ffdhe2048\", 3072, 4096, 6144 or 8192 (RFC 7919): clients \
         that have no elliptic curve agree on keys by DHE then, with TLS 1.2 only where the host's key is RSA. Each such handshake costs \
         0.7 ms (ffdhe2048) to 23 ms (ffdhe8192) of a processor, so the first will do. `certificate` and `key` name files, as `certificate` \
         does below. What a host says goes before what stands here, name by name.",
        "{ ciphers = [\"ECDHE-ECDSA-AES256-GCM-SHA384\"], curveslist = [\"X25519\", \"P-384\"] }",
    );
    let c2s = table(
        from,
        "c2s_ssl",
        "The same for clients: it goes before `ssl`. The second is for direct TLS alone.",
        "{ curveslist = [\"X25519\", \"P-256\", \"P-384\"] }",
    );
    let direct = table(from, "c2s_direct_tls_ssl", "", "{ protocol = \"tlsv1_3\" }");
    let s2s = table(
        from,
        "s2s_ssl",
        "The same for other servers that connect to this one, but for `certificate` and `key`: it goes before `ssl`.",
        "{ protocol = \"tlsv1_2+\" }",
    );
    let clients = clients(from);
    let certificate = named(
        from,
        "certificate",
        "The file of a host's certificate, where it is not to be found by its name: its key is beside it or in it. Or the directory in which \
         it is found. It goes before what is found in `certificates`, and starts, too, at the directory of this file.",
        "\"certs/example.org.crt\"",
    );
    let of_direct = named(
        from,
        "c2s_direct_tls_certificate",
        "The same for direct TLS alone.",
        "\"certs/direct.example.org.crt\"",
    );
    // What is said for direct TLS is said last of a layer.
    let servers = together(&[profile.clone(), ssl.clone(), s2s], &[]);
    let common = [profile, certificate, ssl, c2s];
    let for_direct = [of_direct, direct];
    let starttls = together(&common, &[]);
    let direct = together(&common, &for_direct);
    let own = direct.certificate.clone();
    let policy = HostPolicy {
        starttls: starttls.policy(),
        direct: direct.policy(),
        servers: servers.policy(),
        certificates: Named {
            direct: own.filter(|own| starttls.certificate.as_ref() != Some(own)),
            all: starttls.certificate.clone(),
        },
        clients,
    };
    look_at(
        from,
        [
            (&starttls, &policy.starttls),
            (&direct, &policy.direct),
            (&servers, &policy.servers),
        ],
    );
    policy
}

/// `tls_profile`.
fn profile(from: &mut Reader<'_, '_, '_>) -> [Option<Said>; 2] {
    let profile = of_host(
        "tls_profile",
        "\"intermediate\" is TLS 1.2 and 1.3, \"modern\" TLS 1.3 alone, which shuts out clients of before 2018 or so. All there is has \
         forward secrecy and authenticated encryption.",
    )
    .elsewhere("\"modern\"");
    from.layers(&profile, Kind::Text, "\"intermediate\"", |value, wrongs| {
        let (span, value) = (value.span(), value.get_ref());
        let versions = text(value).and_then(|name| of_profile(&name));
        let versions = versions
            .map_err(|wrong| wrongs.push((span, format!("`tls_profile` {wrong}"))))
            .ok()?;
        Some(Said {
            versions: Some(versions),
            ..Said::default()
        })
    })
}

/// Whose certificates sign clients in.
fn clients(from: &mut Reader<'_, '_, '_>) -> ClientAuth {
    let authorities = from.file(
        &of_host(
            "c2s_ca_file",
            "Authorities, as PEM, whose certificates sign clients in without a password (SASL EXTERNAL): by the addresses of this host that stand \
             in them as id-on-xmppAddr. Name one of your own, not those of the system: each of them says who is who here. Without it clients are \
             asked for no certificate. A path that is not absolute starts at the directory of this file.",
        )
        .shown_as("\"clients-ca.pem\""),
    );
    authorities.map_or(ClientAuth::Off, ClientAuth::File)
}

/// What options come to, in their order: first what they say for all hosts, then what the host says.
fn together(common: &[[Option<Said>; 2]], more: &[[Option<Said>; 2]]) -> Said {
    let options = || common.iter().chain(more);
    let all = options().map(|[all, _]| all);
    let own = options().map(|[_, own]| own);
    let said = all.chain(own).flatten();
    said.fold(Said::default(), Said::over)
}

/// What is not wrong by itself, but cannot be used, or does nothing.
fn look_at(from: &mut Reader<'_, '_, '_>, all: [(&Said, &Policy); 3]) {
    const TABLES: &[&str] = &[
        "c2s_direct_tls_ssl",
        "c2s_ssl",
        "s2s_ssl",
        "ssl",
        "tls_profile",
    ];
    if all.iter().any(|(_, policy)| lacks_group_for_12(policy)) {
        from.contradiction(
            TABLES,
            "`curveslist` leaves no group for TLS 1.2: add \"X25519\", or set `tls_profile = \"modern\"`".to_owned(),
        );
    }
    if let Some(name) = all.iter().find_map(|(_, policy)| policy.lacks_dhe_for()) {
        from.contradiction(
            TABLES,
            format!("`ciphers` names {name}, which is for DHE, and DHE is off: add `dhparam = \"ffdhe2048\"`, or leave the suite out"),
        );
    }
    if all.iter().any(|(_, policy)| policy.has_dhe_alone()) {
        from.contradiction(
            TABLES,
            "`ciphers` leaves nothing but DHE, which is for clients that have nothing else: name a suite with ECDHE, too".to_owned(),
        );
    }
    for (name, version, is_idle) in [
        (
            "ciphers",
            "TLS 1.2",
            all.iter().all(|(said, policy)| {
                said.ciphers.is_some() && policy.versions == Versions::Only13
            }),
        ),
        (
            "ciphersuites",
            "TLS 1.3",
            all.iter().all(|(said, policy)| {
                said.ciphersuites.is_some() && policy.versions == Versions::Only12
            }),
        ),
    ] {
        if is_idle {
            from.warn(format!(
                "`{name}` has no effect, because {version} is not offered"
            ));
        }
    }
}

fn table(
    from: &mut Reader<'_, '_, '_>,
    name: &'static str,
    words: &'static str,
    example: &'static str,
) -> [Option<Said>; 2] {
    let option = of_host(name, words).shown_as(example);
    let base = from.base();
    from.layers(&option, Kind::Table, "", |value, wrongs| {
        said(name, value, &base, wrongs)
    })
}

/// An option that names a certificate.
fn named(
    from: &mut Reader<'_, '_, '_>,
    name: &'static str,
    words: &'static str,
    example: &'static str,
) -> [Option<Said>; 2] {
    let option = of_host(name, words).shown_as(example);
    let base = from.base();
    from.layers(&option, Kind::Text, "", |value, wrongs| {
        let certificate = file(name, value, &base, wrongs)?;
        let key = None;
        Some(Said {
            certificate: Some(Location { certificate, key }),
            ..Said::default()
        })
    })
}

/// A path, which starts at the directory of the configuration.
fn file(
    option: &str,
    value: &Spanned<DeValue<'_>>,
    base: &Path,
    wrongs: &mut Wrongs,
) -> Option<PathBuf> {
    match path(value.get_ref()) {
        Ok(path) => Some(base.join(path)),
        Err(wrong) => {
            wrongs.push((value.span(), format!("`{option}` {wrong}")));
            None
        }
    }
}

impl Said {
    /// What `more` says goes before what was said.
    fn over(self, more: &Self) -> Self {
        let more = more.clone();
        Self {
            versions: more.versions.or(self.versions),
            ciphers: more.ciphers.or(self.ciphers),
            ciphersuites: more.ciphersuites.or(self.ciphersuites),
            groups: more.groups.or(self.groups),
            dhe: more.dhe.or(self.dhe),
            certificate: more.certificate.or(self.certificate),
        }
    }

    fn policy(&self) -> Policy {
        let default = Policy::default();
        let suites = |said: &Option<Vec<_>>| said.clone().map_or(Suites::All, Suites::Chosen);
        Policy {
            versions: self.versions.unwrap_or(default.versions),
            tls12: suites(&self.ciphers),
            tls13: suites(&self.ciphersuites),
            groups: self.groups.clone().unwrap_or(default.groups),
            dhe: self.dhe.unwrap_or(default.dhe),
        }
    }
}

fn of_profile(name: &str) -> Result<Versions, String> {
    match name {
        "intermediate" => Ok(Versions::From12),
        "modern" => Ok(Versions::Only13),
        "old" | "legacy" => Err(format!(
            "cannot be \"{name}\": it stands for TLS 1.0 and 1.1 and for suites without forward secrecy, which are broken (RFC 8996) and \
             not there; take \"intermediate\", which every client of the last ten years speaks"
        )),
        other => Err(format!(
            "must be one of \"intermediate\", \"modern\", not \"{other}\""
        )),
    }
}

fn of_protocol(name: &str) -> Result<Versions, String> {
    match name {
        "tlsv1_2" => Ok(Versions::Only12),
        "tlsv1_2+" => Ok(Versions::From12),
        "tlsv1_3" | "tlsv1_3+" => Ok(Versions::Only13),
        "sslv2" | "sslv3" | "sslv23" | "sslv2+" | "sslv3+" | "tlsv1" | "tlsv1+" | "tlsv1_1"
        | "tlsv1_1+" => Err(format!(
            "cannot be \"{name}\": what is older than TLS 1.2 is broken (RFC 8996, RFC 7568) and not there; take \"tlsv1_2+\""
        )),
        other => Err(format!(
            "must be one of \"tlsv1_2\", \"tlsv1_2+\", \"tlsv1_3\", \"tlsv1_3+\", not \"{other}\""
        )),
    }
}

/// Reads a table; each entry that is wrong is noted.
fn said(
    option: &str,
    value: &Spanned<DeValue<'_>>,
    base: &Path,
    wrongs: &mut Wrongs,
) -> Option<Said> {
    let Some(table) = value.get_ref().as_table() else {
        let wrong = format!("`{option}` must be a table: {option} = {{ protocol = \"tlsv1_2+\" }}");
        wrongs.push((value.span(), wrong));
        return None;
    };
    let mut said = Said {
        certificate: match option {
            "s2s_ssl" => None,
            _ => pair(option, table, base, wrongs),
        },
        ..Said::default()
    };
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let full = format!("{option}.{name}");
        match name {
            "certificate" | "key" if option == "s2s_ssl" => wrongs.push((
                key.span(),
                format!("`{full}` is not an option here: other servers are shown the certificate of the host; use `certificate`"),
            )),
            "certificate" | "key" => {}
            "protocol" => {
                let read = text(value.get_ref()).and_then(|name| of_protocol(&name));
                match read {
                    Ok(versions) => said.versions = Some(versions),
                    Err(wrong) => wrongs.push((value.span(), format!("`{full}` {wrong}"))),
                }
            }
            "ciphers" => said.ciphers = list(&full, value, suite_of_12, wrongs),
            "ciphersuites" => said.ciphersuites = list(&full, value, suite_of_13, wrongs),
            "curveslist" | "curve" => said.groups = list(&full, value, group, wrongs),
            "dhparam" => {
                let text = text(value.get_ref()).map_err(|wrong| format!("{wrong}; {DH_GROUP}"));
                match text.and_then(|name| dhparam(&name)) {
                    Ok(dhe) => said.dhe = Some(dhe),
                    Err(wrong) => wrongs.push((value.span(), format!("`{full}` {wrong}"))),
                }
            }
            "options" => {
                list(&full, value, openssl_option, wrongs);
            }
            other => wrongs.push((key.span(), not_here(option, other))),
        }
    }
    Some(said)
}

/// The certificate that a table names, and its key.
fn pair(option: &str, table: &DeTable<'_>, base: &Path, wrongs: &mut Wrongs) -> Option<Location> {
    let mut of = |name: &str| {
        let value = table.get(name)?;
        Some((
            value.span(),
            file(&format!("{option}.{name}"), value, base, wrongs),
        ))
    };
    let (certificate, key) = (of("certificate"), of("key"));
    if let (None, Some((span, _))) = (&certificate, &key) {
        let wrong = format!(
            "`{option}.key` names the key of no certificate: name that, too, by `{option}.certificate`; or leave the key out, it is found \
             beside its certificate"
        );
        wrongs.push((span.clone(), wrong));
    }
    Some(Location {
        certificate: certificate?.1?,
        key: key.and_then(|(_, key)| key),
    })
}

/// A list, or one text with colons between the names, as OpenSSL writes it.
fn list<T: PartialEq>(
    option: &str,
    value: &Spanned<DeValue<'_>>,
    read: impl Fn(&str) -> Result<T, String>,
    wrongs: &mut Wrongs,
) -> Option<Vec<T>> {
    let items: &[Spanned<DeValue<'_>>] = match value.get_ref().as_array() {
        Some(items) => items,
        None => std::slice::from_ref(value),
    };
    let mut list = Vec::new();
    let before = wrongs.len();
    for item in items {
        let text = match text(item.get_ref()) {
            Ok(text) => text,
            Err(wrong) => {
                wrongs.push((item.span(), format!("`{option}` {wrong}")));
                continue;
            }
        };
        let names = text.split([':', ',', ' ']).filter(|name| !name.is_empty());
        for name in names {
            match read(name) {
                // A name that comes again says nothing new.
                Ok(read) if list.contains(&read) => {}
                Ok(read) => list.push(read),
                Err(wrong) => {
                    wrongs.push((
                        item.span(),
                        format!("`{option}` holds \"{name}\", which {wrong}"),
                    ));
                }
            }
        }
    }
    if wrongs.len() > before {
        return None;
    }
    if list.is_empty() {
        let wrong = format!(
            "`{option}` names nothing, which leaves nothing to offer; remove it for the default"
        );
        wrongs.push((value.span(), wrong));
        return None;
    }
    Some(list)
}

/// Options of OpenSSL: what is so in any case is taken.
fn openssl_option(name: &str) -> Result<(), String> {
    match name {
        "cipher_server_preference"
        | "no_compression"
        | "no_renegotiation"
        | "no_session_resumption_on_renegotiation"
        | "no_sslv2"
        | "no_sslv3"
        | "no_ticket"
        | "no_tlsv1"
        | "no_tlsv1_1"
        | "single_dh_use"
        | "single_ecdh_use" => Ok(()),
        "no_tlsv1_2" | "no_tlsv1_3" => {
            Err("is said by `protocol`: \"tlsv1_3\" or \"tlsv1_2\"".to_owned())
        }
        _ => Err(
            "does nothing here; there are cipher_server_preference, no_compression, no_renegotiation, no_ticket, single_dh_use and \
             single_ecdh_use, all of which are so in any case: `options` can go"
                .to_owned(),
        ),
    }
}

/// What is said of other names.
fn not_here(option: &str, name: &str) -> String {
    let why = match name {
        "password" => {
            "remove it: a key that needs a password is not read; write one without by openssl pkey -in FILE -out FILE.key"
        }
        "cafile" | "capath" | "depth" | "verify" | "verifyext" => {
            "remove it: clients are asked for no certificate, unless `c2s_ca_file` names the authorities, and may always sign in without one; \
             which authorities are trusted with saying who other servers are, `s2s_ca_file` says"
        }
        _ => {
            return format!(
                "there is no `{option}.{name}`; there are certificate, ciphers, ciphersuites, curveslist, dhparam, key, options, protocol"
            );
        }
    };
    format!("`{option}.{name}` is not an option here; {why}")
}

#[cfg(test)]
mod tests;
