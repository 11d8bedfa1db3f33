//! What is known of a link: a stream of ours behind its features, as policy sees it, and as others are told of it.

use alloc::boxed::Box;

use super::Sought;
use super::bidi::BothWays;
use crate::config::TlsAvailable;
use crate::federation::{
    Facts, Method, Methods, NextStep, OwnCertificate, PeerCertificate, Refusal, Side,
    StarttlsOffer, Tls, Tried, Try, Whose, decide, match_names,
};
use crate::jid::Domain;
use crate::port::{Opening, ProvenBy, Secured, SecuredBy, TlsVersion};
use crate::sm::{Counts, Inbound};
use crate::stream::deadline::Deadline;
use crate::stream::limits::max_bytes;
use crate::stream::{Cx, Hearing, Stream};
use crate::time::UnixTime;
use crate::xml::{Element, Node, Ns};

/// See the module.
#[derive(Debug)]
pub(super) struct Linked {
    pub(super) ours: Domain,
    pub(super) theirs: Domain,
    pub(super) secured: Option<Secured>,
    /// The id that the peer gave the stream.
    pub(super) id: Box<str>,
    pub(super) methods: Methods,
    pub(super) tried: Tried,
    pub(super) proof: Proof,
    pub(super) management: Management,
    /// The longest stanza that the peer takes (XEP-0478), if it says so.
    pub(super) max_bytes: Option<u32>,
    pub(super) both_ways: BothWays,
    /// The stanzas that came back since the peer counts them (XEP-0198), if it does.
    pub(super) counted: Option<Box<Inbound>>,
}

/// Whether the peer counts what it is sent (XEP-0198).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Management {
    Absent,
    Offered,
    /// `<enable/>` is out.
    Enabled,
}

/// How far the proof of who we are has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Proof {
    /// It is not begun.
    Unbegun,
    /// `<auth/>` is out.
    External,
    /// EXTERNAL has succeeded; the header of the new stream is awaited.
    Header,
    /// Its features are.
    Features,
    /// `<db:result/>` is out.
    Dialback,
    /// It is done: stanzas may be written.
    Done(ProvenBy),
}

impl Linked {
    pub(super) fn new(
        cx: &Cx<'_>,
        sought: &Sought,
        ours: Domain,
        secured: Option<Secured>,
        id: Box<str>,
    ) -> Self {
        debug_assert!(cx.config.hosts.contains_key(&ours));
        Self {
            ours,
            theirs: sought.domain.clone(),
            secured,
            id,
            methods: Methods {
                external: Method::Absent,
                dialback: Method::Absent,
            },
            tried: UNTRIED,
            proof: Proof::Unbegun,
            management: Management::Absent,
            max_bytes: None,
            both_ways: BothWays::No,
            counted: None,
        }
    }

    /// What features say beside how to prove who we are.
    pub(super) fn note_features(&mut self, features: &Element) {
        let has_sm = |feature: Node<'_>| feature.is(Ns::StreamManagement, "sm");
        if features.children().any(has_sm) {
            self.management = Management::Offered;
        }
        if let Some(max) = max_bytes(features.children()) {
            self.max_bytes = Some(max);
        }
    }

    pub(super) const fn hearing(&self) -> Hearing {
        match self.proof {
            Proof::Header => Hearing::Header,
            Proof::Unbegun
            | Proof::External
            | Proof::Features
            | Proof::Dialback
            | Proof::Done(_) => Hearing::Elements,
        }
    }

    pub(super) const fn deadline(&self) -> Deadline {
        match self.proof {
            Proof::Done(_) => Deadline::Link,
            Proof::Unbegun => Deadline::Questions,
            Proof::External | Proof::Header | Proof::Features | Proof::Dialback => Deadline::Proof,
        }
    }

    /// Until when what the peer has shown is good, if it is.
    pub(super) fn certified_until(&self) -> Option<UnixTime> {
        let certificate = self.secured.as_ref()?.certificate.as_ref()?;
        certificate.chain.valid_until()
    }

    pub(super) const fn is_proven(&self) -> bool {
        matches!(self.proof, Proof::Done(_))
    }

    /// Whether nothing was done yet to prove who we are.
    pub(super) const fn is_unbegun(&self) -> bool {
        matches!(self.proof, Proof::Unbegun)
    }

