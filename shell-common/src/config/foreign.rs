//! Files that are not TOML at all, recognised as what they are.

/// What a text is that is not TOML: a sentence, if it is something that is given in its place by mistake.
pub(super) fn recognise(text: &str) -> Option<String> {
    const BEGIN: &str = "`spondee example-config > spondee.toml` begins one";
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lines = || text.lines().map(str::trim);
    let what = if text.contains("-----BEGIN ") {
        return Some(
            "this is a certificate or a key, not a configuration: the file named here is the one that `certificates` and the hosts \
             stand in"
                .to_owned(),
        );
    } else if is_prosody(lines()) {
        return Some(format!(
            "this is a configuration of Prosody, which is Lua; Spondee's is TOML with the same names of options: {BEGIN}, to carry over \
             what you had"
        ));
    } else if text.starts_with('<') {
        "XML"
    } else if text.starts_with('{') {
        "JSON"
    } else if is_yaml(lines()) {
        "YAML, as ejabberd has it"
    } else {
        return None;
    };
    Some(format!(
        "this is {what}; a configuration of Spondee is TOML: {BEGIN}"
    ))
}

/// A host as Prosody has it, and none as we have.
fn is_prosody<'a>(mut lines: impl Iterator<Item = &'a str> + Clone) -> bool {
    const BEGINNINGS: &[&str] = &["VirtualHost", "Component", "Include"];
    let is_lua = |line: &str| {
        let call = BEGINNINGS
            .iter()
            .find_map(|word| line.strip_prefix(word))
            .is_some_and(|rest| rest.trim_start().starts_with(['"', '\'', '(']));
        let table = ["modules_enabled", "admins"]
            .iter()
            .find_map(|word| line.strip_prefix(word))
            .and_then(|rest| rest.trim_start().strip_prefix('='))
            .is_some_and(|rest| rest.trim_start().starts_with('{'));
        call || table
    };
    !lines.clone().any(|line| line.starts_with("[host")) && lines.any(is_lua)
}

/// Keys that end with a colon, two at least, and nothing that could be TOML.
fn is_yaml<'a>(lines: impl Iterator<Item = &'a str>) -> bool {
    let mut keys = 0;
    for line in lines {
        let bare = line.split('#').next().unwrap_or_default().trim_end();
        let word = bare.split(':').next().unwrap_or_default();
        let is_word = |word: &str| {
            word.chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        };
        if bare == "---" {
            return true;
        }
        if bare.contains('=') || bare.starts_with('[') {
            return false;
        }
        if bare.contains(':') && is_word(word) && !word.is_empty() {
            keys += 1;
        }
    }
    keys >= 2
}
