//! All rules and all facts there can be, each with each.

use super::*;

/// The rows of the table.
pub(super) const ROWS: [&str; 17] = [
    "A1", "I1", "I2", "I3", "I4", "I5", "I6", "F1", "F2", "F3", "O1", "O2", "O3", "O4", "O5", "O6",
    "O7",
];

/// The row that a verdict is of, by its rule.
pub(super) fn row(facts: &Facts, verdict: &Verdict) -> &'static str {
    let by_side = |inbound, further, outbound| match &facts.side {
        Side::In(_) | Side::Claim(_) => inbound,
        Side::Further(_) => further,
        Side::Out(_) => outbound,
    };
    match verdict.rule {
        Rule::StarttlsAlone => "I1",
        Rule::StarttlsBeside => "I2",
        Rule::Unnamed => "I3",
        Rule::DialBackInTheClear => by_side("I2", "F3", "none"),
        Rule::CertificateProves => by_side("I4", "F1", "none"),
        Rule::CertificateNotNeeded => by_side("I6", "F3", "none"),
        Rule::StarttlsOffered => "O1",
        Rule::StarttlsUnoffered => "O2",
        Rule::DialbackInTheClear => "O3",
        Rule::External | Rule::Dialback => "O6",
        Rule::Refused(refusal) => match refusal {
            Refusal::NotAllowed | Refusal::Excluded | Refusal::OurDomain => "A1",
            Refusal::Unencrypted => by_side("I1", "F2", "none"),
            Refusal::NoOwnCertificate => "I1",
            Refusal::Certificate(_) => by_side("I5", "F2", "O5"),
            Refusal::StarttlsAbsent => "O2",
            Refusal::StarttlsForbidden => "O3",
            Refusal::StarttlsFailed | Refusal::TlsFailed => "O4",
            Refusal::NoMethod => "O7",
        },
        Rule::SecureAuth
        | Rule::InsecureDomain
        | Rule::SecureDomain
        | Rule::RequireEncryption
        | Rule::NothingNeeded
        | Rule::Permitted
        | Rule::InTheClear
        | Rule::Encrypted
        | Rule::GoodCertificate
        | Rule::BadCertificate(_)
        | Rule::ExternalUnfit => "none",
    }
}

/// Takes a number apart into one for each of so many choices.
pub(super) struct Choices(pub(super) usize);

impl Choices {
    pub(super) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        let chosen = choices[self.0 % choices.len()].clone();
        self.0 /= choices.len();
        chosen
    }
}

const TRIES: [Try; 2] = [Try::Untried, Try::Failed];
const METHODS: [Method; 2] = [Method::Absent, Method::Offered];

const CHAINS: [Chain; 7] = [
    VALID,
    Chain::Expired {
        on: UnixTime(1_000_000_000_000),
    },
    Chain::NotYetValid {
        from: UnixTime(1_900_000_000_000),
    },
    Chain::SelfSigned,
    Chain::Untrusted,
    Chain::WrongUse,
    Chain::Unreadable,
];

const NAMES: [NameMatch; 5] = [
    NameMatch::Xmpp,
    NameMatch::Srv,
    NameMatch::Dns,
    NameMatch::Mismatch,
    NameMatch::Nameless,
];

/// All states of TLS, where it has this version and began so.
fn layers(version: TlsVersion, opening: Opening) -> Vec<Tls> {
    let mut layers = Vec::from([CLEAR, CAN, MUST, Tls::Failed]);
    let named = |chain| NAMES.map(|names| shown(chain, names));
    let mut certificates: Vec<_> = CHAINS.into_iter().flat_map(named).collect();
    certificates.push(PeerCertificate::None);
    layers.extend(certificates.into_iter().map(|certificate| Tls::Up {
        version,
        opening,
        certificate,
    }));
    layers
}

/// What facts are chosen from.
pub(super) struct World {
    sides: [Side; 5],
    layers: Vec<Tls>,
    ours: Domain,
}

impl World {
    pub(super) fn new() -> Self {
        Self::of(TlsVersion::V1_3, Opening::Clear)
    }

