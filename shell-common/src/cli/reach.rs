//! `spondee reach`: a server that runs finds out whether a domain can be reached, and how; all that it did is shown.

use std::io::{self, Write};

use spondee_core::port::{Command, Protocol};

use super::Console;
use super::args::{Form, Whom};
use super::check::certs::row;
use super::failure::{Failure, refused};
use super::source::Source;
use crate::control::reaching::{
    Answer, Asked, Attempt, Began, Begins, By, Certificate, Outcome, Reach, Reached, Tls, Trouble,
    Verdict, Version,
};
use crate::control::{self, CallError, socket_path};
use crate::tls::colons;
use crate::visible::visible;

pub(super) fn perform(
    whom: &Whom,
    source: &Source,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let settings = source.load()?;
    let socket = socket_path(&settings.data_directory).map_err(Failure::Unusable)?;
    let command = Command::Reach {
        domain: whom.domain.clone(),
        service: whom.service(),
    };
    let reach = match control::reach(&socket, &command) {
        Ok(Ok(reach)) => reach,
        Ok(Err(error)) => return Err(refused(&command, error)),
        Err(CallError::NoServer) => {
            return Err(Failure::Unusable(format!(
                "no server runs with this configuration that this user may speak to, and it is the server that reaches {domain}: start it, or name \
                 its configuration by --config FILE; `spondee check tls {domain}` looks at {domain} without one",
                domain = whom.domain
            )));
        }
        Err(CallError::Lost(why)) => return Err(Failure::Unusable(why)),
    };
    match whom.form() {
        Form::Text => {
            let who = match whom.service() {
                Protocol::XmppClient => "a client",
                Protocol::XmppServer => "a server",
            };
            writeln!(console.out, "{}, as {who}", whom.domain)?;
            write(&reach, console.out)?;
        }
        Form::Json => {
            let text = serde_json::to_string_pretty(&reach).map_err(io::Error::from)?;
            writeln!(console.out, "{text}")?;
        }
    }
    match wrong(&reach.outcome) {
        Some(why) => Err(Failure::Refused(format!("{}: {why}", whom.domain))),
        None => Ok(()),
    }
}

fn write(reach: &Reach, out: &mut dyn Write) -> io::Result<()> {
    for asked in &reach.asked {
        row(out, "asked", &asked_line(asked))?;
    }
    for attempt in &reach.attempts {
        row(out, "tried", &attempt_line(attempt))?;
    }
    match &reach.outcome {
        Outcome::Reached(reached) => write_reached(reached, out),
        Outcome::NoAddresses
        | Outcome::NoService
        | Outcome::Policy(_)
        | Outcome::Unresolved(_)
        | Outcome::Unsuccessful
        | Outcome::Unwelcome
        | Outcome::TimedOut
        | Outcome::Stopped => Ok(()),
    }
}

pub(super) fn asked_line(asked: &Asked) -> String {
    let said = match &asked.answer {
        None => "not waited for".to_owned(),
        Some(Answer::Addresses { addresses, source }) => {
            let each: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let source = match source {
                By::Dns => "",
                By::Hosts => " (by this machine's own word)",
            };
            format!("{}{source}", each.join(", "))
        }
        Some(Answer::Services(services)) => {
            let each = services.iter().map(|service| {
                format!(
                    "{}:{} (priority {}, weight {})",
                    visible(&service.target),
                    service.port,
                    service.priority,
                    service.weight
                )
            });
            each.collect::<Vec<_>>().join(", ")
        }
        Some(Answer::NoService) => "there is no such service, says the domain".to_owned(),
        Some(Answer::NoName) => "there is no such name".to_owned(),
        Some(Answer::NoData) => "there is no such record".to_owned(),
        Some(Answer::Failed(trouble)) => trouble_words(*trouble).to_owned(),
    };
    format!("{}: {said}", visible(&asked.name))
}

