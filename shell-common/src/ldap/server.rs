//! Where a directory is: `ldap_server`, as text.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A server of a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Server {
    /// Somewhere.
    Network {
        /// A name or an address.
        name: String,
        /// 389, or 636 with TLS from the start.
        port: u16,
        /// What guards what is said.
        security: Security,
    },
    /// Here, by a socket of the file system.
    Local(PathBuf),
}

/// What guards what is said to a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Security {
    /// Nothing.
    Clear,
    /// TLS, asked for before anything else is said (RFC 4511 §4.14).
    StartTls,
    /// TLS from the start.
    Tls,
}

impl Server {
    /// Reads `ldap://NAME:PORT`, `ldaps://NAME:PORT`, `ldapi://PATH`, or `NAME:PORT` alone, as Prosody has it.
    ///
    /// # Errors
    /// What completes "`ldap_server` …".
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("ldap", text));
        let (security, port) = match scheme.to_ascii_lowercase().as_str() {
            "ldap" => (Security::Clear, 389),
            "ldaps" => (Security::Tls, 636),
            "ldapi" => return local(rest),
            other => {
                return Err(format!(
                    "begins with {other}://; there are ldap://, ldaps:// and ldapi://"
                ));
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '@', ' ']) {
            return Err(format!(
                "holds more than a name and a port (\"{rest}\"); where to look is said by `ldap_base`, and who looks by `ldap_rootdn`"
            ));
        }
        let (name, port) = name_and_port(rest, port)?;
        if name.is_empty() {
            return Err("names no server: ldap://ldap.example.org".to_owned());
        }
        Ok(Self::Network {
            name,
            port,
            security,
        })
    }

    /// The same, but TLS is asked for where it does not begin by itself.
    #[must_use]
    pub fn with_start_tls(mut self) -> Self {
        if let Self::Network { security, .. } = &mut self
            && *security == Security::Clear
        {
            *security = Security::StartTls;
        }
        self
    }

    /// Whether passwords go over a network that others may listen to.
    #[must_use]
    pub fn exposes_passwords(&self) -> bool {
        match self {
            Self::Network {
                name,
                security: Security::Clear,
                ..
            } => {
                let is_loopback = name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
                !is_loopback && name != "localhost"
            }
            Self::Network { .. } | Self::Local(_) => false,
        }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network {
                name,
                port,
                security,
            } => {
                let scheme = match security {
                    Security::Clear | Security::StartTls => "ldap",
                    Security::Tls => "ldaps",
                };
                match name.contains(':') {
                    true => write!(f, "{scheme}://[{name}]:{port}"),
                    false => write!(f, "{scheme}://{name}:{port}"),
                }
            }
            Self::Local(path) => write!(f, "ldapi://{}", path.display()),
        }
    }
}

fn name_and_port(text: &str, default: u16) -> Result<(String, u16), String> {
    let (name, port) = if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = rest
            .split_once(']')
            .ok_or_else(|| format!("has a [ without ] (\"{text}\")"))?;
        (name, rest.strip_prefix(':'))
    } else {
        match text.split_once(':') {
            // An address of IPv6 without brackets.
            Some((_, port)) if port.contains(':') => (text, None),
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        None => default,
        Some(port) => {
            let number = port.parse().ok().filter(|number| *number > 0);
            number.ok_or_else(|| format!("has no port in \"{port}\", which is from 1 to 65535"))?
        }
    };
    Ok((name.to_owned(), port))
}

/// The path, as it is or as it stands in a URL.
fn local(text: &str) -> Result<Server, String> {
    let mut path = String::new();
    let mut parts = text.split('%');
    path.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let byte = part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let byte = byte.filter(u8::is_ascii);
        path.push(char::from(byte.ok_or_else(|| {
            format!("has a % without two hexadecimal digits behind it (\"{text}\")")
        })?));
        path.push_str(part.get(2..).unwrap_or_default());
    }
    match Path::new(&path).is_absolute() {
        true => Ok(Server::Local(path.into())),
        false => Err("needs the path of a socket: ldapi:///var/run/slapd/ldapi".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str, port: u16, security: Security) -> Server {
        Server::Network {
            name: name.to_owned(),
            port,
            security,
        }
    }

    #[test]
    fn servers_are_named_as_in_urls_or_as_in_prosody() {
        use Security::{Clear, Tls};
        for (text, expected) in [
            ("localhost", network("localhost", 389, Clear)),
            (
                "ldap.example.org:3890",
                network("ldap.example.org", 3890, Clear),
            ),
            (
                "ldap://ldap.example.org/",
                network("ldap.example.org", 389, Clear),
            ),
            (
                "LDAPS://ldap.example.org",
                network("ldap.example.org", 636, Tls),
            ),
            (
                "ldaps://[2001:db8::1]:6360",
                network("2001:db8::1", 6360, Tls),
            ),
            ("::1", network("::1", 389, Clear)),
            (
                "ldapi:///run/slapd/ldapi",
                Server::Local("/run/slapd/ldapi".into()),
            ),
            ("ldapi://%2Frun%2Fldapi", Server::Local("/run/ldapi".into())),
        ] {
            assert_eq!(Server::parse(text), Ok(expected), "{text}");
        }
        let shown = ["ldap://a:389", "ldaps://[::1]:636", "ldapi:///run/ldapi"];
        for text in shown {
            assert_eq!(Server::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_server_is_told() {
        for (text, words) in [
            ("http://a", "begins with http://"),
            ("ldap://", "names no server"),
            ("ldap://a/dc=example,dc=org?uid", "`ldap_base`"),
            ("ldap://cn=admin@a", "`ldap_rootdn`"),
            ("a b", "more than a name and a port"),
            ("a:0", "from 1 to 65535"),
            ("a:ldap", "no port in \"ldap\""),
            ("[::1", "a [ without ]"),
            ("ldapi://", "needs the path of a socket"),
            ("ldapi://run/ldapi", "needs the path of a socket"),
            ("ldapi://%2", "two hexadecimal digits"),
        ] {
            let fault = Server::parse(text).unwrap_err();
            assert!(fault.contains(words), "{text}: {fault}");
        }
    }

    #[test]
    fn passwords_are_exposed_without_tls_beyond_this_machine() {
        for (text, exposed) in [
            ("ldap://ldap.example.org", true),
            ("192.0.2.1", true),
            ("ldaps://ldap.example.org", false),
            ("localhost", false),
            ("127.0.0.1", false),
            ("[::1]:389", false),
            ("ldapi:///run/ldapi", false),
        ] {
            let server = Server::parse(text).unwrap();
            assert_eq!(server.exposes_passwords(), exposed, "{text}");
            assert!(!server.with_start_tls().exposes_passwords(), "{text}");
        }
    }
}
