//! `user import` of files that others have written, that are hostile, or of which the import ends half way.

use std::fs;

use spondee_core::archive::ARCHIVE;
use spondee_core::blocking::BLOCKLIST;
use spondee_core::jid::BareJid;
use spondee_core::port::{Command, CommandError, CommandReply, ImportStep};
use spondee_core::roster::{ROSTER, ROSTER_REQUESTS};
use spondee_core::sasl::{CREDENTIALS, Credentials, Hash, IMPORTS, Status, Tombstones};
use spondee_core::store::{Class, Field, Kept, Op, Row};
use spondee_core::time::{Now, UnixTime, parse_xep0082};
use spondee_core::vcard::VCARD;
use spondee_shell_common::config::Settings;
use spondee_shell_common::offline::Offline;
use spondee_shell_common::pie::{Name, Plan, Trouble};

use super::export::{JULIET, apply, entry, everything, export, furnish};
use super::place::{Outcome, Place};

const HEAD: &str = "<?xml version='1.0' encoding='UTF-8'?><server-data xmlns='urn:xmpp:pie:0'>";

fn import(place: &Place, text: &str, options: &str) -> Outcome {
    let file = place.path("import.xml");
    fs::write(&file, text).unwrap();
    place.run(
        &format!("spondee user import {} {options}", file.display()),
        "",
    )
}

/// A file with one user of example.org.
fn of_juliet(inside: &str) -> String {
    format!(
        "{HEAD}<host jid='example.org'><user name='juliet'>{inside}</user></host></server-data>"
    )
}

fn rows(place: &Place, account: &str, name: &str) -> Vec<Row> {
    let (tables, _) = everything(place, account);
    let found = tables.into_iter().find(|(table, _)| table.name == name);
    found.unwrap().1
}

fn is_there(place: &Place, account: &str) -> bool {
    !rows(place, account, CREDENTIALS.name).is_empty()
}

fn credentials(place: &Place, account: &str) -> Credentials {
    Credentials::from_row(&rows(place, account, CREDENTIALS.name)[0]).unwrap()
}

const LEFT_BEHIND_OF_PROSODY: [&str; 7] = [
    "the attribute `e:created` of a user",
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>, which has no meaning here",
    "the contact \"no address@\"",
    "a contact that is the user's own address",
    "what is asked of a contact",
    "keys for each SCRAM mechanism",
    "the time of a message: the one before it in the archive came later",
];

/// As Prosody's migrator writes it: keys for one hash alone, `version` for `ver`, requests beside contacts, and what it adds.
#[test]
fn what_prosody_exports_is_brought_here() {
    let place = Place::new();
    let done = import(&place, include_str!("files/prosody.xml"), "");
    assert_eq!(done.code, 0, "{done:?}");
    let said = format!(
        "{JULIET} was imported: 2 contacts, 2 archived messages, 2 that wait, 1 requests, 1 card\n"
    );
    assert!(done.out.ends_with(&said), "{done:?}");
    for words in LEFT_BEHIND_OF_PROSODY {
        assert!(done.err.contains(words), "{words}: {done:?}");
    }
    let credentials = credentials(&place, JULIET);
    assert_eq!(credentials.status, Status::Enabled);
    assert_eq!(
        credentials
            .keys()
            .iter()
            .map(|keys| keys.hash)
            .collect::<Vec<_>>(),
        [Hash::Sha1]
    );
    let roster = rows(&place, JULIET, ROSTER.name);
    assert_eq!(roster[1].0[5], Field::text("[\"Friends\"]"));
    assert_eq!(
        rows(&place, JULIET, ROSTER_REQUESTS.name)[0].0[0],
        Field::text("tybalt@example.net")
    );
    let (_, messages) = everything(&place, JULIET);
    let stamp = |text: &str| parse_xep0082(text).unwrap();
    let kept: Vec<_> = messages
        .iter()
        .map(|entry| (entry.key, entry.kept, entry.peer.clone()))
        .collect();
    assert_eq!(
        kept,
        [
            (
                stamp("2026-11-20T09:00:00Z"),
                Kept::Owed,
                "nurse@example.org".into()
            ),
            // The one that waits and is archived is one.
            (
                stamp("2026-11-20T10:00:00.5Z"),
                Kept::Both,
                "romeo@example.net".into()
            ),
            (
                stamp("2026-11-20T10:00:00.5Z") + 1,
                Kept::Archived,
                "romeo@example.net".into()
            ),
        ]
    );
    assert_eq!(
        &messages[1].payload.joined()[..],
        &b"<message to='juliet@example.org/balcony' from='romeo@example.net/orchard' type='chat'><body>1</body></message>"[..]
    );
    assert_eq!(messages[2].resource, None);
    assert!(
        !messages[0]
            .payload
            .joined()
            .windows(5)
            .any(|w| w == b"delay")
    );
}

