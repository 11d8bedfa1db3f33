//! A client's side of stream management (XEP-0198): it counts what comes, answers every request for an acknowledgement at once, and asks for
//! one itself as real clients do, behind every so many stanzas (§9.2).

use super::heard::Heard;

/// What turns it on, for a session that may be resumed.
pub(super) const ENABLE: &[u8] = b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>";

/// What asks for an acknowledgement.
pub(super) const REQUEST: &[u8] = b"<r xmlns='urn:xmpp:sm:3'/>";

/// What a session knows of it. It outlives its connection.
#[derive(Debug)]
pub(super) struct Managed {
    /// What names the session to who resumes it.
    id: String,
    /// What came and is not yet told apart.
    raw: Vec<u8>,
    /// Stanzas that came.
    received: u32,
    /// Stanzas that were sent, and of these, how many the server has handled.
    sent: u32,
    handled: u32,
    /// Requests of the server.
    requests: usize,
    /// It asks behind every so many stanzas.
    every: u32,
}

impl Managed {
    /// As the server's `<enabled/>` says.
    pub(super) fn enabled(answer: &str, every: u32) -> Result<Self, String> {
        let heard = only(answer, "enabled")?;
        let id = heard.attribute("id").filter(|_| {
            let resume = heard.attribute("resume");
            matches!(resume, Some("true" | "1"))
        });
        Ok(Self {
            id: id
                .ok_or_else(|| format!("no resumption: {answer}"))?
                .to_owned(),
            raw: Vec::new(),
            received: 0,
            sent: 0,
            handled: 0,
            requests: 0,
            every: every.max(1),
        })
    }

    /// Its connection was lost, and what had come in part with it.
    pub(super) fn cut(&mut self) {
        self.raw = Vec::new();
    }

    /// What resumes it (§5).
    pub(super) fn resume(&self) -> String {
        let Self { id, received, .. } = self;
        format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{received}'/>")
    }

    /// It is resumed: the server must have handled all that was sent. Nothing was under way.
    pub(super) fn resumed(&mut self, answer: &str) -> Result<(), String> {
        let heard = only(answer, "resumed")?;
        if heard.attribute("previd") != Some(&self.id) {
            return Err(format!("another session: {answer}"));
        }
        self.handled(&heard)?;
        match self.is_agreed() {
            true => Ok(()),
            false => Err(format!("{answer}, though {} were sent", self.sent)),
        }
    }

    /// More bytes came.
    pub(super) const fn raw(&mut self) -> &mut Vec<u8> {
        &mut self.raw
    }

    /// Moves whole stanzas behind those that the scenario has not taken yet. Returns what is to be answered.
    ///
    /// # Errors
    /// The stream ended with an error, or the server counts wrong.
    pub(super) fn sort(&mut self, inbox: &mut Vec<u8>) -> Result<Vec<u8>, String> {
        let raw = std::mem::take(&mut self.raw);
        let mut answers = Vec::new();
        let mut end = 0;
        while let Some((heard, size)) = Heard::first(&raw[end..])? {
            match heard.name {
                "r" => {
                    self.requests += 1;
                    answers.extend(self.acknowledgement());
                }
                "a" => self.handled(&heard)?,
                "message" | "presence" | "iq" => {
                    self.received = self.received.wrapping_add(1);
                    inbox.extend_from_slice(&raw[end..end + size]);
                }
                other => return Err(format!("<{other}>: {}", heard.content)),
            }
            end += size;
        }
        self.raw.extend_from_slice(&raw[end..]);
        Ok(answers)
    }

    /// How many came.
    pub(super) fn acknowledgement(&self) -> Vec<u8> {
        format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.received).into_bytes()
    }

    /// One more stanza is sent; whether a request goes behind it.
    pub(super) const fn count_sent(&mut self) -> bool {
        self.sent = self.sent.wrapping_add(1);
        self.sent.is_multiple_of(self.every)
    }

    /// Whether the server has handled all.
    pub(super) const fn is_agreed(&self) -> bool {
        self.handled == self.sent
    }

    /// How often the server has asked.
    pub(super) const fn requests(&self) -> usize {
        self.requests
    }

    fn handled(&mut self, heard: &Heard<'_>) -> Result<(), String> {
        let handled = heard.attribute("h").and_then(|h| h.parse().ok());
        let handled: u32 = handled.ok_or_else(|| format!("{heard:?} without a number"))?;
        if !(self.handled..=self.sent).contains(&handled) {
            let Self { handled, sent, .. } = self;
            return Err(format!("{heard:?}, not from {handled} to {sent}"));
        }
        self.handled = handled;
        Ok(())
    }
}

/// The element of this name that an answer is.
fn only<'a>(answer: &'a str, name: &str) -> Result<Heard<'a>, String> {
    let first = Heard::first(answer.as_bytes())?.map(|(heard, _)| heard);
    let named = first.filter(|heard| heard.name == name);
    named.ok_or_else(|| format!("no <{name}/>: {answer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed() -> Managed {
        let answer = "<enabled xmlns='urn:xmpp:sm:3' id='abc' max='600' resume='true'/>";
        Managed::enabled(answer, 2).unwrap()
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn counts_stanzas_and_answers_requests_between_them() {
        let mut managed = managed();
        assert!(!managed.count_sent());
        assert!(managed.count_sent());
        let came: &[u8] = b"<message><body/></message><r xmlns='urn:xmpp:sm:3'/><presence/>\
            <a xmlns='urn:xmpp:sm:3' h='2'/><iq type='re";
        managed.raw().extend_from_slice(came);
        let mut inbox = b"<iq/>".to_vec();
        let answers = managed.sort(&mut inbox).unwrap();
        assert_eq!(text(&answers), "<a xmlns='urn:xmpp:sm:3' h='1'/>");
        assert_eq!(text(&inbox), "<iq/><message><body/></message><presence/>");
        assert_eq!(text(&managed.raw), "<iq type='re");
        assert!(managed.is_agreed());
        assert_eq!(
            managed.resume(),
            "<resume xmlns='urn:xmpp:sm:3' previd='abc' h='2'/>"
        );
        managed.raw().extend_from_slice(b"sult'/>");
        managed.sort(&mut inbox).unwrap();
        assert_eq!(managed.received, 3);
    }

    #[test]
    fn a_server_that_counts_wrong_is_found_out() {
        let mut managed = managed();
        managed.count_sent();
        managed.raw().extend_from_slice(b"<a h='2'/>");
        assert!(managed.sort(&mut Vec::new()).is_err());
        assert!(managed.resumed("<resumed previd='abc' h='0'/>").is_err());
        assert!(managed.resumed("<resumed previd='abd' h='1'/>").is_err());
        assert!(managed.resumed("<resumed previd='abc' h='1'/>").is_ok());
        assert!(managed.resumed("<failed h='1'/>").is_err());
        assert!(Managed::enabled("<enabled id='abc'/>", 1).is_err());
    }
}
