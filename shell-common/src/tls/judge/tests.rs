use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    OtherNameValue, SanType,
};
use rustls::pki_types::pem::PemObject as _;

use spondee_core::federation::{NameMatch, match_names};
use spondee_core::port::CertificateName;
use spondee_core::time;

use super::*;
use crate::limits::{
    SERVER_CERTIFICATE_NAMES, SERVER_CERTIFICATE_NAMES_BYTES, SERVER_CERTIFICATE_SIGNATURES,
    SERVER_CERTIFICATES, SERVER_CERTIFICATES_BYTES,
};
use crate::tls::made::{Authority, Made, domain, lasts, params, self_made};
use crate::tls::policy::all_there_is;

const HOST: &str = "a.example";

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn judge_trusting(roots: &[&str]) -> Judge {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(der(root)).unwrap();
    }
    Judge {
        name: Some(ServerName::try_from(HOST).unwrap()),
        roots: Arc::new(store),
        provider: Arc::new(all_there_is()),
    }
}

/// What is thought of a certificate with these behind it, where these are trusted.
fn judged(made: &Made, between: &[&str], roots: &[&str]) -> ServerCertificate {
    let mut sent = vec![der(&made.certificate)];
    sent.extend(between.iter().map(|pem| der(pem)));
    judge_trusting(roots).judge(&sent, UnixTime::now()).unwrap()
}

fn verdict_of(made: &Made, between: &[&str], roots: &[&str]) -> Verdict {
    judged(made, between, roots).verdict.unwrap()
}

fn chain_of(made: &Made, between: &[&str], roots: &[&str]) -> Chain {
    judged(made, between, roots).chain
}

fn valid(params: &CertificateParams) -> Chain {
    Chain::Valid {
        until: time::UnixTime(params.not_after.unix_timestamp() * 1000),
    }
}

fn with_use(purposes: &[ExtendedKeyUsagePurpose]) -> CertificateParams {
    let mut params = params(&[HOST], 60);
    params.extended_key_usages = purposes.to_vec();
    params
}

#[test]
fn a_chain_counts_whatever_else_comes_with_it() {
    let (root, stranger) = (Authority::root("root"), Authority::root("stranger"));
    let between = root.intermediate(Authority::params("between"));
    let made = between.issue(&params(&[HOST], 60));
    let (root, between, stranger) = (
        &*root.certificate,
        &*between.certificate,
        &*stranger.certificate,
    );
    assert_eq!(verdict_of(&made, &[between], &[root]), Verdict::Good);
    assert_eq!(
        verdict_of(&made, &[stranger, root, between], &[root]),
        Verdict::Good
    );
    assert_eq!(verdict_of(&made, &[], &[root]), Verdict::Untrusted);
    assert_eq!(verdict_of(&made, &[between], &[]), Verdict::Untrusted);
    assert_eq!(
        verdict_of(&made, &[between, root], &[stranger]),
        Verdict::Untrusted
    );
}

#[test]
fn more_certificates_or_bytes_than_any_server_has_are_not_looked_at() {
    let root = Authority::root("root");
    let between = root.intermediate(Authority::params("between"));
    let made = between.issue(&params(&[HOST], 60));
    let (root, between) = (&*root.certificate, &*between.certificate);
    let many = vec![between; SERVER_CERTIFICATES];
    assert_eq!(verdict_of(&made, &many, &[root]), Verdict::Unreadable);
    assert_eq!(chain_of(&made, &many, &[root]), Chain::Unreadable);
    assert_eq!(verdict_of(&made, &many[1..], &[root]), Verdict::Good);

    let sent = [der(&made.certificate), der(between)];
    let bytes: usize = sent.iter().map(|der| der.len()).sum();
    for (more, is_read) in [(0, true), (1, false)] {
        let filling = vec![0; SERVER_CERTIFICATES_BYTES - bytes + more];
        let sent = [&sent[..], &[CertificateDer::from(filling)]].concat();
        let judged = judge_trusting(&[root]).judge(&sent, UnixTime::now());
        let chain = judged.unwrap().chain;
        assert_eq!(matches!(chain, Chain::Valid { .. }), is_read, "{chain:?}");
        assert_eq!(chain == Chain::Unreadable, !is_read);
    }
}

