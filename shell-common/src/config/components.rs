//! The sections of components: one for each name that another program serves.

use std::collections::BTreeMap;

use spondee_core::config::{ComponentConfig, Host};
use spondee_core::jid::Domain;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::options::{self, Section, fault_of};
use super::reader::{Asks, Reader};
use super::sections::{COMPONENT, Key, is_section, leaves, why};

/// Reads them into the hosts.
pub(super) fn read<'a, 't>(
    table: &'a DeTable<'t>,
    reader: &mut Reader<'a, 't, '_>,
    hosts: &mut BTreeMap<Domain, Host>,
    warnings: &mut Vec<String>,
) {
    let Some(written) = table.get(COMPONENT) else {
        return;
    };
    let Some(sections) = written.get_ref().as_table() else {
        let fault = format!(
            "`{COMPONENT}` is not an option but begins a section: [{COMPONENT}.\"irc.example.org\"]"
        );
        return reader.faults.at(&written.span(), fault);
    };
    for (name, value) in sections {
        let Some((domain, component)) = component(name, value, reader) else {
            reader.take_warnings();
            continue;
        };
        let warned = reader.take_warnings();
        warnings.extend(
            warned
                .iter()
                .map(|text| format!("component {domain}: {text}")),
        );
        let fault = match hosts.get(&domain) {
            Some(Host::Accounts(_)) => format!(
                "{domain} has a section as a host, and one as a component: a component serves a name of its own, such as irc.{domain}"
            ),
            Some(Host::Component(_)) => format!("the component {domain} has two sections"),
            None => {
                hosts.insert(domain, Host::Component(component));
                continue;
            }
        };
        reader.faults.at(&name.span(), fault);
    }
}

fn component<'a, 't>(
    name: &Key<'_>,
    value: &'a Spanned<DeValue<'t>>,
    reader: &mut Reader<'a, 't, '_>,
) -> Option<(Domain, ComponentConfig)> {
    let span = name.span();
    let name = name.get_ref();
    let Some(table) = value.get_ref().as_table() else {
        // A section without a name is the more likely mistake.
        let fault = match options::is_known(name) {
            true => format!(
                "the section of a component has its name: [{COMPONENT}.\"irc.example.org\"]"
            ),
            false => format!(
                "`{COMPONENT}.{name}` is not an option but begins a section: [{COMPONENT}.\"{name}\"]"
            ),
        };
        reader.faults.at(&span, fault);
        return None;
    };
    if table.iter().any(is_section) {
        for (span, name) in leaves(name, table) {
            let fault =
                format!("the name of a component stands in quotes: [{COMPONENT}.\"{name}\"]");
            reader.faults.at(&span, fault);
        }
        return None;
    }
    for (key, _) in table {
        if let Some(fault) = fault_of(key.get_ref(), Section::Component) {
            reader.faults.at(&key.span(), fault);
        }
    }
    reader.on_behalf_of(Asks::Component(Some(table)));
    let component = ComponentConfig::read(reader);
    let Ok(domain) = Domain::parse(name) else {
        let fault = format!("\"{name}\" is not the name of a component{}", why(name));
        reader.faults.at(&span, fault);
        return None;
    };
    // What is wrong with one that is there has been told.
    if component.is_none() && !table.contains_key("component_secret") {
        let fault = format!(
            "the component {domain} has no secret: write component_secret = {{ file = \"/etc/spondee/{domain}.secret\" }} into its section, and \
             the secret of its own configuration into that file, which nobody but the user of the server may read (mode 0600)"
        );
        reader.faults.at(&span, fault);
    }
    component.map(|component| (domain, component))
}