    fn of(version: TlsVersion, opening: Opening) -> Self {
        let theirs = domain(THEIRS);
        Self {
            sides: [
                Side::In(None),
                Side::In(Some(theirs.clone())),
                Side::Claim(theirs.clone()),
                Side::Further(theirs.clone()),
                Side::Out(theirs),
            ],
            layers: layers(version, opening),
            ours: domain("ours.example"),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sides.len() * self.layers.len() * 2 * 2 * 4 * 8
    }

    pub(super) fn facts(&self, number: usize) -> Facts {
        let mut choices = Choices(number);
        Facts {
            ours: self.ours.clone(),
            own: choices.of(&[OwnCertificate::Present, OwnCertificate::Absent]),
            side: choices.of(&self.sides),
            whose: choices.of(&[Whose::Others, Whose::Ours]),
            tls: choices.of(&self.layers),
            methods: Methods {
                external: choices.of(&METHODS),
                dialback: choices.of(&METHODS),
            },
            tried: Tried {
                starttls: choices.of(&TRIES),
                external: choices.of(&TRIES),
                dialback: choices.of(&TRIES),
            },
        }
    }
}

/// Everything that can be said about one domain.
pub(super) const OPTIONS: usize = 2 * 2 * 2 * 2 * 2 * 3;

pub(super) fn options(number: usize) -> PolicyOptions {
    let mut choices = Choices(number);
    let those = [BTreeSet::new(), domains(&[THEIRS])];
    let (allowed, refused) = choices.of(&[
        (Allowed::All, BTreeSet::new()),
        (Allowed::Only(BTreeSet::new()), BTreeSet::new()),
        (Allowed::All, domains(&[THEIRS])),
    ]);
    PolicyOptions {
        allow_encryption: choices.of(&[AllowEncryption::Yes, AllowEncryption::No]),
        require_encryption: choices.of(&[RequireEncryption::Yes, RequireEncryption::No]),
        secure_auth: choices.of(&[SecureAuth::Yes, SecureAuth::No]),
        secure_domains: choices.of(&those),
        insecure_domains: choices.of(&those),
        allowed,
        refused,
    }
}

/// The need, read off the options.
fn need(options: &PolicyOptions, facts: &Facts) -> Need {
    let is_in = |list: &BTreeSet<Domain>| facts.side.domain().is_some_and(|it| list.contains(it));
    let needs_certificate = match options.secure_auth {
        SecureAuth::Yes => !is_in(&options.insecure_domains),
        SecureAuth::No => is_in(&options.secure_domains),
    };
    let needs_tls = options.secure_auth == SecureAuth::Yes
        || options.require_encryption == RequireEncryption::Yes;
    match (needs_certificate, needs_tls) {
        (true, _) => Need::Certificate,
        (false, true) => Need::Tls,
        (false, false) => Need::Nothing,
    }
}

fn is_good(facts: &Facts) -> bool {
    matches!(
        facts.tls,
        Tls::Up {
            certificate: PeerCertificate::Shown {
                chain: Chain::Valid { .. },
                names: NameMatch::Xmpp | NameMatch::Srv | NameMatch::Dns,
            },
            ..
        }
    )
}

/// The first row that fits, as the table has them.
fn first_row(options: &PolicyOptions, facts: &Facts) -> &'static str {
    let need = need(options, facts);
    let theirs = facts.side.domain();
    let refused = theirs.is_some_and(|domain| {
        let allowed = match &options.allowed {
            Allowed::All => true,
            Allowed::Only(those) => those.contains(domain),
        };
        !allowed || options.refused.contains(domain)
    });
    let allow = options.allow_encryption == AllowEncryption::Yes;
    let (clear, up) = (
        matches!(facts.tls, Tls::Clear(_)),
        matches!(facts.tls, Tls::Up { .. }),
    );
    let offers = matches!(
        facts.tls,
        Tls::Clear(StarttlsOffer::Offered | StarttlsOffer::Required)
    );
    let requires = matches!(facts.tls, Tls::Clear(StarttlsOffer::Required));
    let inbound = matches!(facts.side, Side::In(_) | Side::Claim(_));
    let further = matches!(facts.side, Side::Further(_));
    let out = matches!(facts.side, Side::Out(_));
    let failed = facts.tls == Tls::Failed || out && offers && facts.tried.starttls == Try::Failed;
    let good = is_good(facts);
    let dialback =
        facts.methods.dialback == Method::Offered && facts.tried.dialback == Try::Untried;
    let external = facts.methods.external == Method::Offered
        && facts.tried.external == Try::Untried
        && facts.own == OwnCertificate::Present;
    let rows = [
        ("A1", refused || facts.whose == Whose::Ours),
        ("I1", inbound && need > Need::Nothing && clear),
        ("I2", inbound && clear),
        ("I3", inbound && up && theirs.is_none()),
        ("I4", inbound && up && good),
        ("I5", inbound && up && need == Need::Certificate),
        ("I6", inbound && up),
        ("F1", further && good),
        ("F2", further && up && need == Need::Certificate),
        ("F2", further && clear && need > Need::Nothing),
        ("F3", further && (clear || up)),
        ("O4", failed),
        ("O1", out && allow && offers),
        ("O2", out && clear && need > Need::Nothing),
        ("O3", out && clear && (requires || dialback)),
        ("O5", out && up && need == Need::Certificate && !good),
        ("O6", out && up && (external || dialback)),
        ("O7", out),
    ];
    let fits = rows.iter().find(|(_, fits)| *fits);
    fits.map_or("none", |(row, _)| row)
}

