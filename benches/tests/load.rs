//! The load generator itself, on floors alone: they need nothing that is not here.

use std::process::Command;

use serde_json::Value;

#[test]
fn loads_every_floor_and_prints_what_they_did() {
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["signin", "signin-clear", "chat", "chat-clear"])
        .args(["--target", "floor", "--runs", "2", "--json"])
        .args(["--sign-ins", "20", "--accounts", "8", "--pairs", "2"])
        .args(["--messages", "200", "--scale", "2"])
        .output()
        .expect("the generator runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let samples: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let did = |scenario: &str, target: &str| {
        let same = |sample: &&Value| sample["scenario"] == scenario && sample["target"] == target;
        let runs: Vec<&Value> = samples.iter().filter(same).collect();
        assert_eq!(runs.len(), 2, "{scenario} on {target}: {said}");
    };
    did("signin", "floor: bare handshake");
    did("signin ×2", "floor: same round trips");
    did("signin-clear", "floor: same round trips");
    did("chat", "floor: relay, a write each");
    did("chat-clear ×2", "floor: relay, batched");
}
