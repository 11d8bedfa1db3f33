//! Pages as somebody asks for them who wants much at once, or what is not there.

use spec_tests::client::Client;
use spec_tests::kept::{
    Answer, Door, Entry, MAM, Query, RSM, archive_policy, ask, backwards, forwards, page, query,
};

use crate::{Outcome, long, message, same, settle, start, write_all};

/// Some messages of somebody to somebody away, and who wrote them.
fn written(door: &Door, count: usize) -> Result<(Client, Vec<Entry>), String> {
    let mut romeo = door.device("romeo", "orchard")?;
    let stanzas: Vec<_> = (0..count)
        .map(|number| message("juliet@localhost", "1", &format!("text {number}")))
        .collect();
    let refused = write_all(&mut romeo, &stanzas)?;
    assert!(refused.is_empty(), "{refused:?}");
    let (entries, _) = forwards(&mut romeo, None, &Query::new().max(256))?;
    assert_eq!(entries.len(), count);
    Ok((romeo, entries))
}

fn refused(client: &mut Client, what: &Query) -> Result<String, String> {
    match query(client, "refused", what)? {
        Answer::Refused(condition) => Ok(condition),
        Answer::Page(page) => Err(format!("{} entries for {what:?}", page.entries.len())),
    }
}

/// XEP-0313 §4.1.3: one that is not there is `item-not-found`. More than there is room for is refused before anything is looked up.
#[test]
fn as_many_ids_as_a_page_holds_are_found_and_no_more_are_looked_for() -> Outcome {
    let (_server, door) = start(&["romeo", "juliet"], "max_archive_query_results = 256\n")?;
    let (mut romeo, entries) = written(&door, 300)?;
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let found = page(
        &mut romeo,
        "ids",
        &Query::new().field("ids", &ids[..256]).max(256),
    )?;
    same(&found.entries, &entries[..256])?;
    // In the order of the archive, whatever they were asked in; each once.
    let mut shuffled: Vec<&str> = ids[..100].iter().rev().copied().collect();
    shuffled.extend_from_slice(&ids[50..150]);
    let found = page(
        &mut romeo,
        "mixed",
        &Query::new().field("ids", &shuffled).max(256),
    )?;
    same(&found.entries, &entries[..150])?;
    let many = Query::new().field("ids", &ids[..257]);
    assert_eq!(refused(&mut romeo, &many)?, "policy-violation");
    let same_one = Query::new().field("ids", &[ids[0]; 256]).max(256);
    let found = page(&mut romeo, "one", &same_one)?;
    same(&found.entries, &entries[..1])?;

    // What another archive calls its own is not there.
    let mut juliet = door.device("juliet", "archive")?;
    let (hers, _) = forwards(&mut juliet, None, &Query::new().max(256))?;
    let strange = [
        hers[0].id.as_str(),
        "",
        "x",
        "AAAAAAAAAAAAAAAAAAAAAA",
        &"A".repeat(3000),
    ];
    for strange in strange {
        for name in ["ids", "before-id", "after-id"] {
            // A field that is left empty says nothing.
            if strange.is_empty() && name != "ids" {
                continue;
            }
            let what = Query::new().field(name, &[strange]);
            assert_eq!(
                refused(&mut romeo, &what)?,
                "item-not-found",
                "{name} {strange:.30}"
            );
        }
        let mixed = Query::new().field("ids", &[ids[7], strange]);
        assert_eq!(
            refused(&mut romeo, &mixed)?,
            "item-not-found",
            "{strange:.30}"
        );
        if !strange.is_empty() {
            assert_eq!(
                refused(&mut romeo, &Query::new().after(strange))?,
                "item-not-found"
            );
            assert_eq!(
                refused(&mut romeo, &Query::new().before(strange))?,
                "item-not-found"
            );
        }
    }
    // All this harmed nobody.
    assert_eq!(
        page(&mut romeo, "after", &Query::new().max(7))?.entries,
        entries[..7]
    );
    Ok(())
}

/// A page is cut where it has a megabyte, says so, and the next goes on where it ended.
#[test]
fn pages_of_the_longest_stanzas_are_cut_and_have_no_holes() -> Outcome {
    let count = long(256, 40);
    let (server, door) = start(&["romeo", "juliet"], "")?;
    let mut juliet = door.device("juliet", "x")?;
    archive_policy(&mut juliet, "never")?;
    juliet.close()?;
    let mut romeo = door.device("romeo", "orchard")?;
    let body = "x".repeat(256 * 1024 - 200);
    for number in 0..count {
        // No matter that most of it is refused: his own archive has it.
        let stanza = message(
            "juliet@localhost",
            &number.to_string(),
            &format!("{number} {body}"),
        );
        write_all(&mut romeo, &[stanza])?;
    }
    settle(&mut romeo, "juliet@localhost")?;
    let numbers = |entries: &[Entry]| -> Vec<usize> {
        let numbers = entries.iter().map(|entry| entry.address("id").parse().ok());
        numbers.map(|number| number.unwrap_or(usize::MAX)).collect()
    };
    let wanted: Vec<usize> = (0..count).collect();
    let before = server.pss_kib()?;
    let first = page(&mut romeo, "first", &Query::new().max(256))?;
    assert!(!first.complete);
    assert!(
        (1..=5).contains(&first.entries.len()),
        "{}",
        first.entries.len()
    );
    let (there, pages) = forwards(&mut romeo, None, &Query::new().max(256))?;
    same(&numbers(&there), &wanted)?;
    assert!(pages >= count / 5, "{pages} pages");
    let (back, pages) = backwards(&mut romeo, &Query::new().max(256))?;
    same(&back, &there)?;
    assert!(pages >= count / 5, "{pages} pages");
    // By number, and the other way round.
    let ids: Vec<&str> = there.iter().map(|entry| entry.id.as_str()).collect();
    let some = page(
        &mut romeo,
        "ids",
        &Query::new().field("ids", &ids[..20]).max(256),
    )?;
    assert!(
        !some.complete && some.entries.len() <= 5,
        "{}",
        some.entries.len()
    );
    let (all, _) = forwards(
        &mut romeo,
        None,
        &Query::new().field("ids", &ids[..20]).max(256),
    )?;
    same(&all, &there[..20])?;
    let flipped = page(&mut romeo, "flipped", &Query::new().max(256).flipped())?;
    let turned: Vec<_> = flipped.entries.iter().rev().cloned().collect();
    same(&turned, &first.entries)?;
    let after = server.pss_kib()?;
    assert!(
        after < before + 64 * 1024,
        "{before} KiB before, {after} after"
    );
    Ok(())
}

