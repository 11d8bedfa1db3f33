//! All options, as they are asked for, and what to say of a name that is none of them.

use std::sync::LazyLock;

use spondee_core::options::{Description, Shown, Whose};
use toml::de::DeTable;

use super::file;
use super::reader::Reader;
use super::value::Faults;

/// Everything that is asked for, in that order.
pub(super) static ASKED: LazyLock<Vec<Asked>> = LazyLock::new(|| {
    let mut asked = Vec::new();
    let (nothing, mut faults) = (DeTable::new(), Faults::new(""));
    let mut reader = Reader::new(&nothing, &mut faults).remembering(&mut asked);
    file::ask(&mut reader);
    asked
});

/// An option that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The heading it stands below.
    pub(super) part: &'static str,
    pub(super) option: Description,
    pub(super) kind: Kind,
    /// As the example has it, but for a `#` in front of what is no default.
    pub(super) line: String,
}

impl Asked {
    pub(super) fn new(part: &'static str, option: Description, kind: Kind, default: &str) -> Self {
        let value = match option.shown {
            Shown::Default => default,
            Shown::Instead(value) => value,
        };
        Self {
            part,
            option,
            kind,
            line: format!("{} = {value}", option.name),
        }
    }

    const fn is_of_host(&self) -> bool {
        match self.option.whose {
            Whose::Host(_) => true,
            Whose::Server | Whose::Component => false,
        }
    }

    fn is_of_component(&self) -> bool {
        self.option.whose == Whose::Component
    }
}

/// What the value of an option is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Number,
    /// One number or a list of them.
    Numbers,
    /// A number of seconds, or text that says how many minutes.
    Period,
    /// The same, or text that says that there is no end.
    Expiry,
    /// Text, or a table that says where it is. Never shown.
    Secret,
    Table,
    Text,
    /// One text or a list of them.
    Texts,
    /// True or false.
    Truth,
}

fn asked(name: &str) -> Option<&'static Asked> {
    ASKED.iter().find(|asked| asked.option.name == name)
}

/// The options that can stand in the section of a host.
pub(super) fn of_hosts() -> impl Iterator<Item = &'static str> {
    ASKED
        .iter()
        .filter(|asked| asked.is_of_host())
        .map(|asked| asked.option.name)
}

/// The options that can stand in the section of a component.
fn of_components() -> impl Iterator<Item = &'static str> {
    ASKED
        .iter()
        .filter(|asked| asked.is_of_component())
        .map(|asked| asked.option.name)
}

/// Whether there is such an option.
pub(super) fn is_known(name: &str) -> bool {
    asked(name).is_some()
}

/// The line of the example that has this option.
pub(super) fn example(name: &str) -> Option<&'static str> {
    asked(name).map(|asked| asked.line.as_str())
}

/// What the value of an option is.
pub(super) fn kind(name: &str) -> Option<Kind> {
    asked(name).map(|asked| asked.kind)
}

/// Where an option stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Section {
    /// Above the first section.
    Server,
    /// In the section of a host.
    Host,
    /// In the section of a component.
    Component,
}

/// What is wrong with this name in this section; `None` if nothing is.
pub(super) fn fault_of(name: &str, section: Section) -> Option<String> {
    match (asked(name), section) {
        (Some(asked), Section::Component) if asked.is_of_component() => return None,
        (Some(_), Section::Component) => {
            let own: Vec<String> = of_components().map(|name| format!("`{name}`")).collect();
            return Some(format!(
                "`{name}` is no option of a component, which has {} alone",
                own.join(", ")
            ));
        }
        (Some(asked), Section::Server | Section::Host) if asked.is_of_component() => {
            return Some(format!(
                "`{name}` is an option of one component; put it into its section, [component.\"irc.example.org\"]"
            ));
        }
        (Some(_), Section::Server) => return None,
        (Some(asked), Section::Host) if asked.is_of_host() => return None,
        (Some(_), Section::Host) => {
            return Some(format!(
                "`{name}` is an option of the whole server; put it above the first [host] section"
            ));
        }
        (None, Section::Server | Section::Host | Section::Component) => {}
    }
    if let Some((_, advice)) = INSTEAD.iter().find(|(other, _)| *other == name) {
        return Some(format!("`{name}` is not an option here: {advice}"));
    }
    if NOT_YET.contains(&name)
        || NOT_YET_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
    {
        return Some(format!(
            "`{name}` is an option of Prosody that is not supported yet; remove it"
        ));
    }
    Some(match nearest(name, section) {
        Some(near) => format!("there is no option `{name}`; did you mean `{near}`?"),
        None => format!("there is no option `{name}`"),
    })
}

/// Whether `fault_of` has more to say of a name than that there is no such option.
pub(super) fn is_prosodys(name: &str) -> bool {
    INSTEAD.iter().any(|(other, _)| *other == name)
        || NOT_YET.contains(&name)
        || NOT_YET_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// The option most like `name`, if one is like it at all: one letter in three may differ.
fn nearest(name: &str, section: Section) -> Option<&'static str> {
    ASKED
        .iter()
        .filter(|asked| match section {
            Section::Server => !asked.is_of_component(),
            Section::Host => asked.is_of_host(),
            Section::Component => asked.is_of_component(),
        })
        .map(|asked| asked.option.name)
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min()
        .map(|(_, known)| known)
}

