//! What a peer says it has (RFC 6120 §4.3.2), and why it will not have us (§4.9.2).

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;

use crate::limits::{REACH_FEATURES_TOLD, REACH_WORD_BYTES};
use crate::port::{Feature, Features, PeerError, Starttls};
use crate::xml::{Element, Ns};

/// All that is told of them.
pub(super) fn read(features: &Element) -> Features {
    let all = features.children().take(REACH_FEATURES_TOLD);
    let mechanisms = features
        .children()
        .filter(|feature| feature.is(Ns::Sasl, "mechanisms"))
        .flat_map(|mechanisms| mechanisms.children())
        .filter(|mechanism| mechanism.is(Ns::Sasl, "mechanism"));
    Features {
        mechanisms: mechanisms
            .map(|mechanism| cut(&mechanism.text()))
            .take(REACH_FEATURES_TOLD)
            .collect(),
        all: all
            .map(|feature| Feature {
                name: cut(feature.name()),
                namespace: cut(&feature.ns_uri()),
            })
            .collect(),
    }
}

/// Whether TLS is offered, and how. RFC 6120 §5.3.1: it is required where that is said, or where there is nothing else.
pub(super) fn starttls(features: &Element) -> Option<Starttls> {
    let mut children = features.children();
    let starttls = children.find(|feature| feature.is(Ns::Tls, "starttls"))?;
    let says_so = starttls
        .children()
        .any(|child| child.is(Ns::Tls, "required"));
    Some(match says_so || features.children().nth(1).is_none() {
        true => Starttls::Required,
        false => Starttls::Optional,
    })
}

/// A stream error.
pub(super) fn error(error: &Element) -> PeerError {
    let mut condition = None;
    let mut text = None;
    for child in error.children() {
        match (child.ns(), child.name()) {
            (Ns::StreamErrors, "text") => text = Some(cut(&child.text())),
            (Ns::StreamErrors, name) if condition.is_none() => condition = Some(cut(name)),
            _ => {}
        }
    }
    PeerError {
        condition: condition.unwrap_or_default(),
        text,
    }
}

/// As much as is told of what a peer says.
pub(super) fn cut(text: &str) -> Box<str> {
    if text.len() <= REACH_WORD_BYTES {
        return text.into();
    }
    let mut end = REACH_WORD_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut short = text.get(..end).unwrap_or_default().to_owned();
    short.push('…');
    short.into()
}
