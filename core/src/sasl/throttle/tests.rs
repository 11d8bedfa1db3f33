use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limits::{
    SASL_COUNTED_MAX, SASL_REGULAR_ADDRESSES, SASL_REGULAR_FOR, SASL_REGULARS_MAX,
};

const HOME: &str = "192.0.2.1";
const ABROAD: &str = "198.51.100.1";

fn throttle() -> Throttle {
    Throttle::new(&[5; 32], &Keyed::new([6; 16]))
}

fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000)
}

struct Desk {
    throttle: Throttle,
    limits: Limits,
    now: Instant,
}

impl Desk {
    fn new() -> Self {
        Self {
            throttle: throttle(),
            limits: Limits::default(),
            now: at(1),
        }
    }

    fn attempt(&self, from: &str, account: &str) -> Attempt {
        let from = from.parse().unwrap();
        self.throttle
            .attempt(&self.limits, from, Some(&jid(account)))
    }

    fn verdict(&self, from: &str, account: &str) -> Verdict {
        let attempt = self.attempt(from, account);
        self.throttle.verdict(self.now, &self.limits, &attempt)
    }

    /// A wrong password, counted if it is answered.
    fn try_wrong(&mut self, from: &str, account: &str) -> Verdict {
        let attempt = self.attempt(from, account);
        let verdict = self.throttle.verdict(self.now, &self.limits, &attempt);
        if verdict == Verdict::Answer {
            self.throttle.failed(self.now, &self.limits, &attempt);
        }
        verdict
    }

    fn sign_in(&mut self, from: &str, account: &str) {
        let attempt = self.attempt(from, account);
        self.throttle.signed_in(self.now, &attempt);
    }

    fn answers(&mut self, tries: usize, from: &str, account: &str) -> usize {
        let answered = |_: &usize| self.try_wrong(from, account) == Verdict::Answer;
        (0..tries).filter(answered).count()
    }
}

#[test]
fn an_address_gets_twenty_answers_and_then_one_each_quarter_of_a_minute() {
    let mut desk = Desk::new();
    let mut answered = 0;
    for n in 0..50 {
        // Each at another account, so that only the address counts.
        let verdict = desk.try_wrong(HOME, &format!("user{n}@a.example"));
        answered += usize::from(verdict == Verdict::Answer);
    }
    assert_eq!(answered, 20);
    desk.now = at(15);
    assert_eq!(desk.verdict(HOME, "u@a.example"), Verdict::HoldUp);
    desk.now = at(16);
    assert_eq!(desk.answers(5, HOME, "u@a.example"), 1);
    desk.now = at(16 + 20 * 15);
    assert_eq!(desk.answers(50, HOME, "u@a.example"), 20);
    assert_eq!(desk.verdict(ABROAD, "v@a.example"), Verdict::Answer);
}

#[test]
fn an_account_gets_twenty_answers_from_wherever() {
    let mut desk = Desk::new();
    let mut answered = 0;
    for n in 0..50 {
        let verdict = desk.try_wrong(&format!("192.0.2.{n}"), "u@a.example");
        answered += usize::from(verdict == Verdict::Answer);
    }
    assert_eq!(answered, 20);
    assert_eq!(desk.verdict(ABROAD, "u@a.example"), Verdict::HoldUp);
    assert_eq!(desk.verdict(ABROAD, "v@a.example"), Verdict::Answer);
}

#[test]
fn an_ipv6_network_is_one_address_and_mapped_ipv4_is_ipv4() {
    let mut desk = Desk::new();
    for n in 0..20 {
        desk.try_wrong(&format!("2001:db8:0:1::{n:x}"), &format!("u{n}@a.example"));
    }
    let other = "v@a.example";
    assert_eq!(desk.verdict("2001:db8:0:1:ffff::1", other), Verdict::HoldUp);
    assert_eq!(desk.verdict("2001:db8:0:2::1", other), Verdict::Answer);
    for n in 0..20 {
        desk.try_wrong("192.0.2.9", &format!("w{n}@a.example"));
    }
    assert_eq!(desk.verdict("::ffff:192.0.2.9", other), Verdict::HoldUp);
    assert_eq!(desk.verdict("::ffff:192.0.2.8", other), Verdict::Answer);
}