const fn trouble_words(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Busy => "the server asks too much of DNS already; try again",
        Trouble::Refused => "the name servers answered, and had nothing to say",
        Trouble::TimedOut => "no name server answered in time",
    }
}

pub(super) fn attempt_line(attempt: &Attempt) -> String {
    let by = match attempt.opening {
        Begins::DirectTls => "direct TLS",
        Begins::Starttls => "STARTTLS",
    };
    let (to, target) = (attempt.address, visible(&attempt.target));
    format!("{to} of {target}, {by}: {}", attempt.outcome.words())
}

fn write_reached(reached: &Reached, out: &mut dyn Write) -> io::Result<()> {
    let (at, target) = (reached.address, visible(&reached.target));
    row(out, "reached", &format!("{at} of {target}"))?;
    match &reached.tls {
        None => row(out, "TLS", "none, it is not offered")?,
        Some(tls) => write_tls(tls, out)?,
    }
    let mechanisms: Vec<_> = reached.mechanisms.iter().map(|one| visible(one)).collect();
    if !mechanisms.is_empty() {
        row(out, "mechanisms", &mechanisms.join(", "))?;
    }
    for feature in &reached.features {
        let (name, namespace) = (visible(&feature.name), visible(&feature.namespace));
        row(out, "feature", &format!("{name} ({namespace})"))?;
    }
    Ok(())
}

fn write_tls(tls: &Tls, out: &mut dyn Write) -> io::Result<()> {
    let by = match tls.by {
        Began::DirectTls => "direct TLS",
        Began::Starttls => "STARTTLS",
        Began::RequiredStarttls => "STARTTLS, which it says is required",
    };
    let version = match tls.version {
        Version::V1_2 => "TLS 1.2",
        Version::V1_3 => "TLS 1.3",
    };
    row(
        out,
        "TLS",
        &format!("{version} with {} by {by}", visible(&tls.suite)),
    )?;
    if let Some(Certificate { verdict, sha256 }) = &tls.certificate {
        row(out, "certificate", verdict_words(*verdict))?;
        row(out, "SHA-256", &colons(sha256).to_uppercase())?;
    }
    Ok(())
}

const fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Expired => "it has expired, or one above it",
        Verdict::NotYetValid => "it is not valid yet, or one above it: perhaps a clock is wrong",
        Verdict::OtherName => "it is for other names",
        Verdict::OtherUse => "it is not meant for servers",
        Verdict::SelfSigned => "it has signed itself",
        Verdict::Untrusted => "no authority that is trusted vouches for it",
        Verdict::Unreadable => "it cannot be read",
    }
}

/// Why the exit code is not 0.
fn wrong(outcome: &Outcome) -> Option<String> {
    let reached = match outcome {
        Outcome::Reached(reached) => reached,
        Outcome::NoAddresses => return Some("not reached: DNS has no address for it".to_owned()),
        Outcome::NoService => {
            return Some("not reached: it says that it has no such service".to_owned());
        }
        Outcome::Policy(why) => return Some(format!("refused by us: {why}")),
        Outcome::Unresolved(trouble) => {
            return Some(format!("not reached: {}", trouble_words(*trouble)));
        }
        Outcome::Unsuccessful => {
            return Some("not reached: nothing that was tried led to it".to_owned());
        }
        Outcome::Unwelcome => return Some("not reached: it will not have us".to_owned()),
        Outcome::TimedOut => return Some("not reached: it took too long".to_owned()),
        Outcome::Stopped => return Some("not reached: the server stops".to_owned()),
    };
    let Some(tls) = &reached.tls else {
        return Some("reached, but without TLS, which it does not offer".to_owned());
    };
    match &tls.certificate {
        None => Some("reached, but its server showed no certificate".to_owned()),
        Some(Certificate {
            verdict: Verdict::Good,
            ..
        }) => None,
        Some(Certificate { verdict, .. }) => Some(format!(
            "reached, but its certificate is refused: {}",
            verdict_words(*verdict)
        )),
    }
}

#[cfg(test)]
mod tests;
