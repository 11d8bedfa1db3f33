//! What people write who do not know TOML, or know another server: each is told what to write instead, in its own line.

use super::*;

const HOST: &str = "[host.\"a.example\"]\n";

/// The one fault of a first line above a host's section.
fn told(line: &str) -> String {
    let mut faults = faults(&format!("{line}\n{HOST}"));
    assert_eq!(faults.len(), 1, "{line}: {faults:?}");
    let fault = faults.remove(0);
    let own = fault.strip_prefix("spondee.toml:1: ");
    own.unwrap_or_else(|| panic!("{line}: {fault}")).to_owned()
}

/// What was written, and what the answer holds.
const LINES: &[(&str, &str)] = &[
    (
        "log_level = info",
        "text stands in quotes: log_level = \"info\"",
    ),
    ("log_level = info\r", "log_level = \"info\""),
    ("\u{feff}log_level = info", "log_level = \"info\""),
    ("log_level = info # all of it", "log_level = \"info\""),
    (
        "data_directory = /var/lib/x",
        "data_directory = \"/var/lib/x\"",
    ),
    ("c2s_timeout = 1 minute", "c2s_timeout = \"1 minute\""),
    ("c2s_timeout = soon", "a number of seconds"),
    (
        "c2s_require_encryption = yes",
        "c2s_require_encryption = true",
    ),
    (
        "c2s_require_encryption = False",
        "c2s_require_encryption = false",
    ),
    ("c2s_require_encryption = maybe", "is true or false"),
    ("interfaces = 127.0.0.1", "interfaces = [\"127.0.0.1\"]"),
    (
        "interfaces = [127.0.0.1, \"::1\"]",
        "interfaces = [\"127.0.0.1\", \"::1\"]",
    ),
    ("interfaces = *, ::", "interfaces = [\"*\", \"::\"]"),
    ("c2s_ports: [5222]", "write = in place of :"),
    ("log_level := \"info\"", "write = in place of :="),
    ("log_level => \"info\"", "write = in place of =>"),
    ("log_level == \"info\"", "write = in place of =="),
    (
        "log_level \"info\"",
        "no = between `log_level` and its value",
    ),
    (
        "log_level",
        "`log_level` has no value: such as log_level = \"info\"",
    ),
    ("log_level =", "`log_level` has no value"),
    ("log_level = # none", "`log_level` has no value"),
    ("log_level = “info”", "“ is not a quotation mark"),
    ("log_level = ‘info’", "‘ is not a quotation mark"),
    ("log_level\u{a0}= \"info\"", "U+00A0"),
    ("log_level = \"info\"\u{200b}", "U+200B"),
    ("log_level = \"info", "ends with \" in the same line"),
    ("log_level = \"info\";", "there is a ; behind the value"),
    ("log_level = \"info\",", "there is a , behind the value"),
    (
        "log_level = \"info\" \"warn\"",
        "something behind the value",
    ),
    ("data_directory = \"C:\\x\"", "put such text between '"),
    ("threads = 4 cores", "`threads` is a whole number"),
    ("c2s_stanza_size_limit = 256K", "in digits alone"),
    ("c2s_stanza_size_limit = 010000", "not beginning with 0"),
    ("c2s_ports = 5222, 15222", "c2s_ports = [5222, 15222]"),
    (
        "c2s_ports = {5222, 15222}",
        "a list stands in [ ], not in { }",
    ),
    ("c2s_ports = [5222 15222]", "a comma between the values"),
    (
        "c2s_ports = [xmpp-client]",
        "`c2s_ports` is a list of numbers",
    ),
    ("c2s_ports = [5222", "does not end: put ]"),
    (
        "limits = { c2s = { rate = \"10kb/s\" }",
        "does not end: put }",
    ),
    ("-- a comment", "begins with #, not with --"),
    ("// a comment", "begins with #, not with //"),
    ("; a comment", "begins with #, not with ;"),
    ("[host.\"b.example]", "[host.\"b.example\"]"),
    ("[host \"b.example\"]", "[host.\"b.example\"]"),
    ("[host b.example]", "[host.\"b.example\"]"),
    ("VirtualHost \"b.example\"", "[host.\"b.example\"]"),
];