/// As ejabberd writes it: a file for each host that one includes, passwords as they are, privacy lists.
#[test]
fn what_ejabberd_exports_is_brought_here_from_all_its_files() {
    let place = Place::new();
    let main = format!(
        "{HEAD}\n<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='hosts%2Fexample_org.xml'/></server-data>"
    );
    fs::create_dir(place.path("hosts")).unwrap();
    fs::write(
        place.path("hosts/example_org.xml"),
        "<?xml version='1.0'?><host xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude' jid='example.org'>\
         <user name='juliet' password='se&lt;cret'><query xmlns='jabber:iq:privacy'><default name='public'/><list name='public'>\
           <item type='jid' value='paris@example.net' action='deny' order='1'/><item action='allow' order='2'/></list>\
           <list name='other'><item action='deny' order='1'><presence-in/></item></list></query></user>\
         <xi:include href='./nurse.xml'/></host>",
    )
    .unwrap();
    fs::write(
        place.path("hosts/nurse.xml"),
        "<user xmlns='urn:xmpp:pie:0' name='nurse' password='scram:6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=,QSXCR+Q6sek8bf92,4096'/>",
    )
    .unwrap();
    let done = import(&place, &main, "");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("the privacy list \"other\""), "{done:?}");
    let juliet = credentials(&place, JULIET);
    // Of a password all keys are made.
    assert_eq!(juliet.keys().len(), Hash::ALL.len());
    let blocked = rows(&place, JULIET, BLOCKLIST.name);
    assert_eq!(blocked[0].0[0], Field::text("paris@example.net"));
    assert_eq!(credentials(&place, "nurse@example.org").keys().len(), 1);
}

#[test]
fn prefixes_comments_and_cdata_are_read_as_what_they_mean() {
    let place = Place::new();
    let text = "<!-- made by hand --><p:server-data xmlns:p='urn:xmpp:pie:0' xmlns:v='vcard-temp' xmlns:o='urn:outside'>\
                <!-- a host --><p:host jid='EXAMPLE.org'><p:user name='Juliet' password='secret'>\
                <v:vCard a='1' o:b=\"'2'\"><v:FN><![CDATA[<Juliet>]]></v:FN><o:x/></v:vCard></p:user></p:host></p:server-data> ";
    let done = import(&place, text, "");
    assert_eq!(done.code, 0, "{done:?}");
    let card = &rows(&place, JULIET, VCARD.name)[0].0[0];
    let Field::Xml(card) = card else {
        panic!("{card:?}");
    };
    let card = String::from_utf8_lossy(card);
    assert!(
        card.contains("xmlns:v='vcard-temp'") && card.contains("xmlns:o='urn:outside'"),
        "{card}"
    );
    // It is a document of its own.
    let text = of_juliet(&card).replace("name='juliet'", "name='other' password='x'");
    assert_eq!(import(&place, &text, "").code, 0, "{card}");
}

/// Has it refused for this reason, and looks whether anything was done.
#[track_caller]
fn refused(place: &Place, text: &str, words: &str) {
    let beginning: String = text.chars().take(300).collect();
    let done = import(place, text, "");
    assert_eq!(done.code, 1, "{beginning}: {done:?}");
    assert!(done.err.contains(words), "{beginning}: {words}: {done:?}");
    let nothing = done.err.contains("nothing was imported") && done.out.is_empty();
    assert!(nothing, "{beginning}: {done:?}");
    assert!(!place.path("data").exists(), "{beginning}");
}

