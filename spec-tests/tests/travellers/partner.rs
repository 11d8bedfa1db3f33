//! Who talks with a traveller: our own strict client, on a line that is never cut, without stream management.

use std::time::Instant;

use spec_tests::client::Client;
use spec_tests::element::Item;
use spec_tests::kept::{Entry, Query, forwards};
use spec_tests::server::Server;

use crate::traveller::PATIENCE;

/// A session that has said that it is there.
#[derive(Debug)]
pub(crate) struct Partner {
    client: Client,
    /// What came, in order.
    pub(crate) bodies: Vec<String>,
}

impl Partner {
    pub(crate) fn start(server: &Server, who: (&str, &str)) -> Result<Self, String> {
        let mut partner = Self::reader(server, who)?;
        partner.client.send("<presence/>")?;
        // Its echo says that the server knows.
        partner
            .client
            .next_where(PATIENCE, |element| element.name == "presence")?;
        Ok(partner)
    }

    /// One that gets no messages: it has not said that it is there.
    pub(crate) fn reader(
        server: &Server,
        (account, password): (&str, &str),
    ) -> Result<Self, String> {
        let user = account.split('@').next().unwrap_or(account);
        let trust = server.trust()?;
        let client = Client::session(server.clear, "localhost", &trust, user, password)?;
        Ok(Self {
            client,
            bodies: Vec::new(),
        })
    }

    /// Sends so many messages, numbered from the first, as fast as they are taken.
    pub(crate) fn send(
        &mut self,
        to: &str,
        name: &str,
        first: usize,
        count: usize,
    ) -> Result<(), String> {
        for number in first..first + count {
            self.client.send(&format!(
                "<message to='{to}' type='chat' id='{name}-{number}'><body>{name} {number}</body></message>"
            ))?;
        }
        Ok(())
    }

    /// Reads messages until there are so many.
    pub(crate) fn until(&mut self, count: usize) -> Result<(), String> {
        while self.bodies.len() < count {
            let (_, body) = self
                .client
                .next_body(PATIENCE)
                .map_err(|e| format!("{e} behind {} messages", self.bodies.len()))?;
            self.bodies.push(body);
        }
        Ok(())
    }

    /// Waits until its archive has so many: what a page shows is on disk.
    pub(crate) fn until_kept(&mut self, count: usize) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while self.archive()?.len() < count {
            if Instant::now() > deadline {
                return Err(format!("never {count} in the archive"));
            }
        }
        Ok(())
    }

    /// Ends its stream.
    pub(crate) fn leave(&mut self) -> Result<(), String> {
        self.client.send("</stream:stream>")?;
        loop {
            match self.client.next_item(PATIENCE)? {
                Item::Close => return self.client.expect_end(),
                Item::Element(_) | Item::Open(_) => {}
            }
        }
    }

    /// Its archive.
    pub(crate) fn archive(&mut self) -> Result<Vec<Entry>, String> {
        forwards(&mut self.client, None, &Query::new().max(100)).map(|(entries, _)| entries)
    }
}
