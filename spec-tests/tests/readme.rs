//! The README, held to what is so: its tour pasted into a terminal, its commands, its table of extensions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use spec_tests::cargo::cargo;
use spec_tests::program::{Program, left_out};
use spec_tests::server::{Scratch, binary};
use spondee_core::xep::INDEX;

/// A shell and two clients on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where a server without a configuration listens.
const ADDRESSES: &[&str] = &["127.0.0.1:5222", "127.0.0.1:5223"];

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap()
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// What stands below a heading.
fn section(heading: &str) -> String {
    let readme = readme();
    let mut sections = readme.split("\n## ");
    let found = sections.find_map(|text| text.strip_prefix(heading)?.strip_prefix('\n'));
    found
        .unwrap_or_else(|| panic!("no section {heading:?}"))
        .to_owned()
}

/// The blocks of a section that are for a shell.
fn blocks(heading: &str) -> Vec<String> {
    let section = section(heading);
    let blocks = section.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

/// How a terminal hands over what is pasted.
#[derive(Clone, Copy, Debug)]
enum Paste {
    /// As if it were typed, very fast: a program that reads the terminal takes what was meant for the shell.
    Typed,
    /// In brackets, as one piece for the shell's editor.
    Bracketed,
}

/// A shell in a terminal, in the directory of a checkout whose server is built.
struct Terminal {
    program: Program,
    pasted: usize,
}

impl Terminal {
    fn open(directory: &Path) -> Self {
        let path = std::env::var("PATH").unwrap();
        let clients = root().join("target/interop/go-sendxmpp/usr/bin");
        let mut command = Command::new("python3");
        command
            .arg(root().join("spec-tests/interop/terminal.py"))
            .arg(directory)
            .env("PATH", format!("{}:{path}", clients.display()))
            .env("HOME", directory);
        Self {
            program: Program::start(command).unwrap(),
            pasted: 0,
        }
    }

    /// Pastes a block, waits until all its commands have ended, and returns what the terminal showed.
    fn paste(&mut self, block: &str, how: Paste) -> Vec<String> {
        let text = match how {
            Paste::Typed => block.to_owned(),
            // A person presses return behind it.
            Paste::Bracketed => format!("\u{1b}[200~{}\u{1b}[201~\n", block.trim_end()),
        };
        self.type_in(&text);
        // The shell works it out only when it runs it: what is echoed looks otherwise.
        self.pasted += 1;
        self.type_in(&format!("echo block-$((0 + {})) ended\n", self.pasted));
        let end = format!("block-{} ended", self.pasted);
        let before = self.program.seen().len();
        self.program
            .wait_for(PATIENCE, |line| line.ends_with(&end).then_some(()))
            .unwrap_or_else(|fault| panic!("{how:?}: {block}\n{fault}"));
        let shown = self.program.seen()[before..].iter();
        shown.map(|line| plain(line)).collect()
    }

    fn type_in(&mut self, text: &str) {
        let order = serde_json::to_string(text).unwrap();
        self.program.say(&order).unwrap();
    }
}

/// A line without what the shell tells the terminal about pasting.
fn plain(line: &str) -> String {
    let switches = ["\u{1b}[?2004h", "\u{1b}[?2004l", "\r"];
    let plain = switches
        .iter()
        .fold(line.to_owned(), |line, switch| line.replace(switch, ""));
    plain.trim_end().to_owned()
}

/// What `cargo run --release` starts, in a directory as if it were the checkout.
fn serve(checkout: &Path) -> Program {
    for address in ADDRESSES {
        let taken = TcpStream::connect(address).is_ok();
        assert!(
            !taken,
            "the tour needs {address}, and something listens there"
        );
    }
    let mut command = Command::new("target/release/spondee");
    command.current_dir(checkout);
    let mut server = Program::start(command).unwrap();
    let mut said = Vec::new();
    for words in ["spondee-data", "port 5222", "certs/localhost.crt"] {
        let found = said.iter().any(|line: &String| line.contains(words));
        if !found {
            let wanted = |line: &str| line.contains(words).then_some(());
            server.wait_for(PATIENCE, wanted).unwrap();
        }
        said = server.seen().to_vec();
    }
    let deadline = Instant::now() + PATIENCE;
    while ADDRESSES
        .iter()
        .any(|address| TcpStream::connect(address).is_err())
    {
        assert!(Instant::now() < deadline, "{said:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

#[test]
fn the_tour_does_what_it_says_however_it_is_pasted() {
    if left_out("the tour of the README in a terminal") {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let release = scratch.path().join("target/release");
    fs::create_dir_all(&release).unwrap();
    std::os::unix::fs::symlink(binary().unwrap(), release.join("spondee")).unwrap();
    let [users, message] = blocks("Sixty seconds").try_into().unwrap();
    for how in [Paste::Typed, Paste::Bracketed] {
        let server = serve(scratch.path());
        let mut terminal = Terminal::open(scratch.path());

        let shown = terminal.paste(&users, how);
        for line in [
            "juliet@localhost was added",
            "romeo@localhost was added",
            "juliet@localhost",
            "romeo@localhost",
        ] {
            assert!(
                shown.iter().any(|shown| shown == line),
                "{how:?}: {shown:#?}"
            );
        }

        let shown = terminal.paste(&message, how);
        let said = |line: &String| line.ends_with("juliet@localhost: But, soft! what light");
        assert!(shown.iter().any(said), "{how:?}: {shown:#?}");
        drop((terminal, server));
        fs::remove_dir_all(scratch.path().join("spondee-data")).unwrap();
    }
}

/// A block each: what is pasted behind a command that goes on would be run when it ends, or be its input.
#[test]
fn the_two_commands_exist() {
    let commands = blocks("Two commands");
    assert_eq!(commands, ["cargo run --release\n", "spec-tests/run\n"]);
    assert!(root().join("spec-tests/run").is_file());
}

/// What asks for a password on the terminal, or goes on until it is stopped, comes last in its block.
#[test]
fn nothing_is_pasted_behind_what_reads_the_terminal() {
    let readme = readme();
    let mut seen = 0;
    for block in readme.split("```sh\n").skip(1) {
        let lines: Vec<_> = block.split("```").next().unwrap().lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let asks = line.starts_with("sudo ")
                || line.starts_with("spondee user add")
                || line.starts_with("spondee user passwd")
                || line.starts_with("spondee --config")
                || *line == "cargo run --release";
            seen += usize::from(asks);
            assert!(!asks || index + 1 == lines.len(), "{line}");
        }
    }
    assert!(seen > 2, "only {seen}");
}

/// An alias of cargo's configuration begins with its name.
fn calls_cargo(line: &str) -> bool {
    let alias = ["\"test ", "\"run "].iter().any(|word| line.contains(word));
    line.contains("cargo ") || alias
}

/// Every line of the texts that calls cargo, and every alias: the package and the target it names exist.
#[test]
fn what_cargo_is_asked_for_exists() {
    let output = cargo()
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let targets = |kind: &str| -> Vec<&str> {
        let all = packages
            .iter()
            .flat_map(|p| p["targets"].as_array().unwrap());
        let of_kind = all.filter(|target| target["kind"][0] == kind);
        of_kind
            .filter_map(|target| target["name"].as_str())
            .collect()
    };
    let mut asked = 0;
    for name in [
        "README.md",
        "CONTRIBUTING.md",
        ".cargo/config.toml",
        "spec-tests/run",
    ] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        for line in text.lines().filter(|line| calls_cargo(line)) {
            let words: Vec<_> = line
                .split(|c: char| c.is_whitespace() || matches!(c, '`' | '"'))
                .collect();
            for pair in words.windows(2) {
                let known = match pair[0] {
                    "-p" => packages.iter().filter_map(|p| p["name"].as_str()).collect(),
                    "--test" => targets("test"),
                    "--bin" => targets("bin"),
                    _ => continue,
                };
                asked += 1;
                // `NAME` and `$name` stand for any.
                let stands_for_any = pair[1].starts_with('$') || pair[1] == "NAME";
                assert!(stands_for_any || known.contains(&pair[1]), "{name}: {line}");
            }
        }
    }
    assert!(asked > 10, "only {asked}");
}

/// The table says the same as the index of the core, and the files of the index are there.
#[test]
fn the_supported_extensions_are_those_of_the_index() {
    let section = section("Supported");
    let rows = section.lines().filter(|line| line.starts_with("| XEP-"));
    let listed: Vec<String> = rows
        .map(|row| {
            row.split('|')
                .take(4)
                .map(str::trim)
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect();
    let indexed: Vec<String> = INDEX
        .iter()
        .map(|xep| format!("|XEP-{:04}|{}|{}", xep.number, xep.name, xep.version))
        .collect();
    assert_eq!(listed, indexed);
    for xep in INDEX {
        assert!(root().join(xep.file).is_file(), "{}", xep.file);
        let header = fs::read_to_string(root().join(xep.file)).unwrap();
        let number = format!("XEP-{:04}", xep.number);
        assert!(
            header.contains(&number),
            "{} does not name {number}",
            xep.file
        );
    }
}

/// Each extension has a transcript of what it looks like on the wire.
#[test]
fn the_supported_extensions_have_transcripts() {
    for xep in INDEX {
        let number = format!("xep-{:04}", xep.number);
        let directory = root().join("spec-tests/transcripts").join(&number);
        let files = fs::read_dir(&directory).map_or(0, Iterator::count);
        assert!(files > 0, "there is no {}", directory.display());
    }
}