/// Ends with a sentence where something does not hold.
macro_rules! must {
    ($holds:expr, $otherwise:literal $(,)?) => {
        if !$holds {
            return Err($otherwise);
        }
    };
}

/// What must hold of every verdict, whatever the table says.
fn check(options: &PolicyOptions, facts: &Facts, verdict: &Verdict) -> Result<(), &'static str> {
    let need = need(options, facts);
    must!(
        row(facts, verdict) == first_row(options, facts),
        "it is of another row",
    );
    must!(verdict.need == need, "the need is another");
    proofs(facts, verdict)?;
    encryption(options, facts, verdict)?;
    sides(facts, verdict)?;
    trail(facts, verdict)
}

fn offered(verdict: &Verdict) -> Offer {
    if let NextStep::Offer(offer) = verdict.step {
        return offer;
    }
    Offer {
        starttls: None,
        external: Method::Absent,
        dialback: Method::Absent,
    }
}

const fn refuses(verdict: &Verdict) -> bool {
    matches!(verdict.step, NextStep::Refuse { .. })
}

fn proofs(facts: &Facts, verdict: &Verdict) -> Result<(), &'static str> {
    let (good, offer) = (is_good(facts), offered(verdict));
    let proves = matches!(
        verdict.step,
        NextStep::External
            | NextStep::Dialback
            | NextStep::AcceptByCertificate
            | NextStep::DialBack
    );
    must!(
        verdict.need < Need::Certificate || !proves || good,
        "what needs a certificate is proven without a good one",
    );
    must!(
        offer.external == Method::Absent || good,
        "EXTERNAL is offered to who has no good certificate",
    );
    must!(
        verdict.step != NextStep::AcceptByCertificate || good,
        "a certificate proves that is not good",
    );
    let named = facts.side.domain().is_some();
    must!(
        verdict.need < Need::Certificate || !named || offer.dialback == Method::Absent || good,
        "what needs a certificate is offered dialback without a good one",
    );
    Ok(())
}