#[test]
fn the_owner_comes_in_from_a_usual_address_whatever_strangers_do() {
    let mut desk = Desk::new();
    desk.sign_in(HOME, "u@a.example");
    for n in 0..40 {
        desk.try_wrong(&format!("203.0.113.{n}"), "u@a.example");
    }
    assert_eq!(desk.verdict(ABROAD, "u@a.example"), Verdict::HoldUp);
    assert_eq!(desk.verdict(HOME, "u@a.example"), Verdict::Answer);
    // There as elsewhere only so often.
    assert_eq!(desk.answers(50, HOME, "u@a.example"), 20);
    assert_eq!(desk.verdict(HOME, "u@a.example"), Verdict::HoldUp);
}

#[test]
fn failures_for_other_names_do_not_keep_the_owner_out_of_a_shared_address() {
    let mut desk = Desk::new();
    desk.sign_in(HOME, "u@a.example");
    desk.sign_in(HOME, "w@a.example");
    for n in 0..30 {
        desk.try_wrong(HOME, &format!("nobody{n}@a.example"));
    }
    assert_eq!(desk.verdict(HOME, "u@a.example"), Verdict::Answer);
    // Who has not signed in from there is as little known there as who does not exist.
    for stranger in ["v@a.example", "nobody@a.example"] {
        assert_eq!(desk.verdict(HOME, stranger), Verdict::HoldUp);
    }
    // A guesser behind that address has the guesses at this account that it would have alone, and goes on to wait for more.
    assert_eq!(desk.answers(50, HOME, "u@a.example"), 20);
    assert_eq!(desk.verdict(HOME, "u@a.example"), Verdict::HoldUp);
    desk.now = at(16);
    assert_eq!(desk.answers(5, HOME, "u@a.example"), 1);
    // Its neighbours' accounts are not held up by that.
    assert_eq!(desk.verdict(HOME, "w@a.example"), Verdict::Answer);
}

#[test]
fn failures_of_an_account_where_it_is_at_home_do_not_count_for_its_neighbours() {
    let mut desk = Desk::new();
    desk.sign_in(HOME, "u@a.example");
    assert_eq!(desk.answers(50, HOME, "u@a.example"), 20);
    let attempt = desk.attempt(HOME, "u@a.example");
    let reached = desk.throttle.failed(desk.now, &desk.limits, &attempt);
    assert_eq!(reached.news, None, "nor on other shards");
    assert_eq!(desk.verdict(HOME, "v@a.example"), Verdict::Answer);
    // But for the account everywhere else.
    assert_eq!(desk.verdict(ABROAD, "u@a.example"), Verdict::HoldUp);
}

#[test]
fn at_a_usual_address_the_lower_of_both_limits_holds_and_none_only_without_both() {
    for (by_address, by_account, answers) in
        [(7, 5, 5), (5, 7, 5), (0, 6, 6), (6, 0, 6), (0, 0, 50)]
    {
        let mut desk = Desk::new();
        desk.limits.sasl_failures_per_address = by_address;
        desk.limits.sasl_failures_per_account = by_account;
        desk.sign_in(HOME, "u@a.example");
        let answered = desk.answers(50, HOME, "u@a.example");
        assert_eq!(answered, answers, "{by_address}, {by_account}");
    }
}

#[test]
fn signing_in_to_an_own_account_buys_no_guesses_at_others() {
    let mut desk = Desk::new();
    let mut answered = 0;
    for n in 0..100 {
        desk.sign_in(ABROAD, "mallory@a.example");
        let verdict = desk.try_wrong(ABROAD, &format!("u{n}@a.example"));
        answered += usize::from(verdict == Verdict::Answer);
    }
    assert_eq!(answered, 20);
}

#[test]
fn behind_an_exempt_address_only_the_account_counts_and_nobody_is_usual_there() {
    let mut desk = Desk::new();
    desk.limits.unlimited_addresses = vec!["192.0.2.0/24".parse().unwrap()];
    desk.sign_in(HOME, "u@a.example");
    for n in 0..50 {
        let account = format!("user{n}@a.example");
        assert_eq!(desk.try_wrong(HOME, &account), Verdict::Answer);
    }
    assert_eq!(desk.answers(50, HOME, "u@a.example"), 20);
}

#[test]
fn zero_switches_a_limit_off() {
    let mut desk = Desk::new();
    desk.limits.sasl_failures_per_account = 0;
    assert_eq!(desk.answers(100, HOME, "u@a.example"), 20);
    desk.limits.sasl_failures_per_address = 0;
    assert_eq!(desk.answers(100, HOME, "u@a.example"), 100);
    desk.limits.sasl_failures_per_account = 3;
    assert_eq!(desk.answers(100, HOME, "v@a.example"), 3);
}

