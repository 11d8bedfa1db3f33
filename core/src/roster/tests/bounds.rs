//! How much there may be.

use super::*;

/// RFC 6121 §2.3.3.
#[test]
fn a_name_is_bounded() {
    let item = |name: &str| set_of(&format!("<item jid='a@b' name='{name}'/>"));
    assert!(item(&"x".repeat(ROSTER_NAME_BYTES)).is_ok());
    assert_eq!(
        item(&"x".repeat(ROSTER_NAME_BYTES + 1)),
        Err(Condition::NotAcceptable)
    );
    // What counts is what it means.
    assert!(item(&"&#x78;".repeat(ROSTER_NAME_BYTES)).is_ok());
}

/// RFC 6121 §2.3.3.
#[test]
fn groups_are_bounded_neither_empty_nor_twice() {
    let item = |groups: &str| set_of(&format!("<item jid='a@b'>{groups}</item>"));
    let longest = "g".repeat(ROSTER_GROUP_BYTES);
    let numbered =
        |count| -> String { (0..count).map(|n| format!("<group>{n}</group>")).collect() };
    assert!(item(&format!("<group>{longest}</group>")).is_ok());
    assert!(item(&numbered(ROSTER_GROUPS)).is_ok());
    assert!(item("<group>a</group><group>A</group><group> </group><group xmlns='y'/>").is_ok());
    for (groups, condition) in [
        (
            format!("<group>{longest}g</group>"),
            Condition::NotAcceptable,
        ),
        (numbered(ROSTER_GROUPS + 1), Condition::NotAcceptable),
        ("<group/>".into(), Condition::NotAcceptable),
        ("<group></group>".into(), Condition::NotAcceptable),
        (
            "<group><![CDATA[]]></group>".into(),
            Condition::NotAcceptable,
        ),
        (
            "<group>a</group><group>b</group><group>&#x61;</group>".into(),
            Condition::BadRequest,
        ),
    ] {
        assert_eq!(item(&groups), Err(condition), "{groups}");
    }
}

#[test]
fn who_has_as_many_contacts_as_there_may_be_can_change_and_remove_but_not_add() {
    let mut roster = Roster::default();
    let item = |n: i32, more: &str| set_of(&format!("<item jid='a{n}@b' {more}/>")).unwrap();
    for n in 0..3 {
        roster.apply(item(n, ""), at(0), 3).unwrap();
    }
    let before = roster.clone();
    assert_eq!(
        roster.apply(item(3, ""), at(9), 3),
        Err(Condition::PolicyViolation)
    );
    assert_eq!(roster, before);
    for max_contacts in [3, 1] {
        assert!(
            roster
                .apply(item(2, "name='x'"), at(0), max_contacts)
                .is_ok()
        );
    }
    roster
        .apply(item(2, "subscription='remove'"), at(0), 3)
        .unwrap();
    assert!(roster.apply(item(3, ""), at(0), 3).is_ok());
}

/// A thousand contacts with the longest names and groups: some fit, and what fits can be sent.
#[test]
fn all_contacts_together_are_bounded_as_they_are_sent() {
    let mut roster = Roster::default();
    let name = "&quot;".repeat(ROSTER_NAME_BYTES);
    let set = |n: u32, name: &str| set_of(&format!("<item jid='a{n}@b' name='{name}'/>")).unwrap();
    let mut refused = 0;
    for n in 0..1000 {
        match roster.apply(set(n, &name), at(0), 1000) {
            Ok(_) => assert_eq!(refused, 0),
            Err(condition) => {
                assert_eq!(condition, Condition::PolicyViolation);
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && roster.len() > 300, "{}", roster.len());
    let bytes = whole(&roster).len();
    assert!(
        (ROSTER_BYTES - 32 * 1024..ROSTER_BYTES + 64).contains(&bytes),
        "{bytes}"
    );
    assert!(roster.apply(set(5, "short"), at(0), 1000).is_ok());
    assert!(roster.apply(set(5, &name), at(0), 1000).is_ok());
    assert_eq!(
        roster.apply(set(1001, &name), at(0), 1000),
        Err(Condition::PolicyViolation)
    );
}

/// From a time of higher bounds, or from elsewhere.
#[test]
fn who_has_too_much_keeps_it_and_can_only_shorten_it() {
    let long = rows::row(|row| {
        row[0] = Field::text("a@b");
        row[1] = Field::text(&"x".repeat(ROSTER_BYTES));
    });
    let other = rows::row(|row| row[0] = Field::text("c@d"));
    let mut roster = rows::roster(&[&long, &other]).unwrap();
    assert!(whole(&roster).len() > ROSTER_BYTES);
    let mut set = |item: &str| roster.apply(set_of(item).unwrap(), at(0), 1);
    assert_eq!(
        set("<item jid='c@d' name='x'/>"),
        Err(Condition::PolicyViolation)
    );
    assert!(set("<item jid='c@d'/>").is_ok());
    assert!(set("<item jid='a@b' name='x'/>").is_ok());
    assert!(set("<item jid='c@d' name='x'/>").is_ok());
}