#[test]
fn the_end_of_a_path_is_that_of_the_first_certificate_to_expire() {
    let root = Authority::root("root");
    let mut soon = Authority::params("soon");
    lasts(&mut soon, 5);
    let far = Authority::params("far");
    let own = params(&[HOST], 60);
    for (above, first) in [(&soon, &soon), (&far, &own)] {
        let between = root.intermediate(above.clone());
        let (made, root) = (between.issue(&own), &*root.certificate);
        let chain = chain_of(&made, &[&between.certificate], &[root]);
        assert_eq!(chain, valid(first));
    }
}

#[test]
fn certificates_may_come_in_any_order_behind_the_first() {
    let root = Authority::root("root");
    let upper = root.intermediate(Authority::params("upper"));
    let lower = upper.intermediate(Authority::params("lower"));
    let params = params(&[HOST], 60);
    let made = lower.issue(&params);
    let (upper, lower) = (&*upper.certificate, &*lower.certificate);
    let roots = [&*root.certificate];
    for between in [&[lower, upper], &[upper, lower]] {
        assert_eq!(chain_of(&made, between, &roots), valid(&params));
    }
    for between in [&[lower][..], &[upper], &[]] {
        assert_eq!(chain_of(&made, between, &roots), Chain::Untrusted);
    }
}

#[test]
fn an_expired_certificate_does_not_hurt_where_another_way_holds() {
    let (root, old) = (Authority::root("root"), Authority::root("old"));
    let mut ended = Authority::params("root");
    lasts(&mut ended, -10);
    let crossed = old.cross(&root, &ended);
    let between = root.intermediate(Authority::params("between"));
    let params = params(&[HOST], 60);
    let made = between.issue(&params);
    let sent = [&*between.certificate, &*crossed];
    let (root, old) = (&*root.certificate, &*old.certificate);
    assert_eq!(chain_of(&made, &sent, &[root]), valid(&params));
    assert_eq!(chain_of(&made, &sent, &[root, old]), valid(&params));
    // Who knows the old authority alone has one way, and that has ended: more is to be said of it than that somebody is not known.
    let on = time::UnixTime(ended.not_after.unix_timestamp() * 1000);
    assert_eq!(chain_of(&made, &sent, &[old]), Chain::Expired { on });
    // What came with it is not trusted for having come.
    let unknown = [&*between.certificate, root];
    assert_eq!(chain_of(&made, &unknown, &[old]), Chain::Untrusted);
}

#[test]
fn a_crossing_that_holds_is_taken_where_the_root_is_not_known() {
    let (root, old) = (Authority::root("root"), Authority::root("old"));
    let mut lasting = Authority::params("root");
    lasts(&mut lasting, 20);
    let crossed = old.cross(&root, &lasting);
    let params = params(&[HOST], 60);
    let made = root.issue(&params);
    let (root, old) = (&*root.certificate, &*old.certificate);
    assert_eq!(chain_of(&made, &[&crossed], &[old]), valid(&lasting));
    assert_eq!(chain_of(&made, &[&crossed], &[root]), valid(&params));
}