#[test]
fn what_is_reached_is_said_once_until_all_is_forgiven() {
    let mut desk = Desk::new();
    let attempt = desk.attempt(HOME, "u@a.example");
    let mut said = Vec::new();
    // Four in a quarter of a minute: always at the limit.
    for second in 0..400 {
        let now = at(second * 4);
        if desk.throttle.verdict(now, &desk.limits, &attempt) == Verdict::Answer {
            let reached = desk.throttle.failed(now, &desk.limits, &attempt);
            assert_eq!(reached.address, reached.account);
            if reached.address == Limit::Reached {
                said.push(second);
            }
        }
    }
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn all_shards_name_an_attempt_alike_and_other_servers_do_not() {
    let one = throttle();
    let other = Throttle::new(&[5; 32], &Keyed::new([9; 16]));
    let foreign = Throttle::new(&[4; 32], &Keyed::new([6; 16]));
    let name = |throttle: &Throttle| {
        throttle.attempt(
            &Limits::default(),
            HOME.parse().unwrap(),
            Some(&jid("u@a.example")),
        )
    };
    assert_eq!(name(&one), name(&other));
    assert_ne!(name(&one), name(&foreign));
}

#[test]
fn failures_on_another_shard_count_for_the_address_and_are_its_to_report() {
    let (mut throttle, limits) = (throttle(), Limits::default());
    let attempt = numbered(1, 2);
    let mut elsewhere = Throttle::new(&[5; 32], &Keyed::new([9; 16]));
    for n in 0..20 {
        let reached = elsewhere.failed(at(1), &limits, &numbered(1, 100 + n));
        throttle.told(at(1), &limits, reached.news.unwrap());
    }
    assert_eq!(throttle.verdict(at(1), &limits, &attempt), Verdict::HoldUp);
    let elsewhere = numbered(3, 2);
    assert_eq!(
        throttle.verdict(at(1), &limits, &elsewhere),
        Verdict::Answer
    );
    // Unless it goes on here.
    let reached = throttle.failed(at(16), &limits, &attempt);
    assert_eq!(reached.address, Limit::Reached);
}

/// An attempt with names of the test's own.
const fn numbered(address: u64, account: u64) -> Attempt {
    Attempt {
        address,
        counted: Counted::Yes,
        account: Some(account),
    }
}

#[test]
fn tables_are_bounded_and_who_is_held_up_is_not_pushed_out_of_them() {
    let (mut throttle, limits) = (throttle(), Limits::default());
    let victim = numbered(u64::MAX, u64::MAX);
    for _ in 0..20 {
        throttle.failed(at(1), &limits, &victim);
    }
    let crowd = u64::try_from(SASL_COUNTED_MAX).unwrap() * 2;
    for n in 0..crowd {
        throttle.failed(at(1), &limits, &numbered(n, n));
    }
    for n in 0..crowd {
        let at_home = numbered(n, crowd + n);
        throttle.signed_in(at(1), &at_home);
        throttle.failed(at(1), &limits, &at_home);
    }
    for counts in [&throttle.addresses, &throttle.accounts, &throttle.usual] {
        assert_eq!(counts.by_key.len(), SASL_COUNTED_MAX);
        assert_eq!(counts.by_time.len(), SASL_COUNTED_MAX);
    }
    assert_eq!(throttle.verdict(at(1), &limits, &victim), Verdict::HoldUp);
    // And who never failed is not held up.
    let newcomer = numbered(crowd * 2, crowd * 2);
    assert_eq!(throttle.verdict(at(1), &limits, &newcomer), Verdict::Answer);
    // With time, everything is forgotten, memory included.
    throttle.failed(at(4000), &limits, &newcomer);
    assert_eq!(throttle.addresses.by_key.len(), 1);
    assert!(throttle.addresses.by_key.capacity() < 16);
}

#[test]
fn a_newcomer_to_a_full_table_answers_for_whom_it_pushed_out() {
    let mut throttle = throttle();
    let limits = Limits {
        sasl_failures_per_address: 2,
        sasl_failures_per_account: 2,
        ..Limits::default()
    };
    let full = u64::try_from(SASL_COUNTED_MAX).unwrap();
    for n in 0..full {
        for _ in 0..2 {
            throttle.failed(at(1), &limits, &numbered(n, n));
        }
    }
    let newcomer = numbered(full, full);
    assert_eq!(throttle.verdict(at(1), &limits, &newcomer), Verdict::Answer);
    throttle.failed(at(1), &limits, &newcomer);
    assert_eq!(throttle.verdict(at(1), &limits, &newcomer), Verdict::HoldUp);
}

#[test]
fn usual_addresses_are_few_for_each_account_and_forgotten_in_time() {
    let mut throttle = throttle();
    let owner = numbered(7 << 32, 1);
    throttle.signed_in(at(1), &owner);
    // Somebody else's sign-ins from everywhere push out nobody but their own.
    for n in 100..10_000 {
        throttle.signed_in(at(2), &numbered(n << 32, 2));
    }
    assert!(throttle.usual(&owner).is_some());
    // The owner's last four count.
    let others = u64::try_from(SASL_REGULAR_ADDRESSES).unwrap();
    for n in 1..others {
        throttle.signed_in(at(3), &numbered((100 + n) << 32, 1));
    }
    assert!(throttle.usual(&owner).is_some());
    throttle.signed_in(at(4), &numbered(200 << 32, 1));
    assert!(throttle.usual(&owner).is_none());

    throttle.signed_in(at(5), &owner);
    let long = SASL_REGULAR_FOR;
    throttle.signed_in(at(5) + long, &numbered(1 << 32, 3));
    assert!(throttle.usual(&owner).is_some());
    throttle.signed_in(at(6) + long, &owner);
    throttle.signed_in(at(7) + long * 2, &numbered(1 << 32, 4));
    assert!(throttle.usual(&owner).is_some());
    throttle.signed_in(at(8) + long * 3, &numbered(1 << 32, 4));
    assert!(throttle.usual(&owner).is_none());
}

#[test]
fn accounts_with_usual_addresses_are_bounded() {
    let mut throttle = throttle();
    for n in 0..u64::try_from(SASL_REGULARS_MAX).unwrap() * 2 {
        throttle.signed_in(at(1), &numbered(1 << 32, n));
    }
    assert!(throttle.regulars.len() <= SASL_REGULARS_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In any stretch of time, no key gets more answers than the limit and those forgiven meanwhile: an address for all that are not
    /// at home there, an account for all that come from where it is not, and an account at an address for itself. Whoever has
    /// signed in from an address depends on nothing but the last of these.
    #[test]
    fn nobody_gets_more_answers_than_the_limit(
        max in 1u32..8,
        steps in prop::collection::vec((0u64..3, 0u64..3, 0u64..12, 0u8..20), 1..400),
    ) {
        let mut throttle = throttle();
        let limits = Limits {
            sasl_failures_per_address: max,
            sasl_failures_per_account: max,
            sasl_failure_forgiven_after: Duration::from_secs(10),
            ..Limits::default()
        };
        let mut now = 1;
        let mut answered: Vec<(u64, u64, u64, bool)> = Vec::new();
        for (address, account, wait, kind) in steps {
            now += wait;
            // Addresses differ in the half that is remembered.
            let attempt = numbered((address + 1) << 32, account);
            if kind == 0 {
                throttle.signed_in(at(now), &attempt);
                continue;
            }
            let at_home = throttle.usual(&attempt).is_some();
            let verdict = throttle.verdict(at(now), &limits, &attempt);
            if at_home {
                // A reference: the answers to the account at home here, still to be forgiven.
                let mut empty_at = 0;
                for (time, ..) in answered.iter().filter(|a| (a.1, a.2, a.3) == (address, account, true)) {
                    empty_at = empty_at.max(*time) + 10;
                }
                let full = empty_at.saturating_sub(now) > 10 * u64::from(max - 1);
                prop_assert_eq!(verdict == Verdict::HoldUp, full);
            }
            if verdict == Verdict::Answer {
                throttle.failed(at(now), &limits, &attempt);
                answered.push((now, address, account, at_home));
            }
        }
        for (index, (begin, ..)) in answered.iter().enumerate() {
            for key in 0..3 {
                let mut by_address = 0;
                let mut by_account = 0;
                for (time, address, account, at_home) in answered.iter().skip(index) {
                    by_address += u64::from(*address == key && !at_home);
                    by_account += u64::from(*account == key && !at_home);
                    let allowed = u64::from(max) + (time - begin) / 10;
                    prop_assert!(by_address <= allowed);
                    prop_assert!(by_account <= allowed);
                }
            }
        }
    }
}
