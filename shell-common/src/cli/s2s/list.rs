//! Links and streams of other servers, as they are.

use std::io::{self, Write};

use serde::Serialize;

use super::explain::{certificate_line, failure_tree, verdict_tree};
use super::tree::Tree;
use crate::control::linking::{Link, Method, State, Way};
use crate::control::reaching::Version;
use crate::visible::visible;

/// For programs.
#[derive(Debug, Serialize)]
pub(super) struct Listed<'a> {
    pub(super) links: &'a [Link],
    pub(super) more: bool,
}

/// For people.
pub(super) fn write(listed: &Listed<'_>, out: &mut dyn Write) -> io::Result<()> {
    let Listed { links, more } = *listed;
    if links.is_empty() {
        return writeln!(out, "there are no links");
    }
    links.iter().try_for_each(|link| tree(link).write(out))?;
    match more {
        true => writeln!(out, "and more, which are not shown"),
        false => Ok(()),
    }
}

/// One of them.
pub(super) fn tree(link: &Link) -> Tree {
    let (ours, theirs) = (visible(&link.ours), visible(&link.theirs));
    let head = match link.direction {
        Way::Out => format!("out  {ours} to {theirs}: {}", state(link)),
        Way::In => format!("in   {theirs} to {ours}: {}", state(link)),
    };
    let mut tree = Tree::of(head, Vec::new());
    if let Some(peer) = link.peer {
        let tls = link.tls.as_ref().map_or_else(
            || "no TLS".to_owned(),
            |tls| {
                let version = match tls.version {
                    Version::V1_2 => "TLS 1.2",
                    Version::V1_3 => "TLS 1.3",
                };
                format!("{version} with {}", visible(&tls.suite))
            },
        );
        let method = match link.method {
            None => "",
            Some(Method::External) => ", proven by EXTERNAL",
            Some(Method::Certificate) => ", proven by its certificate, without dialling back",
            Some(Method::Dialback) => ", proven by dialback",
        };
        tree.push(Tree::leaf(format!("{peer}, {tls}{method}")));
    }
    if let Some(tls) = &link.tls {
        let line = match &tls.certificate {
            None => "no certificate".to_owned(),
            Some(certificate) => {
                let names: Vec<_> = certificate.names.iter().map(|n| visible(n)).collect();
                let names = match names.is_empty() {
                    true => "for no domain".to_owned(),
                    false => format!("for {}", names.join(", ")),
                };
                format!("{}, {names}", certificate_line(&certificate.chain))
            }
        };
        tree.push(Tree::leaf(format!("certificate: {line}")));
    }
    if link.queue.stanzas > 0 {
        let queue = link.queue;
        tree.push(Tree::leaf(format!(
            "queue: {} stanzas of {} bytes, {} of them sent and not confirmed",
            queue.stanzas, queue.bytes, queue.unconfirmed
        )));
    }
    if let Some(failure) = &link.failure {
        tree.push(failure_tree("last error: ", failure));
    }
    if let Some(verdict) = &link.verdict {
        tree.push(verdict_tree("by the rules now: ", verdict));
    }
    tree
}

fn state(link: &Link) -> String {
    let left = span(link.seconds_left.unwrap_or_default());
    let since = link.seconds.map(span);
    let word = match link.state {
        State::Cold => "none, and nothing needs one".to_owned(),
        State::Opening => "a way is looked for".to_owned(),
        State::Unproven => "connected, and not proven".to_owned(),
        State::Up => "up".to_owned(),
        State::Waiting => format!("none, tried again in {left}"),
        State::Refused => format!("none, not tried for another {left}"),
    };
    match since {
        Some(since) => format!("{word} for {since}"),
        None => word,
    }
}

/// So many seconds.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