/// What stands in a user, and what is said of it.
const IN_A_USER: &[(&str, &str)] = &[
    ("&b;", "an entity that XML itself does not define"),
    ("<?php 1 ?>", "import.xml, line 1"),
    ("text", "text where only elements have a place"),
    ("<p:x/>", "the prefix p is not declared"),
    (
        "<query xmlns='jabber:iq:roster'><item jid='a@b'/><item jid='A@b'/></query>",
        "a@b: it is there twice",
    ),
    (
        "<query xmlns='jabber:iq:roster'><item jid='a@b' subscription='perhaps'/></query>",
        "no such subscription",
    ),
    (
        "<offline-messages/><offline-messages/>",
        "a second list of this kind",
    ),
    (
        "<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'/>",
        "not one <iter-count/>",
    ),
    // Nothing would be delivered any more, or archived behind it.
    (
        "<table xmlns='https://github.com/spondee/spondee/export/0' name='spool'><row><done>2999-01-01T00:00:00Z</done></row></table>",
        "a day that is still to come",
    ),
    (
        "<archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'>\
         <delay xmlns='urn:xmpp:delay' stamp='2999-01-01T00:00:00Z'/><message xmlns='jabber:client' from='a@b'/></forwarded></result></archive>",
        "of a day that is still to come",
    ),
];

/// What stands in a message.
const IN_A_MESSAGE: &[(&str, &str)] = &[
    ("<p:x/>", "no element that a client could have sent"),
    (
        "<x xmlns:p='urn:x' p:a='1' p:a='2'/>",
        "no element that a client could have sent",
    ),
    (
        "<!-- hidden -->",
        "no element that a client could have sent",
    ),
];

/// What is written for the first in a file that would be good.
const INSTEAD: &[(&str, &str, &str)] = &[
    ("urn:xmpp:pie:0", "urn:xmpp:pie:1", "no export (XEP-0227)"),
    (
        "example.org",
        "example.com",
        "the host example.com has no accounts here",
    ),
    ("example.org", "a b", "is no address of a host"),
    ("'juliet'", "'ju liet'", "is no name of a user"),
    (" name='juliet'", "", "<user> without `name`"),
    ("</server-data>", "", "cut off"),
    (
        "</user>",
        "</user><user name='JULIET'/>",
        "juliet@example.org is there a second time",
    ),
    ("<user name='juliet'></user>", "", "there is no user in it"),
];

/// What is included.
const INCLUDED: &[(&str, &str)] = &[
    ("href='/etc/passwd'", "only files in the directory"),
    ("href='../import.xml'", "only files in the directory"),
    ("href='file:///etc/passwd'", "only files in the directory"),
    ("href='%2e%2e/import.xml'", "only files in the directory"),
    ("href=''", "only files in the directory"),
    ("href='no-such-file.xml'", "cannot be read"),
    (
        "parse='text' href='import.xml'",
        "an inclusion with `parse`",
    ),
];

fn with_message(inside: &str) -> String {
    of_juliet(&format!(
        "<offline-messages><message xmlns='jabber:client' from='a@b' to='juliet@example.org'>{inside}</message></offline-messages>"
    ))
}

#[test]
fn a_file_that_is_wrong_is_refused_and_changes_nothing() {
    let place = Place::new();
    refused(&place, "", "cut off");
    refused(&place, "nothing of the kind", "import.xml, line 1");
    let user = "<user xmlns='urn:xmpp:pie:0' name='juliet'/>";
    refused(&place, user, "of which host");
    for (inside, words) in IN_A_USER {
        refused(&place, &of_juliet(inside), words);
    }
    for (inside, words) in IN_A_MESSAGE {
        refused(&place, &with_message(inside), words);
    }
    for (what, instead, words) in INSTEAD {
        refused(&place, &of_juliet("").replace(what, instead), words);
    }
    for (attributes, words) in INCLUDED {
        let include = format!("<include xmlns='http://www.w3.org/2001/XInclude' {attributes}/>");
        refused(&place, &of_juliet(&include), words);
    }
}

#[test]
fn a_file_that_would_take_all_memory_is_refused() {
    let place = Place::new();
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>";
    refused(
        &place,
        &format!("{bomb}{}", of_juliet("&b;")),
        "import.xml, line 1",
    );
    let deep = "<a xmlns='urn:x'>".repeat(300) + &"</a>".repeat(300);
    let long = "x".repeat(9 * 1024 * 1024);
    let too_deep = "more than 128 elements in each other";
    let too_long = "bytes, which no account could keep";
    let value = format!("<x xmlns='urn:x' y='{long}'/>");
    for (text, words) in [
        (of_juliet(&deep), too_deep),
        (with_message(&deep), too_deep),
        (of_juliet(&format!("<!-- {long}{long} -->")), too_long),
        (with_message(&format!("<body>{long}</body>")), too_long),
        (with_message(&"<a/>".repeat(3 * 1024 * 1024)), too_long),
        (of_juliet(&value), "bytes"),
        (with_message(&value), "bytes"),
    ] {
        refused(&place, &text, words);
    }
}

