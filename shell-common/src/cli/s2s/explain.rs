//! Why there is a link to a domain, or none: what was asked, seen and decided, as a tree, and by another configuration.

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use spondee_core::federation::{self, Rules, Whose, conclude};
use spondee_core::jid::Domain;
use spondee_core::port::{LinkFailure, LinkTask, Unreached};

use super::tree::Tree;
use super::{OTHERWISE, call, list, listed};
use crate::cli::Console;
use crate::cli::args::Form;
use crate::cli::failure::Failure;
use crate::cli::reach::{asked_line, attempt_line};
use crate::cli::source::load;
use crate::config::{Settings, Wanted};
use crate::control::linking::facts::{Names, Own, Starttls, Tls};
use crate::control::linking::{
    Chain, Conclusion, Explained, Facts, Failure as NoLink, Known, Link, Told, Verdict,
};
use crate::control::reaching::{Begins, Outcome, Version};
use crate::visible::visible;

/// A configuration that is not in use.
#[derive(Debug)]
pub(super) struct Other {
    file: PathBuf,
    rules: Rules,
}

impl Other {
    /// # Errors
    /// All that is wrong with the file.
    pub(super) fn load(file: PathBuf) -> Result<Self, Failure> {
        let rules = load(&file, Wanted::Command)?.config.federation.rules;
        Ok(Self { file, rules })
    }

    /// What it would have come to.
    fn judge(&self, domain: &Domain, explained: &Explained) -> Result<WhatIf, Failure> {
        let facts = of_last(&explained.known).map(|facts| facts.to(domain));
        let facts: Vec<_> = facts.collect::<Result<_, _>>().map_err(Failure::Unusable)?;
        let is_ours = matches!(&explained.conclusion, Conclusion::Barred(reason) if reason.rule == federation::Refusal::OurDomain.name());
        let whose = match is_ours {
            true => Whose::Ours,
            false => Whose::Others,
        };
        let conclusion = conclude(&self.rules, (domain, whose), &facts);
        let refusal = match &conclusion {
            federation::Conclusion::Barred(refusal) => Some(*refusal),
            federation::Conclusion::Refused(verdict) => verdict.rule.refusal(),
            federation::Conclusion::Link(..) | federation::Conclusion::Unknown => None,
        };
        let failure = refusal.map(|refusal| {
            let failure = LinkFailure::Unreached(Unreached::Policy(refusal), None);
            NoLink::from(&failure)
        });
        let conclusion = match (&explained.reach.outcome, Conclusion::from(conclusion)) {
            // It came to nothing behind that, whatever anybody's rules say.
            (outcome, Conclusion::Link { .. }) if is_lost(outcome) => Conclusion::Unknown,
            (_, conclusion) => conclusion,
        };
        Ok(WhatIf {
            file: self.file.display().to_string(),
            conclusion,
            failure,
        })
    }
}

/// Whether no rule of ours ended it before there was a stream to judge.
const fn is_lost(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Reached(_) | Outcome::Policy(_) => false,
        Outcome::NoAddresses
        | Outcome::NoService
        | Outcome::Unresolved(_)
        | Outcome::Unsuccessful
        | Outcome::Unwelcome
        | Outcome::TimedOut
        | Outcome::Stopped => true,
    }
}

/// What was known of the last stream.
fn of_last(known: &[Known]) -> impl Iterator<Item = &Facts> {
    let last = known.last().map(|known| known.attempt);
    let of_it = known.iter().filter(move |one| Some(one.attempt) == last);
    of_it.map(|one| &one.facts)
}

/// By another configuration.
#[derive(Debug, Serialize)]
pub(super) struct WhatIf {
    file: String,
    conclusion: Conclusion,
    failure: Option<NoLink>,
}

/// All that is told.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) domain: String,
    #[serde(flatten)]
    pub(super) explained: Explained,
    /// Those that there are with the domain.
    pub(super) links: Vec<Link>,
    pub(super) what_if: Option<WhatIf>,
}

