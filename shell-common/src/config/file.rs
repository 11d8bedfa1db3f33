//! The TOML syntax: keys with Prosody's names, unknown ones refused with line number and suggestion.

use std::path::Path;

use spondee_core::config::{ComponentConfig, HostConfig};
use spondee_core::options::Source as _;
use toml::de::DeTable;

use super::reader::{Asks, Reader};
use super::secret::Places;
use super::sections::Hosts;
use super::server::Server;
use super::value::Faults;
use super::{
    ConfigError, Settings, components, core_config, foreign, ldap, options, sections, ssl, syntax,
};

/// Reads the text of a file. Relative paths start where `places` says.
///
/// # Errors
/// All faults, with what can be read in spite of them.
pub(super) fn read(source: &str, file: &Path, places: &Places) -> Result<Settings, ConfigError> {
    let mut faults = Faults::new(source);
    let (document, errors) = DeTable::parse_recoverable(source);
    if errors.is_empty() {
        let settings = settings(document.get_ref(), places, &mut faults);
        return match faults.is_empty() {
            true => Ok(settings),
            false => {
                let rest = faults.rest(settings);
                Err(faults.into_error(file, Some(rest)))
            }
        };
    }
    if let Some(sentence) = foreign::recognise(source) {
        faults.whole(sentence);
        return Err(faults.into_error(file, None));
    }
    let Some(left) = syntax::diagnose(source, errors, &mut faults) else {
        return Err(faults.into_error(file, None));
    };
    let (document, _) = DeTable::parse_recoverable(&left.text);
    let mut more = Faults::new(&left.text);
    more.miss(left.headers);
    let settings = settings(document.get_ref(), places, &mut more);
    let rest = more.rest(settings);
    faults.merge(more);
    Err(faults.into_error(file, Some(rest)))
}

/// What the options of components stand below.
pub(super) const COMPONENTS: &str = "Components";

/// Asks for everything there is to say: of the server, and of all hosts.
pub(super) fn ask(reader: &mut Reader<'_, '_, '_>) -> Server {
    let server = Server::read(reader);
    reader.on_behalf_of(Asks::Hosts);
    // What it comes to, each host asks for itself.
    ssl::read(reader);
    HostConfig::read(reader);
    ldap::read(reader, None);
    reader.on_behalf_of(Asks::Component(None));
    reader.part(COMPONENTS);
    ComponentConfig::read(reader);
    server
}

/// Everything the file says; what it says wrong is noted and at its default.
fn settings(table: &DeTable<'_>, places: &Places, faults: &mut Faults<'_>) -> Settings {
    let base = &places.base;
    sections::misplaced(table, faults);
    let mut reader = Reader::new(table, faults).with_secrets(places);
    let server = ask(&mut reader);
    reader.doubt_missing(&["data_directory", "certificates"]);
    let mut warnings = reader.take_warnings();
    let Hosts {
        mut hosts,
        tls,
        directories,
    } = sections::hosts(table, &mut reader, &mut warnings);
    components::read(table, &mut reader, &mut hosts, &mut warnings);
    if options::of_hosts().any(|option| !faults.trusts(option)) {
        // They might be of a default that nobody chose.
        warnings.clear();
    }
    Settings {
        config: core_config(
            hosts,
            server.peers.limits,
            server.peers.federation,
            server.threads,
        ),
        listen: server.peers.listen,
        data_directory: base.join(server.data_directory),
        certificates: base.join(server.certificates),
        certificates_watch: server.certificates_watch,
        tls,
        directories,
        name_server: server.name_server,
        s2s_ca_file: server.peers.authorities,
        log_level: server.log_level,
        connections: server.peers.connections,
        warnings,
    }
}
