//! The real server with guests (XEP-0175): they talk, and nothing is left of them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use spec_tests::client::{BindTo, Client};
use spec_tests::server::{Scratch, Server};
use spondee_core::sasl::Mechanism;

type Outcome = Result<(), String>;

const GUESTS: &str = "authentication = \"anonymous\"\n";
const PATIENCE: Duration = Duration::from_secs(30);

fn server() -> Result<Server, String> {
    let scratch = Scratch::in_memory().map_err(|e| e.to_string())?;
    let place = Server::prepare(scratch, GUESTS)?;
    let command = Command::new(place.binary());
    place.begin(command)
}

fn guest(server: &Server) -> Result<(Client, String), String> {
    let mut client = Client::connect(server.clear, "localhost", &server.trust()?)?;
    client.open()?;
    client.starttls()?;
    client.open()?;
    client.sign_in("", "", Mechanism::Anonymous, BindTo::Exporter)?;
    let jid = client.bind(Some("web"))?;
    Ok((client, jid))
}

#[test]
fn guests_talk_and_no_file_of_the_server_remembers_them() -> Outcome {
    let mut server = server()?;
    let mut guests = (0..20)
        .map(|_| guest(&server))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = guests.iter().map(|(_, jid)| jid.clone()).collect();
    for (n, (client, _)) in guests.iter_mut().enumerate() {
        let to = &names[(n + 1) % names.len()];
        client.send(&format!(
            "<message to='{to}' type='chat'><body>m{n}</body></message>"
        ))?;
    }
    for (n, (client, _)) in guests.iter_mut().enumerate() {
        let before = (n + names.len() - 1) % names.len();
        let (from, body) = client.next_body(PATIENCE)?;
        assert_eq!((from, body), (names[before].clone(), format!("m{before}")));
    }
    for (client, _) in guests {
        client.close()?;
    }
    server.stop()?;
    for file in fs::read_dir(server.data()).map_err(|e| e.to_string())? {
        let path = file.map_err(|e| e.to_string())?.path();
        if path.is_file() {
            let bytes = fs::read(&path).map_err(|e| e.to_string())?;
            for jid in &names {
                let name = jid.split('@').next().unwrap().as_bytes();
                let remembered = bytes.windows(name.len()).any(|window| window == name);
                assert!(!remembered, "{jid} in {}", path.display());
            }
        }
    }
    Ok(())
}

#[test]
fn a_host_of_guests_has_no_accounts_and_stays_so_while_it_runs() -> Outcome {
    let server = server()?;
    let refused = server.add_user("juliet@localhost", "secret").unwrap_err();
    assert!(refused.contains("has guests and no accounts"), "{refused}");
    let (mut client, jid) = guest(&server)?;
    let bare = jid.split('/').next().unwrap();
    let file = server.scratch().join("spondee.toml");
    let text = fs::read_to_string(&file).map_err(|e| e.to_string())?;
    let text = text.replace(GUESTS, "authentication = \"internal_hashed\"\n");
    fs::write(&file, text).map_err(|e| e.to_string())?;
    let told = Command::new("kill")
        .args(["-HUP", &server.id().to_string()])
        .status();
    assert!(told.map_err(|e| e.to_string())?.success());
    server.wait_for_log(&["`authentication`", "only with a restart"])?;
    let said = server.command(&["user", "disconnect", bare]);
    assert!(said.is_ok(), "{said:?}");
    let error = client.next(PATIENCE)?;
    assert!(error.to_string().contains("policy-violation"), "{error}");
    client.expect_end()
}