fn encryption(
    options: &PolicyOptions,
    facts: &Facts,
    verdict: &Verdict,
) -> Result<(), &'static str> {
    let (step, offer) = (verdict.step, offered(verdict));
    let clear = matches!(facts.tls, Tls::Clear(_));
    let only_starttls = step == NextStep::StartTls
        || refuses(verdict)
        || offer.starttls == Some(Starttls::Required) && offer.dialback == Method::Absent;
    must!(
        verdict.need == Need::Nothing || !clear || only_starttls,
        "what needs encryption goes on in the clear",
    );
    let had_tls = match facts.tls {
        Tls::Clear(StarttlsOffer::Absent) | Tls::Up { .. } => false,
        Tls::Clear(_) => facts.tried.starttls == Try::Failed,
        Tls::Failed => true,
    };
    must!(
        !had_tls || step != NextStep::Dialback,
        "dialback in the clear where TLS was offered and failed",
    );
    must!(
        facts.tls != Tls::Failed || refuses(verdict),
        "something is done where a handshake failed",
    );
    let up = matches!(facts.tls, Tls::Up { .. });
    must!(
        !up || step != NextStep::StartTls && offer.starttls.is_none(),
        "TLS is begun inside TLS",
    );
    let shows = offer.starttls.is_some() || step == NextStep::External;
    must!(
        facts.own == OwnCertificate::Present || !shows,
        "a certificate of ours is needed that is not there",
    );
    let begins = offer.starttls.is_some() || step == NextStep::StartTls;
    must!(
        options.allow_encryption == AllowEncryption::Yes || !begins,
        "encryption that is forbidden is begun",
    );
    Ok(())
}

/// Each side has steps of its own.
fn sides(facts: &Facts, verdict: &Verdict) -> Result<(), &'static str> {
    let fits = match &facts.side {
        Side::In(_) => matches!(verdict.step, NextStep::Offer(_)),
        Side::Claim(_) | Side::Further(_) => matches!(
            verdict.step,
            NextStep::AcceptByCertificate | NextStep::DialBack
        ),
        Side::Out(_) => matches!(
            verdict.step,
            NextStep::StartTls | NextStep::External | NextStep::Dialback
        ),
    };
    must!(fits || refuses(verdict), "it is another side's step");
    Ok(())
}

/// What must hold of every trail.
fn trail(facts: &Facts, verdict: &Verdict) -> Result<(), &'static str> {
    let trail = &verdict.trail;
    let last = trail.last().map(|finding| finding.rule);
    must!(last == Some(verdict.rule), "its trail ends otherwise");
    let first = trail.first().map(|finding| finding.rule);
    let by_need = match verdict.need {
        Need::Certificate => [Rule::SecureAuth, Rule::SecureDomain],
        Need::Tls => [Rule::InsecureDomain, Rule::RequireEncryption],
        Need::Nothing => [Rule::NothingNeeded; 2],
    };
    must!(
        first.is_some_and(|first| by_need.contains(&first)),
        "its trail does not begin with the need",
    );
    must!(trail.len() <= TRAIL_RULES, "its trail is too long");
    let once = |finding: &Finding| {
        let same = trail.iter().filter(|other| other.rule == finding.rule);
        same.count() == 1
    };
    must!(trail.iter().all(once), "its trail says something twice");
    must!(
        verdict.rule.refusal().is_some() == refuses(verdict),
        "its rule refuses, or not, unlike its step",
    );
    let before = trail.len().saturating_sub(1);
    let mut before = trail.iter().take(before);
    must!(
        before.all(|finding| finding.rule.refusal().is_none()),
        "its trail goes on behind a refusal",
    );
    let says = |wanted: fn(Rule) -> bool| trail.iter().any(|finding| wanted(finding.rule));
    let up = matches!(facts.tls, Tls::Up { .. });
    let permitted = says(|rule| rule == Rule::Permitted);
    must!(
        says(|rule| rule == Rule::Encrypted) == (up && permitted),
        "its trail is wrong about encryption",
    );
    Ok(())
}

#[test]
fn every_combination_ends_in_the_first_row_that_fits() {
    let world = World::new();
    let (mut combinations, mut contradictions) = (0, 0);
    let mut rows = BTreeSet::new();
    for number in 0..OPTIONS {
        let options = options(number);
        let Ok(rules) = Rules::new(options.clone()) else {
            contradictions += 1;
            continue;
        };
        for number in 0..world.len() {
            let facts = world.facts(number);
            let verdict = decide(&rules, &facts);
            if let Err(fault) = check(&options, &facts, &verdict) {
                panic!("{fault}\n{options:#?}\n{facts:#?}\n{verdict:#?}");
            }
            rows.insert(row(&facts, &verdict));
            combinations += 1;
        }
    }
    assert_eq!(rows, ROWS.into_iter().collect());
    // Of 16 times 3 without encryption all but those that need none, of which the domain is in the other list, or in no list.
    assert_eq!(contradictions, (16 - 2) * 3);
    assert_eq!(combinations, (OPTIONS - contradictions) * world.len());
    assert_eq!(combinations, 1_382_400);
}

