//! `check config`, the part of other servers.

use super::certificates::{Host, named};
use crate::config::Settings;
use crate::tls::Roots;

/// Which hosts are shut out of the network, or that all are; `None` where none is.
pub(super) fn line(settings: &Settings, hosts: &[Host]) -> Option<String> {
    if settings.config.federation.rules.are_isolated() {
        return Some("other servers: this one talks to none".to_owned());
    }
    let lacking = hosts.iter().filter(|host| !host.has_accepted());
    let lacking: Vec<_> = lacking.map(|host| host.host.as_str()).collect();
    if lacking.is_empty() {
        return None;
    }
    Some(format!(
        "other servers: none that wants a certificate talks to {}, because there is none for it that is accepted",
        named(&lacking, hosts.len())
    ))
}

/// Why the authorities of other servers cannot be used that are named.
pub(super) fn authorities(settings: &Settings) -> Option<String> {
    let file = settings.s2s_ca_file.as_deref()?;
    let error = Roots::read(file).err()?;
    Some(format!(
        "`s2s_ca_file`: {error}; a server does not start with that"
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::source::Source;
    use super::super::certificates;
    use super::*;
    use crate::tls::made::{Authority, Certs, params, self_made};

    fn settings(certs: &Certs, options: &str) -> Settings {
        let text = format!(
            "certificates = {:?}\n{options}\n[host.\"a.example\"]\n[host.\"b.example\"]\nc2s_require_encryption = false\n",
            certs.root()
        );
        Settings::parse(&text, Path::new("spondee.toml"), certs.root()).unwrap()
    }

    fn said(certs: &Certs, options: &str) -> Option<String> {
        let settings = settings(certs, options);
        let checked = certificates::check(&settings, &Source::File("spondee.toml".into()));
        line(&settings, &checked.hosts)
    }

    #[test]
    fn a_host_that_other_servers_would_not_know_is_named() {
        let certs = Certs::new();
        certs.put("a.example", &self_made(&params(&["a.example"], 60)));
        let lacking = said(&certs, "").unwrap();
        assert!(lacking.contains("talks to b.example,"), "{lacking}");
        certs.put("b.example", &self_made(&params(&["b.example"], -1)));
        assert_eq!(said(&certs, ""), Some(lacking));
        certs.put("b.example", &self_made(&params(&["b.example"], 60)));
        assert_eq!(said(&certs, ""), None);
        let alone = said(&certs, "s2s_allowed_domains = []").unwrap();
        assert!(alone.contains("talks to none"), "{alone}");
    }

    #[test]
    fn authorities_that_cannot_be_read_are_a_fault_before_a_start() {
        let certs = Certs::new();
        let told = |options: &str| authorities(&settings(&certs, options));
        assert_eq!(told(""), None);
        let gone = told("s2s_ca_file = \"ca.pem\"").unwrap();
        assert!(gone.starts_with("`s2s_ca_file`: "), "{gone}");
        certs.write("ca.pem", &Authority::root("root").certificate);
        assert_eq!(told("s2s_ca_file = \"ca.pem\""), None);
    }
}
