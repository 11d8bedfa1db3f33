//! What is asked, in which order it is tried, and what becomes of a round.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::targets::in_turn;
use super::*;
use crate::entropy::Entropy;
use crate::federation::{
    AttemptError, AttemptOutcome, ConnectError, Lookup, LookupError, Opening, PeerError, Protocol,
    RefusedPlace, Resolved, Service, Source, Target, Unreached,
};
use crate::jid::Domain;
use crate::limits::{RACE_DELAY, ROUND, ROUND_CONNECTS, ROUND_TARGETS};
use crate::time::Instant;

const REFUSED: AttemptError = AttemptError::Unconnected(ConnectError::Refused);

fn service(priority: u16, weight: u16, target: &str) -> Service {
    Service {
        priority,
        weight,
        port: 5222,
        target: target.into(),
    }
}

fn services(records: &[(u16, u16, &str)]) -> Resolved {
    let each = records.iter().map(|(p, w, t)| service(*p, *w, t));
    Resolved::Services(each.collect())
}

fn addresses(each: &[&str]) -> Resolved {
    let each = each.iter().map(|address| address.parse().unwrap());
    Resolved::Addresses(each.collect(), Source::Dns)
}

/// Dice that always say the least, or the most.
fn least(_: u32) -> u32 {
    0
}

fn sought(direct: &Resolved, starttls: &Resolved) -> Result<Vec<String>, Unreached> {
    let found = targets(
        "a.example",
        Protocol::XmppServer,
        direct,
        starttls,
        &mut least,
    )?;
    let words = |target: &Target| {
        let opening = match target.opening {
            Opening::Clear => "clear",
            Opening::Tls => "tls",
        };
        [&target.name, ":", &target.port.to_string(), " ", opening].concat()
    };
    Ok(found.iter().map(words).collect())
}

#[test]
fn both_services_are_asked_for_by_the_name_of_the_protocol() {
    let names = |service| {
        questions("a.example", service).map(|lookup| match lookup {
            Lookup::Services(name) | Lookup::Addresses(name) => name.to_string(),
        })
    };
    assert_eq!(
        names(Protocol::XmppClient),
        [
            "_xmpps-client._tcp.a.example",
            "_xmpp-client._tcp.a.example"
        ]
    );
    assert_eq!(
        names(Protocol::XmppServer),
        [
            "_xmpps-server._tcp.a.example",
            "_xmpp-server._tcp.a.example"
        ]
    );
}

