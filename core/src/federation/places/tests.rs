use alloc::string::ToString as _;
use alloc::vec;

use super::*;

fn refused(address: &str, source: Source, networks: &[&str]) -> Option<RefusedPlace> {
    let networks: Vec<Network> = networks.iter().map(|text| text.parse().unwrap()).collect();
    let to = SocketAddr::new(address.parse().unwrap(), 5269);
    refusal(to, source, &[], &networks)
}

#[test]
fn servers_are_looked_for_in_the_public_network_alone() {
    use RefusedPlace::{Broadcast, LinkLocal, Loopback, Multicast, Private, Shared, Unspecified};
    for (address, expected) in [
        ("127.0.0.1", Some(Loopback)),
        ("127.255.255.255", Some(Loopback)),
        ("128.0.0.0", None),
        ("0.0.0.0", Some(Unspecified)),
        ("0.1.2.3", Some(Unspecified)),
        ("9.255.255.255", None),
        ("10.0.0.0", Some(Private)),
        ("10.255.255.255", Some(Private)),
        ("11.0.0.0", None),
        ("172.15.255.255", None),
        ("172.16.0.0", Some(Private)),
        ("172.31.255.255", Some(Private)),
        ("172.32.0.0", None),
        ("192.167.255.255", None),
        ("192.168.0.0", Some(Private)),
        ("192.168.255.255", Some(Private)),
        ("192.169.0.0", None),
        ("100.63.255.255", None),
        ("100.64.0.0", Some(Shared)),
        ("100.127.255.255", Some(Shared)),
        ("100.128.0.0", None),
        ("169.254.169.254", Some(LinkLocal)),
        ("169.253.255.255", None),
        ("223.255.255.255", None),
        ("224.0.0.1", Some(Multicast)),
        ("239.255.255.255", Some(Multicast)),
        ("255.255.255.255", Some(Broadcast)),
        ("::", Some(Unspecified)),
        ("::1", Some(Loopback)),
        ("fbff::1", None),
        ("fc00::1", Some(Private)),
        ("fdff:ffff::1", Some(Private)),
        ("fe7f::1", None),
        ("fe80::1", Some(LinkLocal)),
        ("febf::1", Some(LinkLocal)),
        ("fec0::1", Some(Private)),
        ("ff02::1", Some(Multicast)),
        ("2600::1", None),
        // IPv4 in its other forms.
        ("::ffff:127.0.0.1", Some(Loopback)),
        ("::ffff:10.1.2.3", Some(Private)),
        ("::ffff:9.9.9.9", None),
        ("64:ff9b::127.0.0.1", Some(Loopback)),
        ("64:ff9b::169.254.169.254", Some(LinkLocal)),
        ("64:ff9b::192.168.7.7", Some(Private)),
        ("64:ff9b::9.9.9.9", None),
        ("64:ff9b:1::9.9.9.9", Some(Private)),
    ] {
        assert_eq!(refused(address, Source::Dns, &[]), expected, "{address}");
        // The administrator says so.
        assert_eq!(refused(address, Source::Hosts, &[]), None, "{address}");
    }
}

#[test]
fn a_network_that_is_excepted_is_public_in_all_its_forms() {
    for (address, network, is_allowed) in [
        ("10.1.2.3", "10.1.0.0/16", true),
        ("10.2.2.3", "10.1.0.0/16", false),
        ("::ffff:10.1.2.3", "10.1.0.0/16", true),
        ("64:ff9b::10.1.2.3", "10.1.0.0/16", true),
        ("64:ff9b::10.1.2.3", "64:ff9b::/96", true),
        ("64:ff9b::10.1.2.3", "10.2.0.0/16", false),
        ("127.0.0.1", "127.0.0.0/8", true),
        ("::1", "127.0.0.0/8", false),
        ("::1", "::1", true),
        ("fd00::7", "fd00::/64", true),
    ] {
        let refused = refused(address, Source::Dns, &[network]);
        assert_eq!(refused.is_none(), is_allowed, "{address} in {network}");
    }
}

#[test]
fn nobody_else_is_where_we_listen() {
    let own = [
        "[::1]:5269".parse().unwrap(),
        "192.0.2.7:5269".parse().unwrap(),
    ];
    let networks = ["::/0".parse().unwrap(), "0.0.0.0/0".parse().unwrap()];
    for (to, expected) in [
        ("[::1]:5269", Some(RefusedPlace::Own)),
        ("[::1]:5270", None),
        ("192.0.2.7:5269", Some(RefusedPlace::Own)),
        ("[::ffff:192.0.2.7]:5269", Some(RefusedPlace::Own)),
        ("192.0.2.8:5269", None),
    ] {
        for source in [Source::Dns, Source::Hosts] {
            let refused = refusal(to.parse().unwrap(), source, &own, &networks);
            assert_eq!(refused, expected, "{to}");
        }
    }
}

#[test]
fn an_administrator_who_asks_may_go_anywhere() {
    let to = "127.0.0.1:5269".parse().unwrap();
    assert_eq!(Places::Any.refusal(to, Source::Dns), None);
    let public = Places::Public {
        but: vec![],
        own: vec![],
    };
    let refused = public.refusal(to, Source::Dns);
    assert_eq!(refused, Some(RefusedPlace::Loopback));
}

#[test]
fn the_words_name_the_option_that_would_help() {
    let words = RefusedPlace::Private.to_string();
    assert!(words.contains("`s2s_private_networks`"), "{words}");
    let words = RefusedPlace::Own.to_string();
    assert!(!words.contains("s2s_private_networks"), "{words}");
}