/// Wherever a copy broke off, or one byte went wrong: refused or taken whole, never by a panic, and nothing is taken for what it is not.
#[test]
fn a_file_that_is_cut_off_anywhere_is_refused_and_one_that_is_damaged_does_no_harm() {
    let place = Place::new();
    furnish(&place);
    let text = export(&place, JULIET);
    let settings = Settings::load(&place.path("spondee.toml")).unwrap();
    let file = place.path("damaged.xml");
    let judge = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let free = &mut |_: &BareJid| Ok::<_, ()>(Name::Free);
        let now = Now {
            wall: UnixTime(1_795_400_000_000),
            ..Now::default()
        };
        Plan::of(&file, &settings.config, now, free)
    };
    let whole = text.trim_end().len();
    for end in (0..whole).step_by(41).chain(whole - 20..whole) {
        let fault = judge(&text.as_bytes()[..end]);
        assert!(matches!(fault, Err(Trouble::File(_))), "cut at {end}");
    }
    assert!(judge(&text.as_bytes()[..whole]).is_ok());
    let mut taken = 0;
    for at in (0..whole).step_by(53) {
        for byte in [b'<', b'&', b'\'', b'>', b'9', 0, 0xFF] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = byte;
            taken += usize::from(judge(&bytes).is_ok());
        }
    }
    assert!(taken > 0, "some bytes are text");
}

#[test]
fn files_that_include_each_other_for_ever_are_refused() {
    let place = Place::new();
    let include = "<include xmlns='http://www.w3.org/2001/XInclude' href='loop.xml'/>";
    fs::write(place.path("loop.xml"), include).unwrap();
    let text = of_juliet(include);
    import(&place, &text, "").is_refused(1, "more than 8 files that include each other");
    // Where a link leads counts.
    std::os::unix::fs::symlink("/etc/hostname", place.path("link.xml")).unwrap();
    let text = text.replace("loop.xml", "link.xml");
    import(&place, &text, "").is_refused(1, "which is elsewhere");
}

#[test]
fn names_that_are_taken_or_held_are_refused_unless_somebody_says_otherwise() {
    let place = Place::new();
    furnish(&place);
    let both = format!(
        "{HEAD}<host jid='example.org'><user name='juliet' password='x'/><user name='nurse' password='x'/></host></server-data>"
    );
    let before = everything(&place, JULIET);
    import(&place, &both, "")
        .is_refused(1, &format!("nothing was imported: {JULIET} exist already"));
    assert!(!is_there(&place, "nurse@example.org"));
    let look = import(&place, &both, "--dry-run --skip-existing");
    assert!(
        look.out.contains("nurse@example.org would be imported"),
        "{look:?}"
    );
    assert!(!is_there(&place, "nurse@example.org"));
    let done = import(&place, &both, "--skip-existing");
    assert!(
        done.out
            .starts_with(&format!("{JULIET} exists already and stays as it is\n")),
        "{done:?}"
    );
    assert!(is_there(&place, "nurse@example.org"));
    assert_eq!(everything(&place, JULIET), before);
    place
        .run("spondee user delete --yes nurse@example.org", "")
        .is_done();
    import(&place, &both, "--skip-existing")
        .is_refused(1, "`spondee user import --again` takes such names");
    assert!(!is_there(&place, "nurse@example.org"));
    assert_eq!(import(&place, &both, "--skip-existing --again").code, 0);
    assert!(is_there(&place, "nurse@example.org"));
}

/// What others have put there stays what it was, too.
#[test]
fn an_account_that_has_more_than_its_host_allows_is_refused() {
    let place = Place::new();
    place.configure("data_directory = \"data\"\nroster_max_contacts = 2\n[host.\"example.org\"]\n");
    let items = |count: usize| {
        (0..count)
            .map(|n| format!("<item jid='c{n}@b'/>"))
            .collect::<String>()
    };
    let roster = |count: usize| {
        of_juliet(&format!(
            "<query xmlns='jabber:iq:roster'>{}</query>",
            items(count)
        ))
    };
    import(&place, &roster(3), "")
        .is_refused(1, "more than `roster_max_contacts` of the host allows (2)");
    assert_eq!(import(&place, &roster(2), "").code, 0);
}