    pub(super) const fn secured(&self) -> Option<&Secured> {
        self.secured.as_ref()
    }

    pub(super) fn opened_anew(&mut self, id: &str) {
        self.id = id.into();
        self.proof = Proof::Features;
    }

    /// What is known of the stream.
    pub(super) fn facts(&self, cx: &Cx<'_>, starttls: StarttlsOffer) -> Facts {
        facts(
            cx,
            (&self.ours, &self.theirs),
            match &self.secured {
                None => Tls::Clear(starttls),
                Some(secured) => up(secured, &self.theirs),
            },
            (self.methods, self.tried),
        )
    }
}

pub(super) const UNTRIED: Tried = Tried {
    starttls: Try::Untried,
    external: Try::Untried,
    dialback: Try::Untried,
};

pub(super) fn facts(
    cx: &Cx<'_>,
    (ours, theirs): (&Domain, &Domain),
    tls: Tls,
    (methods, tried): (Methods, Tried),
) -> Facts {
    let own = cx.config.tls_of(ours);
    Facts {
        ours: ours.clone(),
        own: match own {
            TlsAvailable::Yes => OwnCertificate::Present,
            TlsAvailable::No => OwnCertificate::Absent,
        },
        side: Side::Out(theirs.clone()),
        whose: match cx.config.hosts.contains_key(theirs) {
            true => Whose::Ours,
            false => Whose::Others,
        },
        tls,
        methods,
        tried,
    }
}

pub(super) fn up(secured: &Secured, theirs: &Domain) -> Tls {
    Tls::Up {
        version: secured.version,
        opening: match secured.by {
            SecuredBy::DirectTls => Opening::Tls,
            SecuredBy::Starttls(_) => Opening::Clear,
        },
        certificate: match &secured.certificate {
            None => PeerCertificate::None,
            Some(certificate) => PeerCertificate::Shown {
                chain: certificate.chain,
                names: match_names(theirs, &certificate.names),
            },
        },
    }
}

impl Stream {
    /// By what the administrator says now, a link must not go on.
    pub(crate) fn link_refused_now(&self, cx: &Cx<'_>) -> Option<Refusal> {
        let linked = self.linked()?;
        // Behind the proof, what was tried for it says nothing of the peer.
        let facts = Facts {
            tried: UNTRIED,
            ..linked.facts(cx, StarttlsOffer::Absent)
        };
        let verdict = decide(&cx.config.federation.rules, &facts);
        // It may have been judged before it had to be encrypted.
        match verdict.step == NextStep::StartTls {
            true => Some(Refusal::Unencrypted),
            false => verdict.rule.refusal(),
        }
    }

    /// Whether the peer counts what it is sent, and the longest stanza that it takes.
    pub(crate) fn link_terms(&self) -> (Counts, Option<u32>) {
        if let Some(terms) = self.terms_of_theirs() {
            return terms;
        }
        let Some(linked) = self.linked() else {
            return (Counts::No, None);
        };
        let counts = match linked.management {
            Management::Enabled => Counts::Yes,
            Management::Absent | Management::Offered => Counts::No,
        };
        (counts, linked.max_bytes)
    }

    /// How it is proven, and below which TLS.
    pub(crate) fn link_proof(&self) -> Option<(ProvenBy, Option<TlsVersion>)> {
        let linked = self.linked()?;
        match linked.proof {
            Proof::Done(by) => Some((by, linked.secured.as_ref().map(|s| s.version))),
            Proof::Unbegun
            | Proof::External
            | Proof::Header
            | Proof::Features
            | Proof::Dialback => None,
        }
    }
}

/// By what the peer lets us prove who we are.
pub(super) fn methods(features: &Element) -> Methods {
    let offered = |is: bool| match is {
        true => Method::Offered,
        false => Method::Absent,
    };
    let mechanisms = features
        .children()
        .filter(|feature| feature.is(Ns::Sasl, "mechanisms"))
        .flat_map(|mechanisms| mechanisms.children());
    let mut mechanisms = mechanisms.filter(|mechanism| mechanism.is(Ns::Sasl, "mechanism"));
    let mut children = features.children();
    Methods {
        external: offered(mechanisms.any(|mechanism| mechanism.text() == "EXTERNAL")),
        dialback: offered(children.any(|feature| feature.is(Ns::DialbackFeature, "dialback"))),
    }
}
