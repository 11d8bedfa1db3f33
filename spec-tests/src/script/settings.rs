//! Settings of a case's server: `@ WORDS`.
//!
//! `@ option NAME VALUE` is an option by the name that an administrator writes: a number, a time in seconds, or a word. All that has a
//! place in the core's configuration besides has words of its own below.

use std::ops::RangeInclusive;
use std::time::Duration;

use spondee_core::archive::Policy;
use spondee_core::config::{
    ComponentConfig, Config, ConflictResolve, Host, HostConfig, TlsAvailable,
};
use spondee_core::jid::Domain;
use spondee_core::limits::Limits;
use spondee_core::options::{Description, Expiry, Item, Number, Source};
use spondee_core::rate::Rate;
use spondee_core::registration::WhoRegisters;
use spondee_core::sasl::{Encryption, Provider};
use spondee_core::secret::Secret;
use spondee_core::xep::Uri;

/// Applies the options of a case, all at once.
pub(super) fn options(config: &mut Config, settings: &[Vec<String>]) -> Result<(), String> {
    let mut said = Said::default();
    for setting in settings {
        match setting.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["option", name, value] => said.options.push((name, value, Use::Unasked)),
            ["option", ..] => return Err(format!("an option has a name and a value: {setting:?}")),
            _ => {}
        }
    }
    if said.options.is_empty() {
        return Ok(());
    }
    let shards = config.shards;
    for host in config.accounts_mut() {
        let rounds = host.rounds;
        let archive = host.archive.clone();
        *host = HostConfig {
            rounds,
            archive,
            ..HostConfig::read(&mut said)
        };
    }
    config.limits = Limits::read(&mut said);
    config.shards = shards;
    let unasked = said.options.iter().find(|(.., used)| *used == Use::Unasked);
    match (unasked, said.fault) {
        (Some((name, ..)), _) => Err(format!("there is no option {name}")),
        (None, Some(fault)) => Err(fault),
        (None, None) => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Use {
    Unasked,
    Asked,
}

/// A source in which this is said.
#[derive(Debug, Default)]
struct Said<'a> {
    options: Vec<(&'a str, &'a str, Use)>,
    fault: Option<String>,
}

impl Said<'_> {
    /// What `read` makes of the value, or the default where none is said.
    fn value<T>(&mut self, name: &str, default: T, read: impl Fn(&str) -> Option<T>) -> T {
        let Some((_, value, used)) = self.options.iter_mut().find(|(said, ..)| *said == name)
        else {
            return default;
        };
        *used = Use::Asked;
        read(value).unwrap_or_else(|| {
            self.fault = Some(format!("{name} cannot be {value}"));
            default
        })
    }
}