pub(super) fn perform(
    (domain, from): (&Domain, &Domain),
    other: Option<Other>,
    form: Form,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let task = LinkTask::Explain {
        domain: domain.clone(),
        ours: from.clone(),
    };
    let explained = match call(settings, task)? {
        Told::Explained(explained) => *explained,
        Told::Closed(_) | Told::Listed { .. } => {
            return Err(Failure::Unusable(OTHERWISE.to_owned()));
        }
    };
    let (links, _) = listed(settings, Some(domain.clone()))?;
    let what_if = other.map(|other| other.judge(domain, &explained));
    let report = Report {
        domain: domain.as_str().to_owned(),
        explained,
        links,
        what_if: what_if.transpose()?,
    };
    match form {
        Form::Text => report.tree().write(console.out)?,
        Form::Json => {
            let text = serde_json::to_string_pretty(&report).map_err(io::Error::from)?;
            writeln!(console.out, "{text}")?;
        }
    }
    match report.wrong() {
        Some(why) => Err(Failure::Refused(format!("{domain}: {why}"))),
        None => Ok(()),
    }
}

impl Report {
    /// Why the exit code is not 0.
    pub(super) fn wrong(&self) -> Option<String> {
        let (conclusion, failure) = match &self.what_if {
            Some(what_if) => (&what_if.conclusion, &what_if.failure),
            None => (&self.explained.conclusion, &self.explained.failure),
        };
        match conclusion {
            Conclusion::Link { .. } => None,
            Conclusion::Refused(_) | Conclusion::Barred(_) | Conclusion::Unknown => Some(no_link(
                failure.as_ref().or(self.explained.failure.as_ref()),
            )),
        }
    }

    pub(super) fn tree(&self) -> Tree {
        let explained = &self.explained;
        let reach = &explained.reach;
        let (domain, from) = (visible(&self.domain), visible(&explained.from));
        let mut tree = Tree::of(format!("{domain}, from {from}"), Vec::new());
        if !reach.asked.is_empty() {
            let names = reach
                .asked
                .iter()
                .map(|asked| Tree::leaf(asked_line(asked)));
            tree.push(Tree::of("names", names.collect()));
        }
        if !reach.attempts.is_empty() {
            let attempts = reach.attempts.iter().enumerate().map(|(at, attempt)| {
                let known = explained.known.iter().filter(|known| known.attempt == at);
                let suite = suite_of(explained, at);
                let known = known.map(|known| known_tree(known, suite));
                Tree::of(attempt_line(attempt), known.collect())
            });
            tree.push(Tree::of("targets, in their order", attempts.collect()));
        }
        if !self.links.is_empty() {
            let links = self.links.iter().map(list::tree);
            tree.push(Tree::of("links that there are", links.collect()));
        }
        let now = match self.what_if {
            Some(_) => "now: ",
            None => "result: ",
        };
        let failure = explained.failure.as_ref();
        tree.push(conclusion_tree(now, &explained.conclusion, failure));
        if let Some(what_if) = &self.what_if {
            let with = format!("with {}: ", visible(&what_if.file));
            let failure = what_if.failure.as_ref();
            tree.push(conclusion_tree(&with, &what_if.conclusion, failure));
        }
        tree
    }
}

/// The cipher suite of the attempt that came to features.
fn suite_of(explained: &Explained, attempt: usize) -> Option<&str> {
    let is_last = attempt.checked_add(1) == Some(explained.reach.attempts.len());
    let Outcome::Reached(reached) = &explained.reach.outcome else {
        return None;
    };
    let tls = reached.tls.as_ref().filter(|_| is_last)?;
    Some(&tls.suite)
}

/// What was known at one time, and decided by that.
fn known_tree(known: &Known, suite: Option<&str>) -> Tree {
    let facts = &known.facts;
    let mut tree = Tree::of(tls_line(&facts.tls, suite), Vec::new());
    if let Tls::Up { certificate, .. } = &facts.tls {
        match certificate {
            None => tree.push(Tree::leaf("chain: there is no certificate")),
            Some(certificate) => {
                tree.push(Tree::leaf(format!(
                    "chain: {}",
                    certificate_line(&certificate.chain)
                )));
                tree.push(Tree::leaf(format!(
                    "names: {}",
                    names_words(certificate.names)
                )));
            }
        }
    }
    let methods = facts.methods.iter().map(|means| means.words());
    let offered: Vec<_> = methods.collect();
    let offered = match offered.is_empty() {
        true => "none".to_owned(),
        false => offered.join(", "),
    };
    tree.push(Tree::leaf(format!("methods offered: {offered}")));
    if facts.own_certificate == Own::Absent {
        tree.push(Tree::leaf("there is no certificate of ours"));
    }
    tree.push(verdict_tree("decided: ", &known.verdict));
    tree
}

