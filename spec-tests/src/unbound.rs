//! unbound, a name server of NLnet Labs: a private one, with a zone of its own, on a port of its own.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::PATIENCE;
use crate::server::{Scratch, free_addresses};

/// A name server that runs. Ended when dropped.
#[derive(Debug)]
pub struct Unbound {
    child: Child,
    address: SocketAddr,
    _scratch: Scratch,
}

impl Unbound {
    /// One that knows these records and nothing else of `example.`.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn start(records: &[String]) -> Result<Self, String> {
        let fault = |error: std::io::Error| error.to_string();
        let scratch = Scratch::new().map_err(fault)?;
        let [address] = free_addresses().map_err(fault)?;
        let data: String = records
            .iter()
            .map(|record| format!("  local-data: '{record}'\n"))
            .collect();
        let config = format!(
            "server:\n  interface: 127.0.0.1@{}\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  \
             use-syslog: no\n  verbosity: 0\n  module-config: \"iterator\"\n  local-zone: \"example.\" static\n{data}\
             remote-control:\n  control-enable: no\n",
            address.port()
        );
        let file = scratch.path().join("unbound.conf");
        fs::write(&file, config).map_err(fault)?;
        let child = Command::new("/usr/sbin/unbound")
            .arg("-d")
            .arg("-c")
            .arg(file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(fault)?;
        let mut unbound = Self {
            child,
            address,
            _scratch: scratch,
        };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let ended = unbound.child.try_wait().map_err(fault)?;
            if ended.is_some() || Instant::now() > deadline {
                return Err("unbound does not run".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(unbound)
    }

    /// Where it is asked.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        // It is gone either way.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}