#[test]
fn which_tls_it_is_and_how_it_began_decides_nothing() {
    let world = World::new();
    let others = [
        World::of(TlsVersion::V1_3, Opening::Tls),
        World::of(TlsVersion::V1_2, Opening::Clear),
        World::of(TlsVersion::V1_2, Opening::Tls),
    ];
    for need in [Need::Nothing, Need::Tls, Need::Certificate] {
        let rules = needing(need);
        for number in 0..world.len() {
            let verdict = decide(&rules, &world.facts(number));
            for other in &others {
                let other = decide(&rules, &other.facts(number));
                assert_eq!((other.step, other.rule), (verdict.step, verdict.rule));
            }
        }
    }
}

#[test]
fn every_refusal_has_words_for_all_and_nothing_else_has() {
    let world = World::new();
    let mut rules_seen: Vec<Rule> = Vec::new();
    for number in 0..OPTIONS {
        let Ok(rules) = Rules::new(options(number)) else {
            continue;
        };
        for number in (0..world.len()).step_by(3) {
            let trail = decide(&rules, &world.facts(number)).trail;
            for Finding { rule, .. } in trail {
                if !rules_seen.contains(&rule) {
                    rules_seen.push(rule);
                }
            }
        }
    }
    let flaws = 9;
    // Each that is not about a certificate, and those three that are for each flaw.
    assert_eq!(rules_seen.len(), 21 + 10 + 2 * flaws);
    let mut logged = BTreeSet::new();
    for rule in rules_seen {
        assert!(logged.insert(rule.log()), "{rule:?} says what another does");
        let is_refusal = matches!(rule, Rule::Refused(_));
        assert_eq!(rule.refusal().is_some(), is_refusal);
        assert_eq!(rule.peer().is_some(), is_refusal);
        assert_eq!(rule.bounce().is_some(), is_refusal);
        for text in rule.peer().into_iter().chain(rule.bounce()) {
            assert!(text.starts_with(char::is_uppercase), "{text}");
            // Neither a name, nor an address, nor the name of an option.
            assert!(!text.contains(['.', ':', '@', '`', '_']), "{text}");
        }
    }
}

/// What XEP-0288 needs: what may come from a domain on a stream may go to it there, and the other way round.
#[test]
fn a_domain_that_is_let_in_would_be_sought_and_one_that_is_sought_let_in() {
    let world = World::new();
    let offered = Methods {
        external: Method::Offered,
        dialback: Method::Offered,
    };
    let mut compared = 0;
    for rules in (0..OPTIONS).filter_map(|number| Rules::new(options(number)).ok()) {
        for number in 0..world.len() {
            let facts = world.facts(number);
            let is_clear = matches!(facts.tls, Tls::Clear(_));
            // In the clear, a stream of ours would have TLS begun, if the peer had it; a stream of theirs had its chance.
            if is_clear && rules.encryption() != Encryption::Forbidden {
                continue;
            }
            let side = match &facts.side {
                Side::Claim(domain) | Side::Further(domain) => Side::Out(domain.clone()),
                Side::Out(domain) => Side::Claim(domain.clone()),
                Side::In(_) => continue,
            };
            if refuses(&decide(&rules, &facts)) {
                continue;
            }
            let other = Facts {
                side,
                tls: match facts.tls {
                    Tls::Clear(_) => Tls::Clear(StarttlsOffer::Absent),
                    tls @ (Tls::Up { .. } | Tls::Failed) => tls,
                },
                methods: offered,
                tried: Tried {
                    starttls: Try::Untried,
                    external: Try::Untried,
                    dialback: Try::Untried,
                },
                ..facts.clone()
            };
            let verdict = decide(&rules, &other);
            assert!(!refuses(&verdict), "{facts:#?}\n{verdict:#?}");
            compared += 1;
        }
    }
    assert!(compared > 10_000, "{compared}");
}