#[test]
fn a_certificate_for_servers_or_for_clients_serves_a_server_either_way() {
    use ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};
    let root = Authority::root("root");
    let of = |purposes: &[_]| {
        let params = with_use(purposes);
        let judged = judged(&root.issue(&params), &[], &[&root.certificate]);
        (
            judged.chain == valid(&params),
            judged.chain,
            judged.verdict.unwrap(),
        )
    };
    for (purposes, verdict) in [
        (&[][..], Verdict::Good),
        (&[ServerAuth], Verdict::Good),
        (&[ServerAuth, ClientAuth], Verdict::Good),
        // `spondee reach` asks as a client does.
        (&[ClientAuth], Verdict::OtherUse),
        (&[ClientAuth, CodeSigning], Verdict::OtherUse),
    ] {
        let (is_valid, chain, said) = of(purposes);
        assert!(is_valid, "{purposes:?}: {chain:?}");
        assert_eq!(said, verdict, "{purposes:?}");
    }
    let (_, chain, verdict) = of(&[CodeSigning]);
    assert_eq!((chain, verdict), (Chain::WrongUse, Verdict::OtherUse));
    // What is wrong beside the use is told.
    let mut old = with_use(&[ClientAuth]);
    lasts(&mut old, -1);
    let on = time::UnixTime(old.not_after.unix_timestamp() * 1000);
    let made = root.issue(&old);
    assert_eq!(
        chain_of(&made, &[], &[&root.certificate]),
        Chain::Expired { on }
    );
    let made = root.issue(&with_use(&[ClientAuth]));
    assert_eq!(chain_of(&made, &[], &[]), Chain::Untrusted);
    // An authority's own certificate is for no server.
    let made = root.issue(&Authority::params("between"));
    assert_eq!(chain_of(&made, &[], &[&root.certificate]), Chain::WrongUse);
}

#[test]
fn times_are_told() {
    let root = Authority::root("root");
    let of = |params: &CertificateParams| chain_of(&root.issue(params), &[], &[&root.certificate]);
    let fine = params(&[HOST], 60);
    assert_eq!(of(&fine), valid(&fine));
    let old = params(&[HOST], -3);
    let on = time::UnixTime(old.not_after.unix_timestamp() * 1000);
    assert_eq!(of(&old), Chain::Expired { on });
    let mut early = params(&[HOST], 60);
    early.not_before = (SystemTime::now() + Duration::from_secs(3600)).into();
    let from = time::UnixTime(early.not_before.unix_timestamp() * 1000);
    assert_eq!(of(&early), Chain::NotYetValid { from });
    // Expired before untrusted, and one's own before all.
    let made = Authority::root("stranger").issue(&old);
    assert_eq!(chain_of(&made, &[], &[]), Chain::Expired { on });
    let made = self_made(&old);
    assert_eq!(chain_of(&made, &[], &[]), Chain::SelfSigned);
}

#[test]
fn whoever_calls_himself_like_an_authority_is_none() {
    let (root, impostor) = (Authority::root("root"), Authority::root("root"));
    let made = impostor.issue(&params(&[HOST], 60));
    let (root, impostor) = (&*root.certificate, &*impostor.certificate);
    assert_eq!(chain_of(&made, &[], &[root]), Chain::Untrusted);
    assert_eq!(chain_of(&made, &[impostor], &[root]), Chain::Untrusted);
    let leaf = Authority::root("root").issue(&params(&["b.example"], 60));
    let below = self_made(&params(&[HOST], 60));
    assert_eq!(
        chain_of(&below, &[&leaf.certificate], &[root]),
        Chain::SelfSigned
    );
}

/// All have the name of the authority, and each may have signed each other.
#[test]
fn whoever_has_many_ways_tried_is_given_up_soon() {
    let (root, liar) = (Authority::root("root"), Authority::root("root"));
    let many: Vec<_> = (0..SERVER_CERTIFICATES - 2)
        .map(|_| liar.intermediate(Authority::params("root")).certificate)
        .collect();
    let mut many: Vec<&str> = many.iter().map(|pem| &**pem).collect();
    let made = liar.issue(&params(&[HOST], 60));
    let root = &*root.certificate;
    assert_eq!(chain_of(&made, &many, &[root]), Chain::Unreadable);
    let judge = judge_trusting(&[root]);
    let algorithms = judge.provider.signature_verification_algorithms.all;
    let counting = AtomicUsize::new(1000);
    let bounded = budget::bounded(algorithms, &counting);
    let algorithms: Vec<_> = bounded.iter().map(|one| one as _).collect();
    many.insert(0, &made.certificate);
    let sent: Vec<_> = many.iter().map(|pem| der(pem)).collect();
    Path::find(&sent, &judge.roots, &algorithms, UnixTime::now());
    let looked_at = 1000 - counting.load(Ordering::Relaxed);
    assert_eq!(looked_at, SERVER_CERTIFICATE_SIGNATURES);
}

