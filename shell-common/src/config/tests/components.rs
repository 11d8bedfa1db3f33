//! Components: where they connect, and what is said of sections that are wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use spondee_core::config::Host;
use spondee_core::port::Expected;

use super::*;
use crate::scratch::Scratch;

const ONE: &str = "[component.\"irc.a.example\"]\ncomponent_secret = \"s3cret\"\n";

fn addresses(text: &str) -> Vec<String> {
    let settings = read(&format!("{text}[host.\"a.example\"]\n")).unwrap();
    let listen = settings.listen.iter();
    let theirs = listen.filter(|listen| listen.listener.expected == Expected::Components);
    theirs.map(|listen| listen.address.to_string()).collect()
}

#[test]
fn components_connect_on_loopback_once_there_is_one() {
    assert_eq!(addresses(""), [""; 0]);
    assert_eq!(addresses("component_ports = [5347]\n"), [""; 0]);
    assert_eq!(addresses(ONE), ["127.0.0.1:5347", "[::1]:5347"]);
    let elsewhere = format!(
        "s2s_allowed_domains = []\ncomponent_ports = 5348\ncomponent_interfaces = \"127.0.0.1\"\n{ONE}"
    );
    assert_eq!(addresses(&elsewhere), ["127.0.0.1:5348"]);
}

#[test]
fn a_component_is_a_host_with_a_secret() {
    let settings = read(&format!("{ONE}[host.\"a.example\"]\n")).unwrap();
    let component = settings.config.component("irc.a.example").unwrap();
    assert_eq!(component.secret.expose(), b"s3cret");
    assert!(matches!(
        settings.config.hosts.values().next(),
        Some(Host::Accounts(_))
    ));
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn that_everybody_can_read_what_they_say_is_told() {
    for interface in ["*", "::", "192.0.2.1"] {
        let settings = read(&format!(
            "component_interfaces = [\"{interface}\"]\n{ONE}[host.\"a.example\"]\n"
        ));
        let warnings = settings.unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("without TLS"), "{warnings:?}");
    }
}

#[test]
fn what_is_wrong_with_a_section_is_told_with_what_to_type() {
    for (section, told) in [
        (
            "[component.\"c.example\"]\n",
            "spondee.toml:1: the component c.example has no secret: write component_secret = {",
        ),
        (
            "[component.\"c.example\"]\ncomponent_secret = \"\"\n",
            "spondee.toml:2: `component_secret` holds a secret that is empty",
        ),
        (
            "[component.\"c.example\"]\ncomponent_secret = 5\n",
            "spondee.toml:2: `component_secret` must be a secret in quotes",
        ),
        (
            "[component.\"c.example\"]\ncomponent_secret = { file = \"absent\" }\n",
            "there is no such file",
        ),
        (
            "[component.\"c.example\"]\nsecret = \"x\"\n",
            "there is no option `secret`",
        ),
        (
            "[component.\"c.example\"]\ncomponent_secret = \"x\"\nthreads = 2\n",
            "is no option of a component",
        ),
        (
            "[component]\ncomponent_secret = \"x\"\n",
            "the section of a component has its name",
        ),
        (
            "[component.c.example]\ncomponent_secret = \"x\"\n",
            "stands in quotes: [component.\"c.example\"]",
        ),
        (
            "[components.\"c.example\"]\ncomponent_secret = \"x\"\n",
            "begins with [component.\"c.example\"]",
        ),
        (
            "[component.\"a.example\"]\ncomponent_secret = \"x\"\n",
            "a.example has a section as a host, and one as a component",
        ),
        (
            "[component.\"https://c.example/\"]\ncomponent_secret = \"x\"\n",
            "it is a URL; write c.example alone",
        ),
        (
            "component = \"c.example\"\n",
            "begins a section: [component.\"irc.example.org\"]",
        ),
        ("component_secret = \"x\"\n", "put it into its section"),
    ] {
        let told_of = faults(&format!("{section}[host.\"a.example\"]\n"));
        assert!(
            told_of.iter().any(|fault| fault.contains(told)),
            "{section}: {told_of:?}"
        );
    }
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let scratch = Scratch::new();
    let file = scratch.path().join("spondee.toml");
    let text = format!("{ONE}[host.\"a.example\"]\n");
    fs::write(&file, &text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Settings::load(&file).unwrap_err().to_string();
    assert!(
        error.contains("that others can read: `chmod 0600"),
        "{error}"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    Settings::load(&file).unwrap();
}