#[test]
fn a_provider_that_is_none_here_is_refused_with_those_there_are() {
    for (word, why) in [
        (
            "internal",
            "must be one of \"internal_hashed\", \"internal_plain\", \"ldap\", \"anonymous\", not \"internal\"",
        ),
        ("Internal_Plain", "did you mean \"internal_plain\"?"),
        (
            "insecure",
            "cannot be \"insecure\": with a name that is somebody's nobody signs in",
        ),
    ] {
        let fault = fault(&format!("authentication = \"{word}\""));
        assert!(fault.contains(why), "{fault}");
        assert!(fault.contains("\"internal_hashed\""), "{fault}");
    }
}

#[test]
fn a_host_that_keeps_passwords_is_told_what_that_costs_and_no_other_is() {
    let settings = read(
        "[host.\"a.example\"]\n\
         authentication = \"internal_plain\"\n\
         [host.\"b.example\"]\n",
    )
    .unwrap();
    assert_eq!(host(&settings, "a.example").provider, Provider::Plain);
    assert_eq!(host(&settings, "b.example").provider, Provider::Hashed);
    let [warning] = &settings.warnings[..] else {
        panic!("{:?}", settings.warnings);
    };
    for words in [
        "a.example",
        "the disk, a backup or an exported file",
        "encrypt the disk",
    ] {
        assert!(warning.contains(words), "{warning}");
    }
}