const XMPP_ADDR: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 5];
const DNS_SRV: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 7];

fn other_name(kind: &[u64], text: &str) -> SanType {
    SanType::OtherName((kind.to_vec(), OtherNameValue::Utf8String(text.to_owned())))
}

fn dns_name(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn named(names: Vec<SanType>) -> CertificateParams {
    let mut params = params(&[], 60);
    params.subject_alt_names = names;
    params
}

/// One that may vouch for names below `example` alone.
fn constrained(name: &str) -> CertificateParams {
    let mut params = Authority::params(name);
    params.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    params
}

#[test]
fn names_are_told_in_the_three_forms_as_they_are_written() {
    let root = Authority::root("root");
    let params = named(vec![
        dns_name("*.A.example"),
        other_name(DNS_SRV, "_xmpp-server.a.example"),
        other_name(DNS_SRV, "_xmpp-client.a.example"),
        other_name(XMPP_ADDR, "b\u{fc}cher.example"),
        other_name(&[1, 2, 3], "a.example"),
        SanType::Rfc822Name("a@a.example".try_into().unwrap()),
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
        SanType::URI("xmpp:a.example".try_into().unwrap()),
    ]);
    let names = judged(&root.issue(&params), &[], &[&root.certificate]).names;
    assert_eq!(
        names.each,
        [
            CertificateName::Dns("*.A.example".into()),
            CertificateName::Srv("_xmpp-server.a.example".into()),
            CertificateName::Srv("_xmpp-client.a.example".into()),
            CertificateName::XmppAddr("b\u{fc}cher.example".into()),
        ]
    );
    assert_eq!(names.constraints, NameConstraints::None);
    for (name, expected) in [
        ("a.example", NameMatch::Srv),
        ("chat.a.example", NameMatch::Dns),
        ("b\u{fc}cher.example", NameMatch::Xmpp),
        // The common name is none.
        ("a host", NameMatch::Mismatch),
        ("192.0.2.1", NameMatch::Mismatch),
    ] {
        let name = name.replace(' ', "-");
        assert_eq!(match_names(&domain(&name), &names), expected, "{name}");
    }
    // Those of a certificate that nobody vouches for are told, too.
    let names = judged(&root.issue(&params), &[], &[]).names;
    assert_eq!(names.each.len(), 4);
    assert!(
        judged(&root.issue(&named(Vec::new())), &[], &[])
            .names
            .each
            .is_empty()
    );
}

#[test]
fn an_authority_that_may_vouch_for_some_names_is_noticed() {
    let root = Authority::root("root");
    let below = root.intermediate(constrained("below"));
    let alone = Authority::alone(constrained("alone"));
    let beside = root.intermediate(Authority::params("beside"));
    let all = vec![
        dns_name(HOST),
        other_name(XMPP_ADDR, "bank.test"),
        other_name(DNS_SRV, "_xmpp-server.bank.test"),
    ];
    let roots = [&*root.certificate, &*alone.certificate];
    let sent = [&*below.certificate, &*beside.certificate];
    for (authority, expected, of_bank) in [
        (&below, NameConstraints::Present, NameMatch::Mismatch),
        (&alone, NameConstraints::Present, NameMatch::Mismatch),
        (&beside, NameConstraints::None, NameMatch::Xmpp),
        (&root, NameConstraints::None, NameMatch::Xmpp),
    ] {
        let params = named(all.clone());
        let judged = judged(&authority.issue(&params), &sent, &roots);
        assert_eq!(judged.chain, valid(&params));
        assert_eq!(judged.names.constraints, expected);
        let of = |name| match_names(&domain(name), &judged.names);
        assert_eq!(of("bank.test"), of_bank);
        assert_eq!(of(HOST), NameMatch::Dns);
    }
    // To a name in DNS it is held.
    for authority in [&below, &alone] {
        let made = authority.issue(&named(vec![dns_name("bank.test")]));
        assert_eq!(chain_of(&made, &sent, &roots), Chain::Untrusted);
    }
}

#[test]
fn a_certificate_with_more_names_than_are_kept_counts_as_unreadable() {
    let root = Authority::root("root");
    let of = |number: usize, label: usize| {
        let label = "a".repeat(label);
        let name = |at| dns_name(&format!("{label}.{at:03}.example"));
        let made = root.issue(&named((0..number).map(name).collect()));
        let judged = judged(&made, &[], &[&root.certificate]);
        let is_read = matches!(judged.chain, Chain::Valid { .. });
        assert!(is_read || judged.chain == Chain::Unreadable);
        assert_eq!(judged.names.each.len(), if is_read { number } else { 0 });
        is_read
    };
    assert!(of(SERVER_CERTIFICATE_NAMES, 1));
    assert!(!of(SERVER_CERTIFICATE_NAMES + 1, 1));
    // 64 bytes each, and one more.
    assert!(of(SERVER_CERTIFICATE_NAMES_BYTES / 64, 52));
    assert!(!of(SERVER_CERTIFICATE_NAMES_BYTES / 64, 53));
}

#[test]
fn time_and_use_are_looked_at() {
    let root = Authority::root("root");
    let judged = |params| verdict_of(&root.issue(&params), &[], &[&root.certificate]);
    assert_eq!(judged(params(&[HOST], 60)), Verdict::Good);
    assert_eq!(judged(params(&[HOST], -1)), Verdict::Expired);
    let mut early = params(&[HOST], 60);
    early.not_before = (SystemTime::now() + Duration::from_secs(3600)).into();
    assert_eq!(judged(early), Verdict::NotYetValid);
    let mut client = params(&[HOST], 60);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(judged(client), Verdict::OtherUse);
    let mut both = params(&[HOST], 60);
    both.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    assert_eq!(judged(both), Verdict::Good);
    let mut old = Authority::params("old");
    lasts(&mut old, -1);
    let old = root.intermediate(old);
    let made = old.issue(&params(&[HOST], 60));
    let judged = verdict_of(&made, &[&old.certificate], &[&root.certificate]);
    assert_eq!(judged, Verdict::Expired);
}

#[test]
fn who_vouches_for_itself_is_told_as_that_in_any_form() {
    let root = Authority::root("root");
    let mut authority = params(&[HOST], 60);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for params in [
        params(&[HOST], 60),
        params(&[HOST], -1),
        params(&["b.example"], 60),
        authority,
    ] {
        let judged = verdict_of(&self_made(&params), &[], &[&root.certificate]);
        assert_eq!(judged, Verdict::SelfSigned);
    }
    // Somebody who is trusted has named it.
    for (params, expected) in [
        (params(&[HOST], 60), Verdict::Good),
        (params(&[HOST], -1), Verdict::Expired),
        (params(&["b.example"], 60), Verdict::OtherName),
    ] {
        let made = self_made(&params);
        assert_eq!(verdict_of(&made, &[], &[&made.certificate]), expected);
    }
}

#[test]
fn what_is_no_certificate_is_unreadable_and_nothing_is_nothing() {
    let judge = judge_trusting(&[]);
    assert_eq!(judge.judge(&[], UnixTime::now()), None);
    let nonsense = CertificateDer::from(b"nonsense".to_vec());
    let judged = judge.judge(&[nonsense], UnixTime::now()).unwrap();
    assert_eq!(judged.verdict, Some(Verdict::Unreadable));
    assert_eq!(judged.chain, Chain::Unreadable);
    assert!(judged.names.each.is_empty());
    assert_eq!(judged.fingerprint[..], Sha256::digest(b"nonsense")[..]);
}