#[test]
fn lower_priorities_go_first_whatever_the_dice_say() {
    for drawn in [0, u32::MAX] {
        let records = vec![(20, 900, "c"), (10, 0, "b"), (5, 1, "a")];
        let ordered = order(records, |(p, w, _)| (*p, *w), &mut |most| drawn.min(most));
        let names: Vec<_> = ordered.iter().map(|(.., name)| *name).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
}

#[test]
fn weights_say_how_often_each_goes_first() {
    let mut entropy = Entropy::new([7; 32]);
    let mut first = [0_u32; 3];
    for _ in 0..10_000 {
        let records = vec![(60, 0), (30, 1), (0, 2)];
        let draw = &mut |most| roll(&mut entropy, most);
        let ordered = order(records, |(weight, _)| (1, *weight), draw);
        assert_eq!(ordered.len(), 3);
        first[ordered[0].1] += 1;
    }
    let [a, b, c] = first;
    assert!((6_300..6_900).contains(&a), "{first:?}");
    assert!((3_000..3_600).contains(&b), "{first:?}");
    // RFC 2782: "a very small chance of being selected first".
    assert!((1..300).contains(&c), "{first:?}");
}

#[test]
fn dice_give_each_number_and_no_other() {
    let mut entropy = Entropy::new([1; 32]);
    let mut seen = [0; 4];
    for _ in 0..1000 {
        seen[roll(&mut entropy, 3) as usize] += 1;
    }
    assert!(seen.iter().all(|times| *times > 150), "{seen:?}");
    assert_eq!(roll(&mut entropy, 0), 0);
    roll(&mut entropy, u32::MAX);
}

#[test]
fn the_records_of_both_services_are_one_set() {
    let direct = services(&[(10, 0, "a.example"), (30, 0, "c.example")]);
    let starttls = services(&[(20, 0, "b.example"), (40, 0, ".")]);
    assert_eq!(
        sought(&direct, &starttls).unwrap(),
        [
            "a.example:5222 tls",
            "b.example:5222 clear",
            "c.example:5222 tls"
        ]
    );
}

#[test]
fn the_domain_itself_is_tried_only_where_there_is_no_record_and_none_says_otherwise() {
    let itself = Ok(vec!["a.example:5269 clear".to_string()]);
    let record = services(&[(1, 0, "b.example")]);
    let to_it = Ok(vec!["b.example:5222 clear".to_string()]);
    let refused = Resolved::Failed(LookupError::Refused);
    let timed_out = Resolved::Failed(LookupError::TimedOut);
    let busy = Resolved::Failed(LookupError::Busy);
    let unresolved = |error| Err(Unreached::Unresolved(error));
    let (no_name, no_data, no) = (Resolved::NoName, Resolved::NoData, Resolved::NoService);
    for (direct, starttls, expected) in [
        (&no_name, &no_name, itself.clone()),
        (&no_data, &no_name, itself.clone()),
        (&timed_out, &timed_out, itself.clone()),
        (&timed_out, &no_data, itself),
        (&no, &record, to_it.clone()),
        (&refused, &record, to_it),
        (&no, &no_name, Err(Unreached::NoService)),
        (&no_data, &no, Err(Unreached::NoService)),
        (&no, &no, Err(Unreached::NoService)),
        (&no, &timed_out, unresolved(LookupError::TimedOut)),
        (&refused, &no_data, unresolved(LookupError::Refused)),
        (&no_name, &busy, unresolved(LookupError::Busy)),
        (&timed_out, &refused, unresolved(LookupError::Refused)),
    ] {
        assert_eq!(
            sought(direct, starttls),
            expected,
            "{direct:?} {starttls:?}"
        );
    }
}

#[test]
fn no_more_targets_are_tried_than_there_may_be() {
    let many: Vec<_> = (0..2 * u16::try_from(ROUND_TARGETS).unwrap())
        .map(|at| (at, 0, "b.example"))
        .collect();
    let found = sought(&services(&many), &Resolved::NoName).unwrap();
    assert_eq!(found.len(), ROUND_TARGETS);
}

#[test]
fn addresses_of_the_two_families_come_in_turn_and_each_once() {
    let parse = |each: &[&str]| -> Vec<IpAddr> {
        each.iter()
            .map(|address| address.parse().unwrap())
            .collect()
    };
    let came = parse(&["192.0.2.1", "192.0.2.2", "192.0.2.1", "::1", "192.0.2.3"]);
    let turns = parse(&["::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    assert_eq!(in_turn(&came), turns);
    assert_eq!(in_turn(&turns), turns);
}

/// A round under way.
struct Played {
    round: Round,
    now: Instant,
    steps: Vec<Step>,
}

impl Played {
    fn begin(domain: &str) -> Self {
        Self::begin_in(Places::Any, domain)
    }

    fn begin_in(places: Places, domain: &str) -> Self {
        let now = Instant(5_000_000);
        let domain = Domain::parse(domain).unwrap();
        let (round, steps) = Round::begin(now, &domain, Protocol::XmppClient, places);
        Self { round, now, steps }
    }

    /// To the records of `_xmpp-client` alone, and the addresses of each.
    fn to(records: &[(u16, u16, &str)]) -> Self {
        let mut played = Self::begin("a.example");
        played.answer("_xmpps-client._tcp.a.example", Resolved::NoName);
        played.answer("_xmpp-client._tcp.a.example", services(records));
        played
    }

    fn answer(&mut self, name: &str, outcome: Resolved) {
        let lookup = match name.starts_with('_') {
            true => Lookup::Services(name.into()),
            false => Lookup::Addresses(name.into()),
        };
        self.steps = self.round.answered(self.now, &lookup, outcome, &mut least);
    }

    fn fail(&mut self, attempt: usize, failure: AttemptError) -> Vec<Step> {
        self.round.failed(self.now, attempt, failure)
    }

    fn pass(&mut self, time: Duration) -> Vec<Step> {
        self.now = self.now + time;
        self.round.expire(self.now)
    }
}

fn connect(attempt: usize, to: &str) -> Step {
    Step::Connect(attempt, to.parse::<SocketAddr>().unwrap())
}

fn ask(name: &str) -> Step {
    Step::Ask(Lookup::Addresses(name.into()))
}

#[test]
fn the_next_address_is_tried_after_a_quarter_of_a_second_or_when_the_last_has_failed() {
    let mut played = Played::to(&[(1, 0, "b.example")]);
    assert_eq!(played.steps, [ask("b.example")]);
    played.answer("b.example", addresses(&["192.0.2.1", "::1", "192.0.2.2"]));
    assert_eq!(played.steps, [connect(0, "[::1]:5222")]);
    assert_eq!(played.round.next(), played.now + RACE_DELAY);
    assert_eq!(played.pass(RACE_DELAY.mul_f32(0.9)), []);
    assert_eq!(
        played.pass(RACE_DELAY.mul_f32(0.11)),
        [connect(1, "192.0.2.1:5222")]
    );
    // Two at a time.
    assert_eq!(played.pass(10 * RACE_DELAY), []);
    assert_eq!(played.fail(0, REFUSED), [connect(2, "192.0.2.2:5222")]);
    assert_eq!(played.fail(0, REFUSED), []);
    // The first connection wins, and the others are closed.
    assert_eq!(played.round.connected(2), [Step::Close(1)]);
    let outcomes: Vec<_> = (0..3)
        .map(|at| played.round.attempt(at).unwrap().outcome.clone())
        .collect();
    assert_eq!(outcomes[0], AttemptOutcome::Failed(REFUSED));
    assert_eq!(outcomes[1], AttemptOutcome::Overtaken);
    played.round.reached(2);
    let (asked, attempts) = played.round.into_told();
    assert_eq!(asked.len(), 3);
    assert_eq!(attempts[2].outcome, AttemptOutcome::Reached);
}

#[test]
fn who_comes_second_or_never_ran_is_closed() {
    let mut played = Played::to(&[(1, 0, "b.example")]);
    played.answer("b.example", addresses(&["192.0.2.1", "::1"]));
    played.pass(RACE_DELAY);
    assert_eq!(played.round.connected(7), [Step::Close(7)]);
    assert_eq!(played.round.connected(1), [Step::Close(0)]);
    assert_eq!(played.round.connected(1), []);
    assert_eq!(played.round.connected(0), [Step::Close(0)]);
}

#[test]
fn a_failure_behind_the_connection_goes_on_to_the_next_target() {
    let mut played = Played::to(&[(1, 0, "b.example"), (2, 0, "c.example")]);
    played.answer("b.example", addresses(&["192.0.2.1", "192.0.2.2"]));
    assert_eq!(played.round.connected(0), []);
    assert_eq!(played.fail(0, AttemptError::Tls), [ask("c.example")]);
    played.answer("c.example", Resolved::NoName);
    assert_eq!(played.steps, [Step::End(Unreached::Unsuccessful)]);
}

#[test]
fn the_same_name_is_asked_for_once() {
    let mut played = Played::to(&[(1, 0, "b.example"), (2, 0, "b.example")]);
    played.answer("b.example", addresses(&["192.0.2.1"]));
    assert_eq!(played.fail(0, REFUSED), [connect(1, "192.0.2.1:5222")]);
    assert_eq!(
        played.fail(1, REFUSED),
        [Step::End(Unreached::Unsuccessful)]
    );
}

#[test]
fn a_peer_that_will_have_nothing_to_do_with_us_ends_the_round() {
    for (condition, ends) in [("policy-violation", true), ("host-unknown", false)] {
        let mut played = Played::to(&[(1, 0, "b.example"), (2, 0, "c.example")]);
        played.answer("b.example", addresses(&["192.0.2.1"]));
        played.round.connected(0);
        let refused = AttemptError::Refused(PeerError {
            condition: condition.into(),
            text: None,
        });
        let next = match ends {
            true => Step::End(Unreached::Unwelcome),
            false => ask("c.example"),
        };
        assert_eq!(played.fail(0, refused), [next]);
    }
}

#[test]
fn a_domain_without_addresses_is_told_from_one_that_dns_does_not_tell() {
    for (outcome, why) in [
        (Resolved::NoData, Unreached::NoAddresses),
        (
            Resolved::Failed(LookupError::TimedOut),
            Unreached::Unresolved(LookupError::TimedOut),
        ),
    ] {
        let mut played = Played::to(&[(1, 0, "b.example")]);
        played.answer("b.example", outcome);
        assert_eq!(played.steps, [Step::End(why)]);
    }
}

fn public() -> Places {
    Places::Public {
        but: vec!["10.1.0.0/16".parse().unwrap()],
        own: vec!["192.0.2.1:5222".parse().unwrap()],
    }
}

fn refused(why: RefusedPlace) -> AttemptOutcome {
    AttemptOutcome::Failed(AttemptError::RefusedPlace(why))
}

#[test]
fn nobody_knocks_where_no_other_server_is_and_the_report_says_why() {
    let mut played = Played::begin_in(public(), "a.example");
    played.answer("_xmpps-client._tcp.a.example", Resolved::NoName);
    let both = services(&[(1, 0, "b.example"), (2, 0, "c.example")]);
    played.answer("_xmpp-client._tcp.a.example", both);
    let mixed = addresses(&["10.2.0.1", "10.1.0.1", "192.0.2.1", "192.0.2.2"]);
    played.answer("b.example", mixed);
    assert_eq!(played.steps, [connect(2, "10.1.0.1:5222")]);
    let outcome = |played: &Played, at| played.round.attempt(at).unwrap().outcome.clone();
    assert_eq!(outcome(&played, 0), refused(RefusedPlace::Private));
    assert_eq!(outcome(&played, 1), refused(RefusedPlace::Own));
    assert_eq!(played.fail(2, REFUSED), [connect(3, "192.0.2.2:5222")]);
    // Where nothing is left of a target, the next follows at once.
    assert_eq!(played.fail(3, REFUSED), [ask("c.example")]);
    played.answer("c.example", addresses(&["127.0.0.1", "::1"]));
    assert_eq!(played.steps, [Step::End(Unreached::Unsuccessful)]);
    assert_eq!(outcome(&played, 4), refused(RefusedPlace::Loopback));
}

#[test]
fn a_stranger_who_calls_himself_by_an_address_names_no_place_of_ours() {
    let played = Played::begin_in(public(), "127.0.0.1");
    assert_eq!(played.steps, [Step::End(Unreached::Unsuccessful)]);
    let played = Played::begin_in(public(), "192.0.2.7");
    assert_eq!(played.steps, [connect(0, "192.0.2.7:5222")]);
}

#[test]
fn what_the_administrator_says_in_hosts_is_taken() {
    let mut played = Played::begin_in(public(), "a.example");
    played.answer("_xmpps-client._tcp.a.example", Resolved::NoName);
    played.answer(
        "_xmpp-client._tcp.a.example",
        services(&[(1, 0, "b.example")]),
    );
    let loopback = "127.0.0.1".parse().unwrap();
    played.answer(
        "b.example",
        Resolved::Addresses(vec![loopback], Source::Hosts),
    );
    assert_eq!(played.steps, [connect(0, "127.0.0.1:5222")]);
}

#[test]
fn an_address_is_its_own_place_and_dns_is_not_asked() {
    assert_eq!(
        Played::begin("192.0.2.7").steps,
        [connect(0, "192.0.2.7:5222")]
    );
    assert_eq!(Played::begin("[::1]").steps, [connect(0, "[::1]:5222")]);
}

#[test]
fn dns_is_asked_in_a_labels() {
    let played = Played::begin("bücher.example");
    let name = "_xmpps-client._tcp.xn--bcher-kva.example";
    assert_eq!(played.steps[0], Step::Ask(Lookup::Services(name.into())));
}

#[test]
fn a_round_has_an_end_however_many_places_there_are() {
    let many: Vec<_> = (0..8)
        .map(|at| (at, 0, ["b.example", "c.example"][usize::from(at) % 2]))
        .collect();
    let mut played = Played::to(&many);
    let four = addresses(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    played.answer("b.example", four.clone());
    let (mut begun, mut end) = (0, None);
    let mut open: VecDeque<Step> = played.steps.clone().into();
    while let Some(step) = open.pop_front() {
        match step {
            Step::Ask(_) => {
                played.answer("c.example", four.clone());
                open.extend(played.steps.clone());
            }
            Step::Connect(attempt, _) => {
                begun += 1;
                open.extend(played.fail(attempt, REFUSED));
            }
            Step::End(why) => end = Some(why),
            Step::Close(attempt) => panic!("{attempt} is closed"),
        }
    }
    assert_eq!(
        (begun, end),
        (ROUND_CONNECTS, Some(Unreached::Unsuccessful))
    );
}

#[test]
fn a_round_takes_no_longer_than_it_may() {
    let mut played = Played::begin("a.example");
    assert_eq!(played.round.next(), played.now + ROUND);
    assert_eq!(played.pass(ROUND / 2), []);
    assert_eq!(played.pass(ROUND / 2), [Step::End(Unreached::TimedOut)]);
    played.answer("_xmpp-client._tcp.a.example", Resolved::NoName);
    assert_eq!(played.steps, []);
}