#[test]
fn a_line_that_is_not_toml_is_told_as_it_should_be() {
    for (line, should_be) in LINES {
        let fault = told(line);
        assert!(fault.starts_with("not TOML: "), "{line}: {fault}");
        assert!(fault.contains(should_be), "{line}: {fault}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_told_as_it_should_be() {
    for (line, should_be) in [
        ("threads = \"2\"", "write 2, without quotes"),
        ("c2s_ports = [\"5222\"]", "write 5222, without quotes"),
        (
            "c2s_require_encryption = \"no\"",
            "write false, without quotes",
        ),
        ("log_level = \"INFO\"", "did you mean \"info\"?"),
        ("data_dir = \"x\"", "use `data_directory`"),
        ("Threads = 2", "did you mean `threads`?"),
    ] {
        let fault = told(line);
        assert!(fault.contains(should_be), "{line}: {fault}");
    }
}

/// Where a host's section is meant, its name is in the answer, and nothing else is said to be missing.
#[test]
fn a_section_that_is_none_is_told_as_it_should_be() {
    for (text, should_be) in [
        ("[hosts.\"b.example\"]", "begins with [host.\"b.example\"]"),
        (
            "[VirtualHost.\"b.example\"]",
            "begins with [host.\"b.example\"]",
        ),
        (
            "[virtualhost.b.example]",
            "begins with [host.\"b.example\"]",
        ),
        ("[\"b.example\"]", "begins with [host.\"b.example\"]"),
        ("[b.example]", "begins with [host.\"b.example\"]"),
        ("[host.b.example]", "stands in quotes: [host.\"b.example\"]"),
        (
            "[host.chat.b.example]",
            "stands in quotes: [host.\"chat.b.example\"]",
        ),
        (
            "host = \"b.example\"",
            "begins a section: [host.\"b.example\"]",
        ),
        (
            "host = [\"b.example\"]",
            "begins a section: [host.\"b.example\"]",
        ),
        (
            "[[host]]\nname = \"b.example\"",
            "begins a section: [host.\"b.example\"]",
        ),
        (
            "[[host.\"b.example\"]]",
            "begins a section: [host.\"b.example\"]",
        ),
        ("[host]\nthreads = 2", "above the first [host] section"),
        (
            "[server]\nthreads = 2",
            "options of the whole server stand above",
        ),
        ("[host.\"*.b.example\"]", "there are no wildcards"),
        ("[host.\"b.example:5222\"]", "write b.example alone"),
        ("[host.\"juliet@b.example\"]", "write b.example alone"),
        ("[host.\"https://b.example/\"]", "write b.example alone"),
        ("[host.\"b.example]", "begins with [host.\"b.example\"]"),
    ] {
        let faults = faults(text);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert!(faults[0].contains(should_be), "{text}: {faults:?}");
    }
    let two = faults("[host.b.example]\n[host.b.test]\n");
    assert_eq!(two.len(), 2, "{two:?}");
    assert!(two[1].starts_with("spondee.toml:2: ") && two[1].contains("b.test"));
}

#[test]
fn what_is_there_twice_names_both_lines() {
    for (text, line, words) in [
        (
            "threads = 2\nthreads = 3\n",
            2,
            "`threads` is here a second time, after line 1",
        ),
        (
            "[host.\"a.example\"]\n\n[host.\"a.example\"] # again\n",
            3,
            "the section [host.\"a.example\"] is here a second time, after line 1",
        ),
        // Of the same section.
        (
            "conflict_resolve = \"random\"\n[host.\"a.example\"]\nconflict_resolve = \"random\"\n\
             conflict_resolve = \"random\"\n",
            4,
            "`conflict_resolve` is here a second time, after line 3",
        ),
    ] {
        let text = match text.contains("[host") {
            true => text.to_owned(),
            false => format!("{text}{HOST}"),
        };
        let expected = format!("spondee.toml:{line}: not TOML: {words}: remove one of them");
        assert_eq!(faults(&text), [expected]);
    }
}

#[test]
fn a_file_of_another_kind_is_one_sentence() {
    let prosody = "-- Prosody's example\nadmins = { \"a@b.example\" }\nmodules_enabled = {\n  \"roster\"; -- x\n}\n\
         log = {\n  info = \"prosody.log\";\n}\nVirtualHost \"b.example\"\n  enabled = true\nComponent \"c.b.example\" \"muc\"\n";
    for (text, words) in [
        (prosody, "a configuration of Prosody"),
        (
            "\u{feff}-- one host\nVirtualHost 'b.example'\n",
            "a configuration of Prosody",
        ),
        ("hosts:\n  - b.example\nloglevel: info\n", "YAML"),
        ("---\nhosts: [b.example]\n", "YAML"),
        ("{\n \"threads\": 2\n}", "JSON"),
        ("<?xml version=\"1.0\"?>\n<x/>", "XML"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n",
            "a certificate or a key",
        ),
    ] {
        let faults = faults(text);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert!(faults[0].contains(words), "{faults:?}");
    }
    let fault = faults(prosody).remove(0);
    assert!(fault.contains("`spondee example-config"), "{fault}");
    assert!(fault.contains("same names of options"), "{fault}");
}

/// Every line that is wrong is told, whatever else is, and what is right is read.
#[test]
fn what_is_not_toml_hides_nothing_else() {
    let text = "data_directory = \"data\"\n\
         c2s_ports = [\n  5222,\n  5223\n\
         log_level = info\n\
         c2s_prots = 5\n\
         threads = 0\n\
         [host.\"a.example\"]\n\
         conflict_resolve = kick_old\n\
         threads = 2\n\
         [host b.example]\n\
         c2s_require_encryption = maybe\n\
         [host.\"c.example\"]\n\
         default_iteration_count = 5000\n";
    let error = Settings::parse(text, Path::new("f"), Path::new("/etc")).unwrap_err();
    let lines: Vec<&str> = error
        .faults
        .iter()
        .map(|fault| fault.split(": ").next().unwrap())
        .collect();
    // Line 12 is in a section that nobody knows.
    assert_eq!(
        lines,
        ["f:2", "f:5", "f:6", "f:7", "f:9", "f:10", "f:11"],
        "{error}"
    );
    let rest = error.rest.unwrap();
    assert_eq!(rest.settings.data_directory, Path::new("/etc/data"));
    assert_eq!(rest.settings.config.hosts.len(), 2);
    assert_eq!(host(&rest.settings, "c.example").rounds, 5000);
}

/// `check config` looks no further where it would look in the wrong place.
#[test]
fn what_could_not_be_read_is_doubtful() {
    let doubtful = |text: &str| {
        let text = format!("{text}\n{HOST}");
        let error = Settings::parse(&text, Path::new("f"), Path::new("/etc")).unwrap_err();
        error.rest.unwrap().doubtful
    };
    let both = ["data_directory", "certificates"];
    assert_eq!(doubtful("data_directory = 5"), ["data_directory"]);
    assert_eq!(doubtful("threads = 0"), ["threads"]);
    // A line nobody can read, and a name nobody knows, may be what was meant.
    assert_eq!(doubtful("data_directory = data"), both);
    assert_eq!(doubtful("data_directry = \"data\""), both);
    assert_eq!(
        doubtful("log_level = info\ndata_directory = \"data\"\ncertificates = \"c\""),
        [""; 0]
    );
}

/// No fault comes of a default that stands in for what is wrong.
#[test]
fn what_is_wrong_once_is_told_once() {
    for text in [
        "c2s_ports = [5223]\nc2s_direct_tls_ports = [\"5222\"]",
        "c2s_ports = [5223]\nc2s_direct_tls_ports = [443",
        "c2s_stanza_size_limit = 4194304\nc2s_queue_size_limit = 1",
        "c2s_direct_tls_ports = []\nc2s_ports = []\ninterfaces = [\"x\"]",
    ] {
        fault(text);
    }
}

/// F16 of the trials with the field's reports: the other option is not in the file.
#[test]
fn a_port_for_both_kinds_of_clients_is_told_where_the_file_names_it() {
    for (text, words) in [
        (
            "# one\n# two\n# three\nc2s_ports = [5222, 5223]",
            "spondee.toml:4: `c2s_ports` names port 5223",
        ),
        (
            "c2s_ports = [\n 5222,\n 5223\n]",
            "spondee.toml:3: `c2s_ports` names port 5223",
        ),
        (
            "\nc2s_direct_tls_ports = 5222",
            "spondee.toml:2: `c2s_direct_tls_ports` names port 5222",
        ),
        (
            "c2s_ports = 443\nc2s_direct_tls_ports = [5223, 443]",
            "spondee.toml:2: `c2s_direct_tls_ports` names port 443",
        ),
    ] {
        let fault = fault(text);
        assert!(fault.starts_with(words), "{fault}");
    }
    read(&format!("c2s_interfaces = \"127.0.0.1\"\nc2s_direct_tls_interfaces = \"::1\"\nc2s_ports = 5223\n{HOST}")).unwrap();
}

#[test]
fn a_file_that_cannot_be_one_is_told_from_one_that_is_not_there() {
    let scratch = crate::scratch::Scratch::new();
    let path = scratch.path().join("spondee.toml");
    let told = |path: &Path| Settings::load(path).unwrap_err().to_string();
    assert!(told(&path).contains("there is no such file; `spondee example-config > "));
    assert!(told(scratch.path()).contains("it is a directory"));
    for (bytes, words) in [
        (&b"threads = 2\n# caf\xe9\n"[..], "line 2 is not UTF-8"),
        (b"\xff\xfet\0h\0", "this is UTF-16"),
        (b"", "no host is served"),
    ] {
        fs::write(&path, bytes).unwrap();
        assert!(told(&path).contains(words), "{}", told(&path));
    }
    fs::write(&path, vec![b'#'; 5_000_000]).unwrap();
    assert!(told(&path).contains("longer than"), "{}", told(&path));
}

#[test]
fn a_long_text_that_is_not_toml_is_told_in_few_words() {
    let told = faults(&"what is this\n".repeat(5000));
    assert!((20..25).contains(&told.len()), "{}", told.len());
    assert!(told[0].contains("there are more lines"), "{}", told[0]);
}

/// Whatever a slip of the finger does to a file, there is an answer, and it is about one line.
#[test]
fn any_slip_in_the_example_is_survived() {
    for (at, c) in EXAMPLE.char_indices().step_by(11) {
        let (before, behind) = EXAMPLE.split_at(at);
        let behind_it = &behind[c.len_utf8()..];
        for slip in ["", "\"", "[", "=", "\n", "“"] {
            let Err(error) = read(&format!("{before}{slip}{behind_it}")) else {
                continue;
            };
            let told = error.iter().all(|fault| fault.starts_with("spondee.toml"));
            assert!(
                told && !error.is_empty() && error.len() < 5,
                "{at} {slip}: {error:?}"
            );
        }
    }
}
