//! A server inside an async program: it is started, gets two accounts, carries a message from one to the other, and is stopped.
//!
//! `cargo run -p spondee-smol --example embed`

use std::io::Write as _;
use std::path::Path;

use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::TcpStream;
use spondee_smol::{BareJid, Server, Settings};

/// As the file of configuration would say it. On loopback, and only there, this example does without TLS, and without other servers.
const CONFIGURATION: &str = r#"
data_directory = "data"
c2s_interfaces = ["127.0.0.1"]
c2s_ports = [5222]
c2s_direct_tls_ports = []
c2s_require_encryption = false
s2s_allowed_domains = []
allow_unencrypted_plain_auth = true

[host."localhost"]
"#;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let directory = std::env::temp_dir().join(format!("spondee-embed-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let said = smol::block_on(converse(&directory));
    std::fs::remove_dir_all(&directory)?;
    writeln!(std::io::stdout(), "juliet hears: {}", said?)?;
    Ok(())
}

/// What Juliet heard.
pub(crate) async fn converse(directory: &Path) -> Outcome<String> {
    let file = directory.join("spondee.toml");
    let mut settings = Settings::parse(CONFIGURATION, &file, directory)?;
    // Whichever ports are free: no file of configuration can say that.
    for listen in &mut settings.listen {
        listen.address.set_port(0);
    }
    let server = Server::start(settings).await?;
    for name in ["romeo@localhost", "juliet@localhost"] {
        let account = BareJid::parse(name)?;
        server.add_account(account, "secret").await?;
    }
    let mut romeo = Client::sign_in(&server, "romeo", "secret").await?;
    let mut juliet = Client::sign_in(&server, "juliet", "secret").await?;
    romeo
        .say("<message to='juliet@localhost'><body>Good night</body></message>")
        .await?;
    let heard = juliet.hear("</message>").await?;
    for mut client in [romeo, juliet] {
        client.say("</stream:stream>").await?;
    }
    server.stop().await?;
    Ok(heard)
}

/// As little of a client as will do.
struct Client {
    socket: TcpStream,
    heard: String,
}

impl Client {
    async fn sign_in(server: &Server, name: &str, password: &str) -> Outcome<Self> {
        let address = server.addresses().first().ok_or("it listens nowhere")?;
        let mut client = Self {
            socket: TcpStream::connect(address).await?,
            heard: String::new(),
        };
        client.open().await?;
        let plain = base64(format!("\0{name}\0{password}").as_bytes());
        client
            .say(&format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
            ))
            .await?;
        client.hear("<success").await?;
        client.open().await?;
        client
            .say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
            .await?;
        client.hear("</iq>").await?;
        client.say("<presence/>").await?;
        client.hear("<presence").await?;
        Ok(client)
    }

    /// A new stream, up to its features.
    async fn open(&mut self) -> Outcome<()> {
        self.say(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>",
        )
        .await?;
        self.hear("</stream:features>").await.map(drop)
    }

    async fn say(&mut self, text: &str) -> Outcome<()> {
        Ok(self.socket.write_all(text.as_bytes()).await?)
    }

    /// Everything up to this.
    async fn hear(&mut self, until: &str) -> Outcome<String> {
        loop {
            if let Some(found) = self.heard.find(until) {
                let rest = self.heard.split_off(found + until.len());
                return Ok(std::mem::replace(&mut self.heard, rest));
            }
            let mut bytes = [0; 4096];
            let count = self.socket.read(&mut bytes).await?;
            if count == 0 {
                return Err(format!("the server ended behind {:?}", self.heard).into());
            }
            self.heard += &String::from_utf8_lossy(&bytes[..count]);
        }
    }
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let chunks = bytes.chunks(3).flat_map(|chunk| {
        let number = (0..3).fold(0_u32, |sum, n| {
            sum << 8 | u32::from(chunk.get(n).copied().unwrap_or(0))
        });
        (0..4).map(move |n| match n <= chunk.len() {
            true => char::from(DIGITS[(number >> (18 - 6 * n)) as usize & 63]),
            false => '=',
        })
    });
    chunks.collect()
}
