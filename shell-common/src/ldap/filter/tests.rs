use super::*;

const NAMES: Names<'_> = Names {
    user: "ju*l)(iet\\",
    host: "a.example",
};

fn encoded(text: &str) -> Vec<u8> {
    let filter = Filter::parse(text).unwrap();
    filter.encode(NAMES).to_vec()
}

fn compare(tag: u8, attribute: &str, value: &str) -> Bytes {
    ber::made_of(tag, &[ber::text(attribute), ber::text(value)])
}

/// RFC 4515 §3 would have them escaped in text: here there is no text that they could become part of.
#[test]
fn a_name_is_bytes_of_a_value_whatever_is_in_it() {
    let expected = compare(0xa3, "uid", NAMES.user);
    assert_eq!(encoded("(uid=$user)"), *expected);
    assert_eq!(Filter::default(), Filter::parse(" (uid=$user) ").unwrap());
    let address = "ju*l)(iet\\@a.example";
    assert_eq!(
        encoded("(mail=$user@$host)"),
        *compare(0xa3, "mail", address)
    );
}

#[test]
fn filters_are_those_of_rfc_4515() {
    let user = compare(0xa3, "uid", NAMES.user);
    let class = compare(0xa3, "objectClass", "person");
    let both = ber::made_of(0xa0, &[class, user.clone()]);
    assert_eq!(encoded("(&(objectClass=person)(uid=$user))"), *both);
    let either = ber::made_of(0xa1, &[user.clone(), compare(0xa3, "mail", NAMES.user)]);
    assert_eq!(encoded("(|(uid=$user)(mail=$user))"), *either);
    let present = ber::element(0x87, b"disabled");
    let not = ber::made_of(0xa0, &[user.clone(), ber::made_of(0xa2, &[present])]);
    assert_eq!(encoded("(&(uid=$user)(!(disabled=*)))"), *not);
    for (text, tag) in [
        ("(a>=$user)", 0xa5),
        ("(a<=$user)", 0xa6),
        ("(a~=$user)", 0xa8),
    ] {
        assert_eq!(encoded(text), *compare(tag, "a", NAMES.user));
    }
    let escaped = compare(0xa3, "cn;lang-de", "a*(\u{e9})");
    let escaped = ber::made_of(0xa0, &[escaped, user]);
    assert_eq!(
        encoded("(&(cn;lang-de=a\\2A\\28\\c3\\a9\\29)(uid=$user))"),
        *escaped
    );
}

#[test]
fn parts_of_values_are_found_by_asterisks() {
    let parts = |parts: &[(u8, &str)]| {
        let parts: Vec<_> = parts
            .iter()
            .map(|(tag, text)| ber::element(*tag, text.as_bytes()))
            .collect();
        let parts = ber::made_of(ber::SEQUENCE, &parts);
        ber::made_of(0xa4, &[ber::text("m"), parts])
    };
    let user = NAMES.user;
    for (text, expected) in [
        ("(m=$user*)", parts(&[(0x80, user)])),
        ("(m=*$user)", parts(&[(0x82, user)])),
        ("(m=*$user*)", parts(&[(0x81, user)])),
        (
            "(m=a*$user**b*c)",
            parts(&[(0x80, "a"), (0x81, user), (0x81, "b"), (0x82, "c")]),
        ),
    ] {
        assert_eq!(encoded(text), *expected, "{text}");
    }
}

/// As Active Directory has them, to look for groups in groups.
#[test]
fn a_matching_rule_may_be_named() {
    let rule = "1.2.840.113556.1.4.1941";
    let group = ber::made_of(
        0xa9,
        &[
            ber::element(0x81, rule.as_bytes()),
            ber::element(0x82, b"memberOf"),
            ber::element(0x83, b"cn=chat,dc=a"),
        ],
    );
    let expected = ber::made_of(0xa0, &[compare(0xa3, "uid", NAMES.user), group]);
    let text = format!("(&(uid=$user)(memberOf:{rule}:=cn=chat,dc=a))");
    assert_eq!(encoded(&text), *expected);
    let by_name = [
        ber::element(0x82, b"ou"),
        ber::element(0x83, NAMES.user.as_bytes()),
        ber::element(0x84, &[0xff]),
    ];
    assert_eq!(encoded("(ou:dn:=$user)"), *ber::made_of(0xa9, &by_name));
}

#[test]
fn what_is_no_filter_is_told_with_one_that_is() {
    for (text, words) in [
        ("", "a ( is missing at its end"),
        ("uid=$user", "a ( is missing before"),
        ("(uid=$user", "a ) is missing at its end"),
        ("(uid=$user))", "there is \")\" behind it"),
        ("(uid)", "no = in \"uid\""),
        ("(=x)", "no name of an attribute"),
        ("(ui d=$user)", "\"ui d\" is no name"),
        ("(&)", "& and | stand before filters"),
        ("(&uid=$user)", "& and | stand before filters"),
        ("(uid=\\zz$user)", "two hexadecimal digits"),
        ("(uid=\\2)", "two hexadecimal digits"),
        ("(uid=a(b)", "not written \\28"),
        ("(:=$user)", "nothing stands before :="),
        ("(a:b:c:=$user)", "more than one matching rule"),
        ("(uid=juliet)", "does not name $user"),
        ("(uid=*)", "does not name $user"),
    ] {
        let fault = Filter::parse(text).unwrap_err();
        assert!(fault.contains(words), "{text}: {fault}");
        assert!(fault.ends_with("such as (uid=$user)"), "{fault}");
    }
    let deep = "(!".repeat(40) + "(uid=$user)" + &")".repeat(40);
    assert!(Filter::parse(&deep).unwrap_err().contains("too deep"));
}