impl Source for Said<'_> {
    fn part(&mut self, _: &'static str) {}

    fn number<T: Number>(
        &mut self,
        option: &Description,
        default: T,
        bounds: RangeInclusive<T>,
    ) -> T {
        self.value(option.name, default, |text| {
            let number = text.parse::<i64>().ok().and_then(|n| T::try_from(n).ok());
            number.filter(|number| bounds.contains(number))
        })
    }

    fn either<T: Copy + PartialEq>(&mut self, option: &Description, default: T, of: [T; 2]) -> T {
        self.value(option.name, default, |text| match text {
            "true" => Some(of[0]),
            "false" => Some(of[1]),
            _ => None,
        })
    }

    fn word_but<T: Copy + PartialEq>(
        &mut self,
        option: &Description,
        default: T,
        words: &[(&'static str, T)],
        _: &[(&'static str, &'static str)],
    ) -> T {
        self.value(option.name, default, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, meaning)| *meaning)
        })
    }

    fn period(
        &mut self,
        option: &Description,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        self.value(option.name, default, |text| {
            let period = text.parse().ok().map(Duration::from_secs);
            period.filter(|period| bounds.contains(period))
        })
    }

    fn expiry(
        &mut self,
        option: &Description,
        default: Expiry,
        _: RangeInclusive<Duration>,
    ) -> Expiry {
        self.value(option.name, default, |text| match text {
            "never" => Some(Expiry::Never),
            _ => expiry(text).ok(),
        })
    }

    fn text<T: Item>(&mut self, option: &Description) -> Option<T> {
        self.value(option.name, None, |text| T::read(text).map(Some))
    }

    fn list<T: Item>(&mut self, _: &Description, default: &[&'static str]) -> Vec<T> {
        default.iter().filter_map(|item| T::read(item)).collect()
    }

    fn lists<T: Item>(
        &mut self,
        _: &Description,
        _: &[&'static str],
    ) -> Vec<(&'static str, Vec<T>)> {
        Vec::new()
    }

    fn secret(&mut self, option: &Description) -> Option<Secret> {
        self.value(option.name, None, |text| {
            Some(Some(Secret::new(text.as_bytes().to_vec())))
        })
    }

    fn rates<const N: usize>(
        &mut self,
        _: &Description,
        _: [(&'static str, &'static str); N],
    ) -> [Option<Rate>; N] {
        [None; N]
    }

    fn contradiction(&mut self, _: &[&'static str], sentence: String) {
        self.fault = Some(sentence);
    }

    fn warn(&mut self, _: String) {}
}

/// Applies one setting that is no option by name.
pub(super) fn set(config: &mut Config, setting: &[String]) -> Result<(), String> {
    let words: Vec<&str> = setting.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["shards", count] => config.shards = count.parse().map_err(|_| "not a number")?,
        ["limit", "c2s_stanza_bytes", bytes] => config.limits.c2s_stanza_bytes = number(bytes)?,
        ["guests", name] => add_host(config, name, "anonymous")?,
        ["directory", name] => add_host(config, name, "ldap")?,
        ["limit", "session_queue_bytes", bytes] => {
            config.limits.session_queue_bytes = number(bytes)? as usize;
        }
        ["limit", "sessions_per_account", count] => {
            config.limits.sessions_per_account = number(count)? as usize;
        }
        ["component", name, secret] => {
            let name = Domain::parse(name).map_err(|e| format!("{e:?}"))?;
            let component = ComponentConfig {
                secret: Secret::new((*secret).into()),
                tls: TlsAvailable::No,
            };
            config.hosts.insert(name, Host::Component(component));
        }
        ["registration", "throttle", count] => {
            config.limits.registrations_per_address = number(count)?;
        }
        ["registration", "total", count] => config.limits.registrations = number(count)?,
        _ => {
            for host in config.accounts_mut() {
                set_host(host, &words)?;
            }
        }
    }
    Ok(())
}

/// One more host, with this `authentication`.
fn add_host(config: &mut Config, name: &str, authentication: &str) -> Result<(), String> {
    let mut said = Said::default();
    let authentication = ("authentication", authentication, Use::Unasked);
    said.options.push(authentication);
    let host = Domain::parse(name).map_err(|e| format!("{e:?}"))?;
    let added = Host::Accounts(HostConfig::read(&mut said));
    config.hosts.insert(host, added);
    Ok(())
}

/// The same, of one host.
fn set_host(host: &mut HostConfig, words: &[&str]) -> Result<(), String> {
    match words {
        ["encryption", "optional"] => host.sasl.encryption = Encryption::Optional,
        ["tls", "none"] => host.tls = TlsAvailable::No,
        ["conflict", "kick_new"] => host.conflict = ConflictResolve::KickNew,
        ["conflict", "random"] => host.conflict = ConflictResolve::Random,
        ["conflict", "increment"] => host.conflict = ConflictResolve::Increment,
        ["archive", policy] => {
            host.archive.policy = Policy::from_name(policy).ok_or("no such policy")?;
        }
        ["offline", "messages", count] => host.archive.max_offline = number(count)?,
        ["offline", "expires", seconds] => {
            host.archive.offline_expires_after = expiry(seconds)?;
        }
        ["archive", "results", count] => host.archive.max_results = number(count)?,
        ["archive", "messages", count] => {
            host.archive.max_messages = u64::from(number(count)?);
        }
        ["archive", "expires", seconds] => {
            host.archive.expires_after = expiry(seconds)?;
        }
        ["roster", "contacts", count] => {
            host.roster.max_contacts = number(count)? as usize;
        }
        ["roster", "requests", count] => {
            host.roster.max_requests = number(count)? as usize;
        }
        ["blocklist", "items", count] => {
            host.blocking.max_items = number(count)? as usize;
        }
        ["private", "items", count] => {
            host.private.max_items = number(count)? as usize;
        }
        ["registration", "anybody"] => host.registration.by = WhoRegisters::Anybody,
        ["contact", kind, uri] => {
            let uri = Uri::read(uri).ok_or("not a URI")?;
            host.contacts.add(kind, uri).ok_or("no such contact")?;
        }
        ["passwords", "kept"] => host.provider = Provider::Plain,
        ["enable", mechanism] => host.sasl.disable.retain(|name| name != mechanism),
        ["disable", mechanism] => host.sasl.disable.push((*mechanism).to_owned()),
        _ => return Err("no such setting".to_owned()),
    }
    Ok(())
}

/// A number that is said.
fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "not a number".to_owned())
}

fn expiry(seconds: &str) -> Result<Expiry, String> {
    let seconds = seconds.parse().map_err(|_| "not a number")?;
    Ok(Expiry::After(Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::config;

    fn with(text: &str) -> Result<Config, String> {
        let settings: Vec<Vec<String>> = text
            .lines()
            .map(|line| line.split(' ').map(str::to_owned).collect())
            .collect();
        let mut config = config();
        options(&mut config, &settings).map(|()| config)
    }

    #[test]
    fn options_are_said_by_the_administrators_names() {
        let base = config();
        let made = with("option roster_max_contacts 3\noption max_sessions_per_account 2").unwrap();
        assert_eq!(made.limits.sessions_per_account, 2);
        let hosts = made.realms().zip(base.realms());
        for ((_, made), (_, base)) in hosts {
            assert_eq!(made.roster.max_contacts, 3);
            assert_eq!((made.rounds, &made.archive), (base.rounds, &base.archive));
        }
        assert!(with("option roster_max_contracts 3").is_err());
        assert!(with("option roster_max_contacts many").is_err());
        assert!(with("option roster_max_contacts").is_err());
    }
}
