//! The measurement of servers with servers, with as little as it can do: with Prosody, ejabberd and unbound, so where those are installed.

use std::process::Command;

use spec_tests::program::left_out;

/// What it prints with these arguments, once.
///
/// # Panics
/// It fails.
fn table(arguments: &[&str]) -> String {
    let server = spec_tests::server::binary().expect("a server");
    let mut command = Command::new(env!("CARGO_BIN_EXE_federation"));
    command.args(arguments).args(["--runs", "1", "--binary"]);
    let output = command.arg(server).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Two hosts more than one account may ask for.
#[test]
fn sets_up_links_between_servers_of_each_make() {
    if left_out("Prosody, ejabberd") {
        return;
    }
    let table = table(&["--links", "12"]);
    for make in ["Spondee", "Prosody", "ejabberd"] {
        let row = format!("| {make} | EXTERNAL | 24 | ");
        assert!(table.contains(&row), "{table}");
    }
}

#[test]
fn forwards_messages_between_servers_of_ours() {
    if left_out("unbound") {
        return;
    }
    let table = table(&[
        "--target",
        "spondee",
        "--pairs",
        "2",
        "--seconds",
        "0.5",
        "--warm-up",
        "0.1",
    ]);
    assert!(table.contains("\n| Spondee | "), "{table}");
}
