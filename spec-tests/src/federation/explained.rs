//! Whether `spondee s2s explain` tells the truth: what it says before anything is sent is held against what the link then did, by the log, and what
//! it says behind that of the link itself, too.

use serde_json::Value;

use super::peer::Peer;

/// What ours says of a link to another.
#[derive(Debug)]
pub(super) struct Explained {
    json: Value,
    code: i32,
}

/// What a link did, by the log.
#[derive(Debug)]
enum Did {
    /// It came up, proven by this.
    Up(String),
    /// It did not: by whom, and why.
    Failed(String),
    /// Nothing was tried.
    Nothing,
}

impl Explained {
    /// Asks one of ours; `None` if it is none.
    ///
    /// # Errors
    /// What was said that is no answer.
    pub(super) fn ask(one: &Peer, other: &Peer) -> Result<Option<Self>, String> {
        let (from, to) = (one.domain(), other.domain());
        let arguments = ["s2s", "explain", to, "--from", from, "--json"];
        let Some(outcome) = one.outcome(&arguments) else {
            return Ok(None);
        };
        let (code, said) = outcome?;
        // Behind it comes what is wrong.
        let json = said.find("\n}").map_or(&*said, |end| &said[..end + 2]);
        let json = serde_json::from_str(json).map_err(|error| format!("{error}: {said}"))?;
        Ok(Some(Self { json, code }))
    }

    /// Whether it is what `one` did with what was for `other`.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn holds(&self, one: &Peer, other: &Peer) -> Result<(), String> {
        let log = one.log();
        let did = did(&log, other.domain());
        let fault = |why: &str| format!("{why}: {did:?}, explained as {}", self.json);
        let conclusion = &self.json["conclusion"];
        let is = |holds: bool, why: &str| match holds {
            true => Ok(()),
            false => Err(fault(why)),
        };
        let is_link = conclusion.get("link").is_some();
        is((self.code == 0) == is_link, "another exit code")?;
        let failure = &self.json["failure"];
        if let Some(link) = conclusion.get("link") {
            return match &did {
                Did::Up(by) => {
                    let methods = [&link["verdict"]["step"], &link["then"]["step"]];
                    let named = methods.iter().any(|method| **method == by.to_lowercase());
                    is(named, "another method")
                }
                // What proves us is said at the end, by the other server, or nothing is left.
                Did::Failed(why) => {
                    let then = text(&link["then"]["why"]);
                    let told = why.starts_with("by the other server: ")
                        || why.strip_prefix("by this server: ") == Some(then);
                    is(told, "refused before any proof")
                }
                Did::Nothing => Err(fault("no link")),
            };
        }
        if conclusion.get("barred").is_some() {
            return is(matches!(did, Did::Nothing), "not barred");
        }
        let Did::Failed(why) = &did else {
            return Err(fault("explained as refused"));
        };
        let told = text(&failure["why"]);
        let by = match text(&failure["by"]) {
            "this-server" => "by this server",
            "other-server" => "by the other server",
            _ => "by its domain",
        };
        is(*why == format!("{by}: {told}"), "another rule")
    }

    /// Whether the links that there are failed as the log says, and as was explained before.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn agrees(&self, before: &Self, one: &Peer) -> Result<(), String> {
        let links = self.json["links"].as_array().into_iter().flatten();
        for link in links.filter(|link| link["direction"] == "out") {
            let (failure, explained) = (&link["failure"], &before.json["failure"]);
            let differs = !failure.is_null()
                && !explained.is_null()
                && ["rule", "why", "condition", "text"]
                    .iter()
                    .any(|word| failure[word] != explained[word]);
            if differs {
                return Err(format!(
                    "explained as {explained} before, and then {failure}"
                ));
            }
            let why = text(&failure["why"]);
            if !failure.is_null() && !one.log().contains(why) {
                return Err(format!("the log does not say {why:?}"));
            }
        }
        Ok(())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The first that became of a link to this domain.
fn did(log: &str, other: &str) -> Did {
    let of_it = format!("server={other} ");
    for line in log.lines().filter(|line| line.contains(&of_it)) {
        if let Some((_, rest)) = line.split_once("link is up")
            && let Some((_, by)) = rest.split_once(" by=")
        {
            let by = by.split(' ').next().unwrap_or_default();
            return Did::Up(by.trim_matches('"').to_owned());
        }
        if let Some((_, why)) = line.split_once("no link, ") {
            let end = why.find(" server=").unwrap_or(why.len());
            return Did::Failed(why[..end].to_owned());
        }
    }
    Did::Nothing
}