/// Imports by a desk that fails at this step, as where the process is killed there. Whether it came to that.
fn ends_before(place: &Place, end: usize) -> bool {
    let settings = Settings::load(&place.path("spondee.toml")).unwrap();
    let now = Now {
        wall: UnixTime(1_795_400_000_000),
        ..Now::default()
    };
    let mut office = Offline::open(&settings).unwrap();
    let free = &mut |_: &BareJid| Ok::<_, ()>(Name::Free);
    let plan = Plan::of(&place.path("import.xml"), &settings.config, now, free);
    let mut count = 0;
    let mut step = |account: &BareJid, step: ImportStep| {
        if count == end {
            return Err(());
        }
        count += 1;
        let (account, step) = (account.clone(), Box::new(step));
        let done = office.call(Command::Import { account, step });
        done.map(drop).map_err(drop)
    };
    let plan = plan.unwrap();
    let outcome = plan.carry_out(
        &settings.config,
        7,
        Tombstones::Heed,
        &mut step,
        &mut |_| {},
    );
    assert!(
        matches!(outcome, Ok(()) | Err(Trouble::Desk(()))),
        "{outcome:?}"
    );
    outcome.is_err()
}

#[test]
fn an_import_that_ends_anywhere_leaves_no_half_account_and_is_begun_anew() {
    let from = Place::new();
    furnish(&from);
    let text = export(&from, JULIET);
    let whole = Place::new();
    assert_eq!(import(&whole, &text, "").code, 0);
    for end in 0.. {
        let place = Place::new();
        fs::write(place.path("import.xml"), &text).unwrap();
        if !ends_before(&place, end) {
            assert!(end >= 3, "{end} steps");
            break;
        }
        assert!(!is_there(&place, JULIET), "after {end} steps");
        let show = format!("spondee user show {JULIET}");
        place.run(&show, "").is_refused(1, "there is no user");
        if end % 2 == 1 {
            assert_eq!(import(&place, &text, "").code, 0);
            assert_eq!(everything(&place, JULIET), everything(&whole, JULIET));
            continue;
        }
        // Whoever takes the name has nothing of what was brought for another.
        let add = format!("spondee user add {JULIET}");
        place.run(&add, "other\n").is_done();
        let (tables, messages) = everything(&place, JULIET);
        let mut left = tables.iter().filter(|(_, rows)| !rows.is_empty());
        assert!(left.all(|(table, _)| table.name == CREDENTIALS.name));
        assert_eq!(messages, [], "after {end} steps");
    }
}

#[test]
fn steps_of_an_import_that_was_overtaken_take_no_effect() {
    let place = Place::new();
    let settings = Settings::load(&place.path("spondee.toml")).unwrap();
    let mut office = Offline::open(&settings).unwrap();
    let account = BareJid::parse(JULIET).unwrap();
    let mut step = |step: ImportStep| {
        let account = account.clone();
        office.call(Command::Import {
            account,
            step: Box::new(step),
        })
    };
    let append = |key: i64| {
        let message = format!("<message to='{JULIET}' from='romeo@example.net'/>");
        let entries = vec![entry(key, Kept::Archived, &message)];
        vec![Op::Append {
            log: ARCHIVE,
            entries,
        }]
    };
    let begin = |import| ImportStep::Begin(import, Tombstones::Heed);
    let done = Ok(CommandReply::Done);
    assert_eq!(
        step(ImportStep::Keep(1, append(1))),
        Err(CommandError::Exists)
    );
    assert_eq!(step(begin(1)), done);
    assert_eq!(step(ImportStep::Keep(1, append(1))), done);
    assert_eq!(step(begin(2)), done);
    assert_eq!(
        step(ImportStep::Keep(1, append(2))),
        Err(CommandError::Exists)
    );
    assert_eq!(step(ImportStep::Keep(2, append(3))), done);
    // Nothing but what an account keeps comes so.
    assert_eq!(
        step(ImportStep::Keep(2, vec![Op::Purge])),
        Err(CommandError::Store)
    );
    drop(office);
    let (_, messages) = everything(&place, JULIET);
    assert_eq!(
        messages.iter().map(|entry| entry.key).collect::<Vec<_>>(),
        [3]
    );
    let list = vec![Op::List {
        table: &IMPORTS,
        prefix: Row::default(),
        after: None,
        limit: 1,
    }];
    assert_eq!(apply(&place, JULIET, Class::Load, list).len(), 1);
}
