//! slapd, OpenLDAP's server: a private one, with a database of its own, on ports of its own.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ca::Authority;
use crate::client::PATIENCE;
use crate::server::{Scratch, free_addresses};

/// Its root.
pub const SUFFIX: &str = "dc=example,dc=org";
/// Who may look for users there, by `SERVICE_PASSWORD`.
pub const SERVICE: &str = "cn=spondee,dc=example,dc=org";
/// The password of `SERVICE`.
pub const SERVICE_PASSWORD: &str = "looks for users";
/// Where a server reads that.
const PASSWORD_FILE: &str = "service";
/// Beside what is in it, users with all that has a meaning in filters and names.
const ENTRIES: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Verona

dn: cn=spondee,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: spondee
userPassword: looks for users

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: uid=juliet,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: juliet
cn: Juliet
sn: Capulet
mail: juliet@a.example
userPassword: {SSHA}HASH

dn: cn=Romeo\\, of Montague + sn=Montague,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: romeo
uid: ro*m)(eo
cn: Romeo, of Montague
sn: Montague
userPassword: w\u{f6}rter & *)(

dn: uid=ghost,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: ghost
cn: one without a password
sn: Ghost

dn: uid=twin,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
cn: one
sn: Twin
userPassword: secret

dn: cn=twin,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
cn: twin
sn: Twin
userPassword: secret
";

/// A directory that runs. Ended when dropped.
#[derive(Debug)]
pub struct Slapd {
    child: Child,
    scratch: Scratch,
    authority: Authority,
    clear: u16,
    tls: u16,
    /// Whoever stands there in its place.
    silent: Vec<TcpListener>,
}

impl Slapd {
    /// Starts one; `access` goes before what else its configuration says of who may do what.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn start(access: &str) -> Result<Self, String> {
        let fault = |error: std::io::Error| error.to_string();
        let scratch = Scratch::new().map_err(fault)?;
        let path = |name: &str| scratch.path().join(name);
        let authority = Authority::new(scratch.path()).map_err(fault)?;
        authority
            .issue(scratch.path(), "localhost")
            .map_err(fault)?;
        DirBuilder::new()
            .mode(0o700)
            .create(path("db"))
            .map_err(fault)?;
        let mut password = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path(PASSWORD_FILE))
            .map_err(fault)?;
        password
            .write_all(SERVICE_PASSWORD.as_bytes())
            .map_err(fault)?;
        let text = config(scratch.path(), &authority, access);
        fs::write(path("slapd.conf"), text).map_err(fault)?;
        let entries = ENTRIES.replace("{SSHA}HASH", &hash("secret")?);
        told("slapadd", scratch.path(), &entries)?;
        let [clear, tls] = free_addresses()
            .map_err(fault)?
            .map(|address| address.port());
        let mut slapd = Self {
            child: run(scratch.path(), [clear, tls])?,
            scratch,
            authority,
            clear,
            tls,
            silent: Vec::new(),
        };
        slapd.wait()?;
        Ok(slapd)
    }

    /// Ends it at once, sessions and all.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> Result<(), String> {
        self.child.kill().map_err(|error| error.to_string())?;
        let ended = self.child.wait();
        ended.map(drop).map_err(|error| error.to_string())
    }

    /// Has its ports taken, where it ran, by somebody who takes connections and says nothing.
    ///
    /// # Errors
    /// They are not free.
    pub fn stop_answering(&mut self) -> Result<(), String> {
        for port in [self.clear, self.tls] {
            let taken = TcpListener::bind(("127.0.0.1", port));
            self.silent.push(taken.map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// Starts it again on the same ports.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.child = run(self.scratch.path(), [self.clear, self.tls])?;
        self.wait()
    }

    fn wait(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        for port in [self.clear, self.tls] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                let ended = self.child.try_wait().map_err(|error| error.to_string())?;
                if ended.is_some() || Instant::now() > deadline {
                    return Err(format!("no slapd: {ended:?}"));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Gives the user of `ou=people` another password, while it runs: its database keeps nothing in memory.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn set_password(&self, user: &str, password: &str) -> Result<(), String> {
        let hash = hash(password)?;
        let change = format!(
            "dn: uid={user},ou=people,{SUFFIX}\nchangetype: modify\nreplace: userPassword\nuserPassword: {hash}\n"
        );
        told("slapmodify", self.scratch.path(), &change)
    }

    /// Where it is without TLS, or with StartTLS.
    #[must_use]
    pub fn clear(&self) -> String {
        format!("ldap://localhost:{}", self.clear)
    }

    /// Where it is with TLS.
    #[must_use]
    pub fn tls(&self) -> String {
        format!("ldaps://localhost:{}", self.tls)
    }

    /// Where TLS is, by an address that its certificate does not name.
    #[must_use]
    pub fn tls_by_address(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.tls)
    }

    /// A port where TLS is expected, spoken to without.
    #[must_use]
    pub fn clear_on_tls(&self) -> String {
        format!("ldap://localhost:{}", self.tls)
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.scratch.path().join("ldapi")
    }

    /// The root of its certificate.
    #[must_use]
    pub fn authority(&self) -> &Path {
        self.authority.path()
    }

    /// Lines of configuration for a host that asks it, by StartTLS.
    #[must_use]
    pub fn options(&self) -> String {
        format!(
            "authentication = \"ldap\"\nldap_server = \"{}\"\nldap_tls = true\nldap_cafile = \"{}\"\nldap_rootdn = \"{SERVICE}\"\n\
             ldap_password = {{ file = \"{}\" }}\nldap_base = \"{SUFFIX}\"\n",
            self.clear(),
            self.authority().display(),
            self.scratch.path().join(PASSWORD_FILE).display()
        )
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}

fn run(home: &Path, [clear, tls]: [u16; 2]) -> Result<Child, String> {
    let socket = home.join("ldapi").display().to_string().replace('/', "%2F");
    let urls = format!("ldap://127.0.0.1:{clear} ldaps://127.0.0.1:{tls} ldapi://{socket}");
    let child = Command::new("/usr/sbin/slapd")
        .args(["-d", "0", "-h", &urls, "-f"])
        .arg(home.join("slapd.conf"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.map_err(|error| format!("slapd: {error}"))
}

/// One of its tools, with this to read.
fn told(tool: &str, home: &Path, input: &str) -> Result<(), String> {
    let fault = |error: std::io::Error| format!("{tool}: {error}");
    let mut child = Command::new(Path::new("/usr/sbin").join(tool))
        .arg("-f")
        .arg(home.join("slapd.conf"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fault)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(fault)?;
    }
    let output = child.wait_with_output().map_err(fault)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{tool}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

fn config(home: &Path, authority: &Authority, access: &str) -> String {
    let (home, authority) = (home.display(), authority.path().display());
    format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         pidfile {home}/slapd.pid\n\
         TLSCACertificateFile {authority}\n\
         TLSCertificateFile {home}/localhost.crt\n\
         TLSCertificateKeyFile {home}/localhost.key\n\
         allow bind_anon_cred\n\
         database mdb\n\
         suffix \"{SUFFIX}\"\n\
         directory {home}/db\n\
         {access}\n\
         access to attrs=userPassword by anonymous auth by * none\n\
         access to * by dn.exact=\"{SERVICE}\" read by anonymous auth by * none\n"
    )
}

/// As slapd keeps it, salted.
fn hash(password: &str) -> Result<String, String> {
    let made = Command::new("/usr/sbin/slappasswd")
        .args(["-h", "{SSHA}", "-s", password])
        .output()
        .map_err(|error| format!("slappasswd: {error}"))?;
    let made = String::from_utf8(made.stdout).map_err(|error| error.to_string())?;
    Ok(made.trim().to_owned())
}