/// Options of Prosody, and names that come to mind, for which there is something else, or no need.
const INSTEAD: &[(&str, &str)] = &[
    (
        "Component",
        "begin a section [component.\"irc.example.org\"] for each component",
    ),
    ("component_interface", "use `component_interfaces`"),
    ("component_port", "use `component_ports`"),
    (
        "VirtualHost",
        "begin a section [host.\"example.org\"] for each host",
    ),
    ("cert_dir", "use `certificates`"),
    ("certs", "use `certificates`"),
    (
        "csi_important_payloads",
        "what wakes a client that nobody looks at is the same for everybody",
    ),
    (
        "csi_resume_inactive_delay",
        "a client that comes back is active until it says otherwise",
    ),
    ("daemonize", "the server stays in the foreground"),
    ("data", "use `data_directory`"),
    ("data_dir", "use `data_directory`"),
    ("data_path", "use `data_directory`"),
    (
        "hosts",
        "begin a section [host.\"example.org\"] for each host",
    ),
    (
        "ldap_admin_filter",
        "nobody is an administrator by an entry of the directory: who may use the server's files is one, by the command `spondee`; remove it",
    ),
    (
        "ldap_admins",
        "nobody is an administrator by an entry of the directory: who may use the server's files is one, by the command `spondee`; remove it",
    ),
    ("legacy_ssl_ports", "use `c2s_direct_tls_ports`"),
    ("listen", "use `interfaces` and `c2s_ports`"),
    ("log", "use `log_level`"),
    ("max_roster_size", "use `roster_max_contacts`"),
    ("modules_disabled", "features are built in, not loaded"),
    ("modules_enabled", "features are built in, not loaded"),
    (
        "network_backend",
        "there is one way in which the server waits",
    ),
    (
        "password_hash",
        "keys for SHA-1, SHA-256 and SHA-512 are kept side by side",
    ),
    (
        "pidfile",
        "the server stays in the foreground, where its service manager knows it",
    ),
    ("port", "use `c2s_ports`"),
    ("ports", "use `c2s_ports`"),
    (
        "require_encryption",
        "use `c2s_require_encryption` and `s2s_require_encryption`",
    ),
    ("s2s_blacklist", "use `s2s_refused_domains`"),
    ("s2s_whitelist", "use `s2s_allowed_domains`"),
    ("ssl_ports", "use `c2s_direct_tls_ports`"),
    (
        "storage",
        "everything is stored in the directory `data_directory`",
    ),
    ("use_libevent", "there is one way in which the server waits"),
];

/// Options of Prosody for features that are to come. Beside these, all with the prefixes below.
const NOT_YET: &[&str] = &[
    "admin_socket",
    "admins",
    "c2s_tcp_keepalives",
    "cross_domain_bosh",
    "default_archive_policy",
    "disco_items",
    "external_services",
    "groups_file",
    "max_archive_query_results",
    "motd_text",
    "name",
    "restrict_room_creation",
    "server_info",
    "sql",
    "statistics",
    "tcp_keepalives",
    "use_dane",
    "use_ipv4",
    "use_ipv6",
    "welcome_message",
];

const NOT_YET_PREFIXES: &[&str] = &[
    "archive_",
    "bosh_",
    "component_",
    "http_",
    "https_",
    "invite",
    "muc_",
    "pep_",
    "proxy65_",
    "push_",
    "registration_",
    "s2s_",
    "smacks_",
    "turn_external_",
    "websocket_",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_of_the_kind_its_example_shows() {
        for (option, expected) in [
            ("c2s_ports", Kind::Numbers),
            ("c2s_close_timeout", Kind::Period),
            ("user_tombstone_expiry", Kind::Expiry),
            ("c2s_require_encryption", Kind::Truth),
            ("interfaces", Kind::Texts),
            ("limits", Kind::Table),
            ("log_level", Kind::Text),
            ("threads", Kind::Number),
            ("unlimited_addresses", Kind::Texts),
        ] {
            assert_eq!(kind(option), Some(expected), "{option}");
        }
    }

    #[test]
    fn suggests_the_option_that_was_meant() {
        for (typo, meant) in [
            ("c2s_prots", "c2s_ports"),
            ("c2s-ports", "c2s_ports"),
            ("conflict_resolv", "conflict_resolve"),
            ("certificat", "certificate"),
        ] {
            let fault = fault_of(typo, Section::Server).unwrap();
            assert!(
                fault.contains(&format!("did you mean `{meant}`")),
                "{fault}"
            );
        }
        let fault = fault_of("frobnicate", Section::Server).unwrap();
        assert_eq!(fault, "there is no option `frobnicate`");
    }

    #[test]
    fn does_not_suggest_for_a_host_what_only_the_server_has() {
        let fault = fault_of("c2s_prots", Section::Host).unwrap();
        assert!(!fault.contains("c2s_ports"), "{fault}");
        let fault = fault_of("c2s_ports", Section::Host).unwrap();
        assert!(fault.contains("whole server"), "{fault}");
    }

    #[test]
    fn tells_what_prosody_has_from_what_nobody_has() {
        for name in ["admins", "s2s_tcp_keepalives", "muc_log_by_default"] {
            assert!(
                fault_of(name, Section::Server)
                    .unwrap()
                    .contains("not supported yet")
            );
        }
        for name in ["require_encryption", "modules_enabled"] {
            assert!(
                fault_of(name, Section::Host)
                    .unwrap()
                    .contains("not an option here")
            );
        }
    }
}