/// XEP-0313 §4: what a client wrote right before it asks is in the page, although nobody waited for the disk.
#[test]
fn a_page_has_what_was_written_in_the_same_breath() -> Outcome {
    let (_server, door) = start(&["romeo", "juliet"], "")?;
    let mut romeo = door.device("romeo", "orchard")?;
    for number in 0..200 {
        let text = format!("text {number}");
        let breath = message("juliet@localhost", "1", &text)
            + &message("romeo@localhost", "2", &format!("own {number}"))
            + &Query::new().max(2).before("").request("last");
        romeo.send(&breath)?;
        let answer = spec_tests::kept::answer(&mut romeo, "last", spec_tests::client::PATIENCE)?;
        let Answer::Page(page) = answer else {
            return Err(format!("{answer:?}"));
        };
        let bodies: Vec<_> = page.entries.iter().map(Entry::body).collect();
        same(&bodies, &[text, format!("own {number}")])?;
    }
    Ok(())
}

/// What stands in a query.
fn form(fields: &str) -> String {
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MAM}</value></field>{fields}</x>"
    )
}

fn field(name: &str, value: &str) -> String {
    form(&format!(
        "<field var='{name}'><value>{value}</value></field>"
    ))
}

fn set(rsm: &str) -> String {
    format!("<set xmlns='{RSM}'>{rsm}</set>")
}

/// What must be refused.
fn senseless(id: &str) -> Vec<String> {
    vec![
        set("<max>-1</max>"),
        set("<max>x</max>"),
        set("<max/>"),
        set("<index>0</index>"),
        set(&format!("<after>{id}</after><index>1</index>")),
        field("with", "@"),
        field("with", "a@b@c/"),
        field("start", "yesterday"),
        field("start", "2026-13-01T00:00:00Z"),
        field("start", "99999999999-01-01T00:00:00Z"),
        field("end", "2026-02-30T00:00:00Z"),
        field("what", "x"),
        field(&"w".repeat(5000), "x"),
        "<x xmlns='jabber:x:data' type='submit'><field var='with'><value>a@b</value></field></x>".to_owned(),
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>x</value></field></x>".to_owned(),
    ]
}

/// What may be refused, or means something.
fn strange(id: &str) -> Vec<String> {
    let period = "<field var='start'><value>2030-01-01T00:00:00Z</value></field><field var='end'><value>2001-01-01T00:00:00Z</value></field>";
    vec![
        set("<max>4294967296</max>"),
        set("<max>99999999999999999999999</max>"),
        set("<max>0</max><before/>"),
        set(&format!("<before>{id}</before><after>{id}</after>")),
        set("<before/><before/>"),
        set("<max>1</max><max>2</max>"),
        form(""),
        form("<field var='with'/>"),
        field("with", ""),
        form(&format!(
            "<field var='FORM_TYPE'><value>{MAM}</value></field>"
        )),
        field("start", "0000-01-01T00:00:00Z"),
        field("start", "9999-12-31T23:59:59Z"),
        field("end", "1969-12-31T23:59:59Z"),
        form(period),
        form("<field var='ids'/>"),
        form(&format!(
            "<field var='ids'><value>{id}</value></field><field var='with'><value>nobody@localhost</value></field>"
        )),
        form("") + &form(""),
        set("<max>1</max>") + &set("<max>2</max>"),
        "<flip-page/><flip-page/>".to_owned(),
        "<x xmlns='jabber:x:data' type='cancel'/>".to_owned(),
        "<unknown xmlns='x'/>".to_owned(),
    ]
}

/// Whatever somebody makes of a query, it is answered, and the stream goes on.
#[test]
fn queries_that_make_no_sense_are_answered_with_an_error_each() -> Outcome {
    let (_server, door) = start(&["romeo", "juliet"], "")?;
    let (mut romeo, entries) = written(&door, 3)?;
    let id = entries[1].id.clone();
    let request = |inside: &str| {
        let name = "q".repeat(500);
        format!(
            "<iq type='set' id='odd'><query xmlns='{MAM}' queryid='{name}'>{inside}</query></iq>"
        )
    };
    for inside in senseless(&id) {
        let answer = ask(&mut romeo, "odd", &request(&inside), |stanza| {
            Err(format!("{inside:.200} brings {stanza}"))
        })?;
        let kind = answer.attribute("type");
        assert_eq!(kind, Some("error"), "{inside:.200}: {answer}");
    }
    for inside in strange(&id) {
        ask(&mut romeo, "odd", &request(&inside), |_| Ok(()))?;
    }
    assert_eq!(page(&mut romeo, "after", &Query::new())?.entries, entries);
    Ok(())
}
