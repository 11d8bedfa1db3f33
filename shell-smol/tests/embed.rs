//! A server inside another program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use smol::Timer;
use smol::future::FutureExt as _;
use spondee_smol::{AskError, BareJid, Command, CommandError, CommandReply, Server, Settings};

#[expect(dead_code, reason = "its main is not ours")]
#[path = "../examples/embed.rs"]
mod example;

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spondee-embedded-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Of a server on free ports.
    fn settings(&self) -> Settings {
        let text = "data_directory = \"data\"\nc2s_interfaces = [\"127.0.0.1\"]\nc2s_ports = [5222]\n\
                    c2s_direct_tls_ports = []\nc2s_require_encryption = false\ns2s_allowed_domains = []\n[host.\"localhost\"]\n";
        let file = self.0.join("spondee.toml");
        let mut settings = Settings::parse(text, &file, &self.0).unwrap();
        for listen in &mut settings.listen {
            listen.address.set_port(0);
        }
        settings
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Or it fails.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("it takes for ever");
    };
    work.or(late).await
}

#[test]
fn the_example_does_what_it_says() {
    let scratch = Scratch::new();
    let heard = smol::block_on(in_time(example::converse(&scratch.0))).unwrap();
    assert!(heard.contains("<body>Good night</body>"), "{heard}");
}

#[test]
fn an_account_is_added_once_and_the_refusal_says_what_to_do() {
    let scratch = Scratch::new();
    smol::block_on(in_time(async {
        let server = Server::start(scratch.settings()).await.unwrap();
        let account = || BareJid::parse("romeo@localhost").unwrap();
        server.add_account(account(), "secret").await.unwrap();
        let again = server.add_account(account(), "secret").await;
        let Err(AskError::Refused(CommandError::Exists, why)) = again else {
            panic!("{again:?}");
        };
        assert!(why.contains("romeo@localhost exists already"), "{why}");
        let show = Command::Show { account: account() };
        let shown = server.ask(show).await.unwrap();
        assert!(matches!(shown, CommandReply::User(_)), "{shown:?}");
        server.stop().await.unwrap();
    }));
}

#[test]
fn what_cannot_start_says_why_and_leaves_the_other_one_alone() {
    let scratch = Scratch::new();
    smol::block_on(in_time(async {
        let server = Server::start(scratch.settings()).await.unwrap();
        let second = Server::start(scratch.settings()).await.unwrap_err();
        assert!(second.contains("data"), "{second}");
        assert!(!server.addresses().is_empty());
        server.stop().await.unwrap();
        // There is one again when the first has ended.
        let third = Server::start(scratch.settings()).await.unwrap();
        third.stop().await.unwrap();
    }));
}

#[test]
fn one_that_is_dropped_stops() {
    let scratch = Scratch::new();
    smol::block_on(in_time(async {
        let server = Server::start(scratch.settings()).await.unwrap();
        let address = *server.addresses().first().unwrap();
        drop(server);
        while smol::net::TcpStream::connect(address).await.is_ok() {
            Timer::after(Duration::from_millis(20)).await;
        }
    }));
}