fn tls_line(tls: &Tls, suite: Option<&str>) -> String {
    match tls {
        Tls::Clear(Starttls::Absent) => "in the clear, STARTTLS not offered".to_owned(),
        Tls::Clear(Starttls::Offered) => "in the clear, STARTTLS offered".to_owned(),
        Tls::Clear(Starttls::Required) => "in the clear, STARTTLS required".to_owned(),
        Tls::Failed => "the TLS handshake failed".to_owned(),
        Tls::Up {
            version, opening, ..
        } => {
            let version = match version {
                Version::V1_2 => "TLS 1.2",
                Version::V1_3 => "TLS 1.3",
            };
            let by = match opening {
                Begins::DirectTls => "at once",
                Begins::Starttls => "by STARTTLS",
            };
            match suite {
                Some(suite) => format!("{version} {by}, with {}", visible(suite)),
                None => format!("{version} {by}"),
            }
        }
    }
}

/// Whether somebody vouches for a certificate.
pub(super) fn certificate_line(chain: &Chain) -> String {
    match chain {
        Chain::Valid { until } => format!("valid until {}", visible(until)),
        Chain::Expired { on } => format!("expired on {}", visible(on)),
        Chain::NotYetValid { from } => format!("not valid before {}", visible(from)),
        Chain::SelfSigned => "signed by itself".to_owned(),
        Chain::Untrusted => "signed by nobody who is trusted".to_owned(),
        Chain::WrongUse => "made for another use".to_owned(),
        Chain::Unreadable => "unreadable".to_owned(),
    }
}

const fn names_words(names: Names) -> &'static str {
    match names {
        Names::XmppAddr => "it names the domain by xmppAddr",
        Names::SrvName => "it names the domain by SRVName",
        Names::DnsName => "it names the domain by dNSName",
        Names::Mismatch => "it names others",
        Names::Nameless => "it names nobody",
    }
}

/// A verdict, and all that was looked at for it.
pub(super) fn verdict_tree(before: &str, verdict: &Verdict) -> Tree {
    let trail = verdict.trail.iter().map(|finding| {
        let (why, saw) = (visible(&finding.why), visible(&finding.saw));
        Tree::leaf(format!("{why}: {saw}"))
    });
    Tree::of(
        format!("{before}{}", visible(&verdict.why)),
        trail.collect(),
    )
}

/// By whose decision there is no link, and what is said of it.
pub(super) fn failure_tree(before: &str, failure: &NoLink) -> Tree {
    let told = match &failure.text {
        None => visible(&failure.condition),
        Some(text) => format!("{}, \"{}\"", visible(&failure.condition), visible(text)),
    };
    let line = format!("{before}{}: {}", failure.by.words(), failure.why);
    Tree::of(line, vec![Tree::leaf(format!("authors are told: {told}"))])
}

fn no_link(failure: Option<&NoLink>) -> String {
    match failure {
        None => "no link: nothing was heard that could be judged".to_owned(),
        Some(failure) => format!("no link, {}: {}", failure.by.words(), failure.why),
    }
}

fn conclusion_tree(before: &str, conclusion: &Conclusion, failure: Option<&NoLink>) -> Tree {
    match (conclusion, failure) {
        (Conclusion::Link { verdict, then }, _) => {
            let mut tree = Tree::leaf(format!("{before}a link, {}", visible(&verdict.why)));
            if let Some(then) = then {
                let then = visible(&then.why);
                tree.push(Tree::leaf(format!("if that is not believed: {then}")));
            }
            tree
        }
        (Conclusion::Refused(verdict), failure) => {
            let before = format!("{before}no link, ");
            let mut tree = match failure {
                Some(failure) => failure_tree(&before, failure),
                None => Tree::leaf(format!("{before}{}", visible(&verdict.why))),
            };
            if let Some(condition) = &verdict.condition {
                let condition = visible(condition);
                tree.push(Tree::leaf(format!("the other server is told: {condition}")));
            }
            tree
        }
        (Conclusion::Barred(_) | Conclusion::Unknown, Some(failure)) => {
            failure_tree(&format!("{before}no link, "), failure)
        }
        (Conclusion::Barred(reason), None) => {
            Tree::leaf(format!("{before}no link, {}", visible(&reason.why)))
        }
        (Conclusion::Unknown, None) => Tree::leaf(format!(
            "{before}not known: nothing was heard that could be judged"
        )),
    }
}
