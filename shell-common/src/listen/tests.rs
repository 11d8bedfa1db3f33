use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};

use tracing::level_filters::LevelFilter;

use spondee_core::port::Opening;

use super::*;
use crate::log::capture;

fn at(address: impl Into<IpAddr>, port: u16, opening: Opening) -> Listen {
    Listen {
        address: SocketAddr::new(address.into(), port),
        listener: Listener::of_clients(opening),
    }
}

fn loopback(port: u16) -> Listen {
    at(Ipv4Addr::LOCALHOST, port, Opening::Clear)
}

#[test]
fn all_threads_share_one_port_and_a_second_server_is_refused() {
    let first = open(&[loopback(0)], 3, 16).unwrap();
    let ports: Vec<u16> = first
        .iter()
        .map(|one| one[0].0.local_addr().unwrap().port())
        .collect();
    assert_ne!(ports[0], 0);
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    let error = open(&[loopback(ports[0])], 1, 16).unwrap_err();
    assert!(error.contains("cannot listen on 127.0.0.1:"), "{error}");
    let search = format!("ss -ltnp 'sport = :{}'", ports[0]);
    assert!(
        error.contains(&search) && error.contains("`c2s_ports`"),
        "{error}"
    );
}

#[test]
fn who_is_accepted_has_what_a_clients_socket_gets() {
    for address in [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ] {
        let listeners = open(&[at(address, 0, Opening::Clear)], 1, 16).unwrap();
        let (listener, _) = &listeners[0][0];
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(is_waited_at(listener));
        let (socket, _) = listener.accept().unwrap();
        prepare_accepted(&socket).unwrap();
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_BYTES);
    }
}

/// One of the addresses set aside for documentation (RFC 5737): no machine has it.
#[test]
fn an_address_that_somebody_chose_must_be_there() {
    let chosen = at(Ipv4Addr::new(192, 0, 2, 1), 0, Opening::Tls);
    let error = open(&[loopback(0), chosen], 1, 16).unwrap_err();
    assert!(error.contains("cannot listen on 192.0.2.1:0"), "{error}");
    assert!(error.contains("`c2s_direct_tls_interfaces`"), "{error}");
}

#[test]
fn all_addresses_that_fail_are_told_at_once_by_reason() {
    let first = open(&[loopback(0)], 1, 16).unwrap();
    let port = first[0][0].0.local_addr().unwrap().port();
    let second = at(Ipv4Addr::new(127, 0, 0, 2), port, Opening::Clear);
    let taken = open(&[second], 1, 16).unwrap();
    let absent = at(Ipv4Addr::new(192, 0, 2, 1), port, Opening::Clear);
    let error = open(&[loopback(port), absent, second], 1, 16).unwrap_err();
    drop(taken);
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    let both = format!("cannot listen on 127.0.0.1:{port} and 127.0.0.2:{port}: another program");
    assert!(lines[0].starts_with(&both), "{error}");
}

/// Which addresses a system without a family may lack, and what it says then.
#[test]
fn only_what_stands_for_a_whole_family_may_be_missing() {
    let everything: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let itself: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let chosen: IpAddr = "2001:db8::1".parse().unwrap();
    let general = everything.into_iter().chain(itself).map(|one| (one, true));
    for (address, is_general) in general.chain([(chosen, false)]) {
        let address = SocketAddr::new(address, 5222);
        for (errno, lacks) in [
            (Errno::AFNOSUPPORT, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::ADDRINUSE, false),
            (Errno::ACCESS, false),
        ] {
            let may_be = stands_for_family(address, &errno.into());
            assert_eq!(may_be, is_general && lacks, "{address} {errno}");
        }
    }
}

#[test]
fn every_refusal_of_the_system_comes_with_advice() {
    let low = at(Ipv4Addr::LOCALHOST, 222, Opening::Clear);
    let high = at(Ipv4Addr::LOCALHOST, 5223, Opening::Tls);
    let chosen = at(
        "2001:db8::1".parse::<Ipv6Addr>().unwrap(),
        5222,
        Opening::Clear,
    );
    let local = at("fe80::1".parse::<Ipv6Addr>().unwrap(), 5222, Opening::Clear);
    for (listen, errno, words) in [
        (
            low,
            Errno::ACCESS,
            &[
                "AmbientCapabilities=CAP_NET_BIND_SERVICE",
                "setcap",
                "`c2s_ports`",
            ][..],
        ),
        (high, Errno::ACCESS, &["SELinux", "`c2s_direct_tls_ports`"]),
        (
            high,
            Errno::ADDRINUSE,
            &["ss -ltnp 'sport = :5223'", "`c2s_direct_tls_ports`"],
        ),
        (
            chosen,
            Errno::ADDRNOTAVAIL,
            &["`ip address`", "`interfaces` or `c2s_interfaces`"],
        ),
        (
            chosen,
            Errno::AFNOSUPPORT,
            &["no IPv6", "`interfaces` or `c2s_interfaces`"],
        ),
        (local, Errno::INVAL, &["together with an interface"]),
        (low, Errno::NOBUFS, &["os error"]),
    ] {
        let advice = advice(listen, &errno.into());
        for words in words {
            assert!(advice.contains(words), "{words}: {advice}");
        }
    }
}

/// A kernel without IPv6, where the defaults are `*` and `::`.
fn without_ipv6(address: SocketAddr) -> io::Result<(SocketAddr, Vec<Socket>)> {
    match address {
        SocketAddr::V4(_) => open_one((Ipv4Addr::LOCALHOST, 0).into(), 1, 16),
        SocketAddr::V6(_) => Err(Errno::AFNOSUPPORT.into()),
    }
}

#[test]
fn a_system_without_ipv6_serves_by_ipv4_and_says_what_is_missing() {
    let everywhere = |port, opening| {
        [
            at(Ipv4Addr::UNSPECIFIED, port, opening),
            at(Ipv6Addr::UNSPECIFIED, port, opening),
        ]
    };
    let mut listen = everywhere(5222, Opening::Clear).to_vec();
    listen.extend(everywhere(5223, Opening::Tls));
    let (opened, lines) = capture(LevelFilter::WARN, || open_by(&listen, 1, without_ipv6));
    assert_eq!(opened.unwrap()[0].len(), 2);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, port) in lines.iter().zip([5222, 5223]) {
        let words = format!("not listening on [::]:{port}: this system has no IPv6");
        assert!(line.starts_with(&words), "{line}");
    }
}

#[test]
fn a_port_that_nothing_is_left_of_is_a_fault() {
    let clear = at(Ipv4Addr::UNSPECIFIED, 5222, Opening::Clear);
    let direct = at(Ipv6Addr::UNSPECIFIED, 5223, Opening::Tls);
    let error = open_by(&[clear, direct], 1, without_ipv6).unwrap_err();
    assert!(
        error.starts_with("cannot listen on [::]:5223: this system has no IPv6"),
        "{error}"
    );
    let chosen = at(
        "2001:db8::1".parse::<Ipv6Addr>().unwrap(),
        5222,
        Opening::Clear,
    );
    let error = open_by(&[clear, chosen], 1, without_ipv6).unwrap_err();
    assert!(
        error.starts_with("cannot listen on [2001:db8::1]:5222: "),
        "{error}"
    );
}

#[test]
fn it_is_known_whether_somebody_waits_without_accepting_anybody() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    assert!(!is_waited_at(&listener));
    let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(is_waited_at(&listener));
    let (_socket, peer) = listener.accept().unwrap();
    assert_eq!(peer, caller.local_addr().unwrap());
    assert!(!is_waited_at(&listener));
}
