use std::collections::{BTreeMap, HashSet};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::prep::{domainpart, localpart, resourcepart};
use super::*;

type Parts<'a> = (Option<&'a str>, &'a str, Option<&'a str>);

fn parts(jid: &Jid) -> Parts<'_> {
    (jid.local(), jid.domain(), jid.resource())
}

/// RFC 7622 §3.5, table 1.
#[test]
fn takes_the_valid_examples_of_the_rfc() {
    let examples: [(&str, Parts<'_>); 15] = [
        ("juliet@example.com", (Some("juliet"), "example.com", None)),
        (
            "juliet@example.com/foo",
            (Some("juliet"), "example.com", Some("foo")),
        ),
        (
            "juliet@example.com/foo bar",
            (Some("juliet"), "example.com", Some("foo bar")),
        ),
        (
            "juliet@example.com/foo@bar",
            (Some("juliet"), "example.com", Some("foo@bar")),
        ),
        (
            "foo\\20bar@example.com",
            (Some("foo\\20bar"), "example.com", None),
        ),
        (
            "fussball@example.com",
            (Some("fussball"), "example.com", None),
        ),
        (
            "fu\u{df}ball@example.com",
            (Some("fu\u{df}ball"), "example.com", None),
        ),
        (
            "\u{3c0}@example.com",
            (Some("\u{3c0}"), "example.com", None),
        ),
        (
            "\u{3a3}@example.com/foo",
            (Some("\u{3c3}"), "example.com", Some("foo")),
        ),
        (
            "\u{3c3}@example.com/foo",
            (Some("\u{3c3}"), "example.com", Some("foo")),
        ),
        (
            "\u{3c2}@example.com/foo",
            (Some("\u{3c2}"), "example.com", Some("foo")),
        ),
        (
            "king@example.com/\u{265a}",
            (Some("king"), "example.com", Some("\u{265a}")),
        ),
        ("example.com", (None, "example.com", None)),
        ("example.com/foobar", (None, "example.com", Some("foobar"))),
        (
            "a.example.com/b@example.net",
            (None, "a.example.com", Some("b@example.net")),
        ),
    ];
    for (text, expected) in examples {
        assert_eq!(parts(&Jid::parse(text).unwrap()), expected, "{text}");
    }
}

/// RFC 7622 §3.5, table 2.
#[test]
fn refuses_the_invalid_examples_of_the_rfc() {
    for (text, error) in [
        ("\"juliet\"@example.com", JidError::Local),
        ("foo bar@example.com", JidError::Local),
        ("@example.com/", JidError::Local),
        ("henry\u{2163}@example.com", JidError::Local),
        ("\u{265a}@example.com", JidError::Local),
        ("juliet@", JidError::Domain),
        ("/foobar", JidError::Domain),
    ] {
        assert_eq!(Jid::parse(text), Err(error), "{text}");
    }
    // Example 18, where we deviate: see `prep::resourcepart`.
    assert_eq!(
        Jid::parse("juliet@example.com/ foo").unwrap().resource(),
        Some(" foo")
    );
}

#[test]
fn cuts_at_the_first_slash_and_before_it_at_the_first_at() {
    for (text, expected) in [
        ("a@b/c/d", (Some("a"), "b", Some("c/d"))),
        ("a@b//", (Some("a"), "b", Some("/"))),
        ("b/@", (None, "b", Some("@"))),
        ("b/x@y/z", (None, "b", Some("x@y/z"))),
    ] {
        assert_eq!(parts(&Jid::parse(text).unwrap()), expected, "{text}");
    }
    for (text, error) in [
        ("a@b@c", JidError::Domain),
        ("a@@c", JidError::Domain),
        ("@b", JidError::Local),
        ("a@b/", JidError::Resource),
        ("a@/c", JidError::Domain),
        ("", JidError::Domain),
        ("@", JidError::Local),
        ("/", JidError::Domain),
    ] {
        assert_eq!(Jid::parse(text), Err(error), "{text}");
    }
}

#[test]
fn prepares_each_part_and_finds_it_again() {
    let jid = Jid::parse("JuLiet@EXAMPLE.com./Balcony").unwrap();
    assert_eq!(jid.as_str(), "juliet@example.com/Balcony");
    assert_eq!(
        parts(&jid),
        (Some("juliet"), "example.com", Some("Balcony"))
    );
    assert_eq!(jid.bare(), "juliet@example.com");
    assert_eq!(
        format!("{jid} {jid:?}"),
        "juliet@example.com/Balcony \"juliet@example.com/Balcony\""
    );

    let dotted = Jid::parse("example.com./x").unwrap();
    assert_eq!(
        (dotted.as_str(), dotted.bare()),
        ("example.com/x", "example.com")
    );
}

#[test]
fn makes_bare_full_and_domain_forms_of_each_other() {
    let full = Jid::parse("juliet@example.com/balcony").unwrap();
    let bare = full.to_bare();
    assert_eq!(bare, BareJid::parse("juliet@example.com").unwrap());
    assert_eq!(
        (bare.local(), bare.domain()),
        (Some("juliet"), "example.com")
    );
    assert_eq!(
        bare.with_resource(&Resource::parse("balcony").unwrap()),
        full
    );
    assert_eq!(
        parts(&Jid::from(bare.clone())),
        (Some("juliet"), "example.com", None)
    );
    assert_eq!(Jid::from(bare.clone()).to_bare(), bare);

    let domain = Domain::parse("Example.COM").unwrap();
    assert_eq!(BareJid::new("Juliet", &domain), Ok(bare.clone()));
    assert_eq!(BareJid::new("", &domain), Err(JidError::Local));
    assert_eq!(BareJid::new("a@b", &domain), Err(JidError::Local));
    assert_eq!(bare.to_domain(), domain);

    let host = BareJid::of_domain(&domain);
    assert_eq!(
        (host.local(), host.domain(), host.as_str()),
        (None, "example.com", "example.com")
    );
    assert_eq!(host.to_domain(), domain);
    let at_host = host.with_resource(&Resource::parse("x").unwrap());
    assert_eq!(parts(&at_host), (None, "example.com", Some("x")));
    assert_eq!(at_host.to_bare(), host);
}

#[test]
fn a_bare_address_has_no_resource() {
    assert_eq!(BareJid::parse("a@b/c"), Err(JidError::Resource));
    assert_eq!(BareJid::parse("a@b/"), Err(JidError::Resource));
}

#[test]
fn equality_order_and_hash_are_those_of_the_text() {
    let texts = ["a.b", "a@b", "a@b/B", "a@b/a", "b", "b/a"];
    let mut jids: Vec<Jid> = texts.iter().rev().map(|t| Jid::parse(t).unwrap()).collect();
    jids.sort();
    assert!(jids.iter().map(Jid::as_str).eq(texts));
    assert_eq!(Jid::parse("A@B/c"), Jid::parse("a@b./c"));
    assert_ne!(Jid::parse("a@b/c"), Jid::parse("a@b/C"));

    // Maps are asked by text, without an address being made.
    let bare = BareJid::parse("a@b").unwrap();
    assert_eq!(BTreeMap::from([(bare.clone(), 1)]).get("a@b"), Some(&1));
    assert!(HashSet::from([bare]).contains(Jid::parse("a@b/c").unwrap().bare()));
}

#[test]
fn a_part_has_1_to_1023_bytes_after_preparation() {
    for (longest, longer) in [
        ("a".repeat(1023), "a".repeat(1024)),
        ("\u{df}".repeat(511), "\u{df}".repeat(512)),
    ] {
        assert!(localpart(&longest).is_ok() && resourcepart(&longest).is_ok());
        assert_eq!(localpart(&longer), Err(JidError::Local));
        assert_eq!(resourcepart(&longer), Err(JidError::Resource));
    }
    // Bytes count after mapping: three of a fullwidth letter become one.
    assert_eq!(
        localpart(&"\u{ff41}".repeat(1023)).unwrap(),
        "a".repeat(1023)
    );
    assert_eq!(localpart(&"\u{ff41}".repeat(1024)), Err(JidError::Local));

    let (label, local) = ("d".repeat(61), "l".repeat(1023));
    let domain = [&*label; 4].join(".");
    let resource = "r".repeat(1023);
    let jid = Jid::parse(&format!("{local}@{domain}/{resource}")).unwrap();
    assert_eq!(parts(&jid), (Some(&*local), &*domain, Some(&*resource)));
}

/// RFC 7622 §3.3.1, also where the width mapping of RFC 8265 §3.3.1 brings them forth.
#[test]
fn a_localpart_excludes_what_the_rfc_names() {
    for c in "\"&'/:<>@ \u{ff20}\u{ff0f}\u{ff1a}\u{7f}\u{0}\n".chars() {
        assert_eq!(localpart(&format!("a{c}b")), Err(JidError::Local), "{c:?}");
    }
    let allowed: String = ('!'..='~').filter(|&c| !"\"&'/:<>@".contains(c)).collect();
    assert_eq!(localpart(&allowed).unwrap(), allowed.to_ascii_lowercase());
}

#[test]
fn a_localpart_is_mapped_by_case_and_width_and_composed() {
    for (text, prepared) in [
        ("Ｊｕｌｉｅｔ", "juliet"),
        ("ÄÖÜ", "äöü"),
        ("a\u{308}", "\u{e4}"),
        ("ИВАН", "иван"),
        ("ﾃｽﾄ", "テスト"),
        ("שלום", "שלום"),
    ] {
        assert_eq!(localpart(text).unwrap(), prepared, "{text}");
    }
    // The Bidi Rule (RFC 5893 §2), a compatibility character, a control, a format character.
    for text in ["abcש", "ﬁ", "é\u{7}", "e\u{301}\u{200b}", "é x"] {
        assert_eq!(localpart(text), Err(JidError::Local), "{text:?}");
    }
}

/// U+13A0 is mapped to U+AB70, which the older tables do not know.
#[test]
fn letters_whose_mapping_is_no_fixed_point_are_refused() {
    assert_eq!(localpart("\u{13a0}"), Err(JidError::Local));
    assert_eq!(localpart("\u{ab70}"), Err(JidError::Local));
}

#[test]
fn a_resource_keeps_its_case_and_takes_symbols_old_and_new() {
    for text in [
        "Phone",
        "phone 🤖",
        "🥰",
        "🫠☃🫠",
        "₿",
        "😀",
        "é 🤖 ☃",
        "👍🏽",
        "🇩🇪",
        "日本・語🤖",
    ] {
        assert_eq!(resourcepart(text).unwrap(), text);
    }
    for (text, prepared) in [
        ("a\u{a0}b", "a b"),
        ("🤖e\u{301}☃🫠", "🤖\u{e9}☃🫠"),
        ("\u{3000}", " "),
    ] {
        assert_eq!(resourcepart(text).unwrap(), prepared);
    }
    // A joiner without its context, a variation selector, controls, a private and an unassigned code point.
    for text in [
        "👨\u{200d}👩",
        "❤\u{fe0f}",
        "a\tb",
        "\u{85}",
        "\u{e000}",
        "🤖\u{378}",
        "\u{feff}",
    ] {
        assert_eq!(resourcepart(text), Err(JidError::Resource), "{text:?}");
    }
}

#[test]
fn a_domain_is_lower_case_letters_digits_and_hyphens() {
    for (text, prepared) in [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("localhost", "localhost"),
        ("xn.n-x.1", "xn.n-x.1"),
        ("192.0.2.1", "192.0.2.1"),
    ] {
        assert_eq!(domainpart(text).unwrap(), prepared);
    }
    let long = "a".repeat(64);
    for text in [
        "", ".", "..", "a..b", ".a", "a..", "-a", "a-", "a.-b", "a_b", "a b", "ab--cd", "a:5222",
        "a*", &long, "é_x", "a%b", "[", "]", "a\u{0}",
    ] {
        assert_eq!(domainpart(text), Err(JidError::Domain), "{text}");
    }
    let full = [
        &*"a".repeat(63),
        &"b".repeat(63),
        &"c".repeat(63),
        &"d".repeat(61),
    ]
    .join(".");
    assert_eq!(domainpart(&full).unwrap(), full);
    assert_eq!(domainpart(&format!("{full}d")), Err(JidError::Domain));
}

/// RFC 7622 §3.2.1: A-labels become U-labels.
#[test]
fn an_internationalised_domain_is_kept_as_u_labels() {
    for (text, prepared) in [
        ("BÜCHER.example", "bücher.example"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("XN--BCHER-KVA.example.", "bücher.example"),
        ("fa\u{df}.de", "fa\u{df}.de"),
        ("xn--fa-hia.de", "fa\u{df}.de"),
        ("例え。テスト", "例え.テスト"),
        ("ＥＸＡＭＰＬＥ.com", "example.com"),
        ("col·lecció.cat", "col·lecció.cat"),
    ] {
        assert_eq!(domainpart(text).unwrap(), prepared, "{text}");
    }
    for text in [
        "xn--",
        "xn--a",
        "xn--bcher-kva-.example",
        "☃.example",
        "xn--n3h.example",
        "é..example",
        "é。",
        "-é.example",
        "a\u{200d}é",
        &"é".repeat(64),
        "xn--80ak6aa92e\u{0}",
    ] {
        assert_eq!(domainpart(text), Err(JidError::Domain), "{text}");
    }
}

#[test]
fn an_ipv6_address_is_bracketed_and_canonical() {
    for (text, prepared) in [
        ("[::1]", "[::1]"),
        ("[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]"),
        ("[::ffff:192.0.2.1].", "[::ffff:192.0.2.1]"),
    ] {
        assert_eq!(domainpart(text).unwrap(), prepared);
    }
    for text in [
        "::1",
        "[::1",
        "[]",
        "[192.0.2.1]",
        "[fe80::1%25eth0]",
        "[v1.x]",
        "[[::1]]",
        "[::1]:5222",
    ] {
        assert_eq!(domainpart(text), Err(JidError::Domain), "{text}");
    }
    let jid = Jid::parse("a@[2001:DB8::0:1]/r").unwrap();
    assert_eq!(parts(&jid), (Some("a"), "[2001:db8::1]", Some("r")));
}

/// Each of these looks at the whole part; a thousand of them must not.
#[test]
fn rules_of_context_have_a_bound() {
    let digits = "\u{660}".repeat(64);
    assert_eq!(resourcepart(&digits).unwrap(), digits);
    let many = format!("{}ア", "・".repeat(340));
    assert_eq!(resourcepart(&many), Err(JidError::Resource));
}

/// Text in which the rules meet: separators, case, width, marks, context, new symbols, A-labels.
fn awkward() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{1,4}",
        "\\PC{1,3}",
        any::<char>().prop_map(|c| c.to_string()),
        prop::sample::select(
            &[
                "@",
                "/",
                ".",
                "xn--",
                "xn--bcher-kva",
                "A",
                "ß",
                "ẞ",
                "Σ",
                "ς",
                "İ",
                "ı",
                "ǅ",
                "ǆ",
                "Ꭰ",
                "ꭰ",
                "ᏸ",
                "e\u{301}",
                "\u{323}\u{307}",
                "\u{345}",
                "ＡＢ",
                "ｶﾞ",
                "・",
                "l·l",
                "\u{200d}",
                "\u{94d}",
                "\u{660}",
                "\u{6f0}",
                "א",
                "ب",
                "🤖",
                "🫠",
                "☃",
                "₿",
                "\u{fe0f}",
                "\u{a0}",
                "。",
                "Å",
                "[::1]",
                "각",
                "\u{1112}",
                "\u{16d63}\u{16d67}",
            ][..]
        )
        .prop_map(String::from),
    ];
    prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn preparing_twice_is_preparing_once(text in awkward()) {
        for part in [localpart, domainpart, resourcepart] {
            if let Ok(once) = part(&text) {
                prop_assert_eq!(part(&once), Ok(once.clone()));
            }
        }
    }

    #[test]
    fn parsing_an_address_again_gives_the_same(local in awkward(), domain in awkward(), resource in awkward()) {
        for text in [format!("{local}@{domain}/{resource}"), format!("a@b.c/{resource}"), format!("{local}@b"), domain] {
            let Ok(jid) = Jid::parse(&text) else { continue };
            let again = Jid::parse(jid.as_str()).unwrap();
            prop_assert_eq!(parts(&again), parts(&jid));
            prop_assert_eq!(&again, &jid);
            prop_assert_eq!(join(jid.local(), jid.domain(), jid.resource()), jid.as_str());
            prop_assert_eq!(join(jid.local(), jid.domain(), None), jid.bare());
            prop_assert!(jid.as_str().len() <= 3071);
        }
    }

    #[test]
    fn every_ascii_address_is_what_its_parts_are(
        local in "[!#-%(-.0-9;=?A-Z\\[-~]{1,9}", domain in "[a-zA-Z0-9]{1,9}(\\.[a-z0-9]{1,3}){0,2}", resource in "[ -~]{1,9}",
    ) {
        let jid = Jid::parse(&format!("{local}@{domain}/{resource}")).unwrap();
        let (local, domain) = (local.to_ascii_lowercase(), domain.to_ascii_lowercase());
        prop_assert_eq!(parts(&jid), (Some(&*local), &*domain, Some(&*resource)));
    }
}

/// Where this fails because the tables of the dependency have changed, the runs of `classes.rs` are those printed here.
#[test]
fn the_classes_are_those_of_the_tables() {
    use precis_profiles::precis_core::{FreeformClass, IdentifierClass, StringClass as _};
    let kinds = [
        "PValid",
        "SpecClassDis",
        "ContextJ",
        "ContextO",
        "Disallowed",
        "Unassigned",
    ];
    let (mut runs, mut last, mut wrong) = (Vec::new(), None, 0);
    for cp in 0..0x11_0000 {
        let (id, free) = (IdentifierClass::default(), FreeformClass::default());
        let value = id.get_value_from_codepoint(cp);
        let right = classes::Identifier.get_value_from_codepoint(cp) == value
            && classes::Freeform.get_value_from_codepoint(cp) == free.get_value_from_codepoint(cp);
        wrong += usize::from(!right);
        if let Some(c) = char::from_u32(cp)
            && classes::Freeform.get_value_from_char(c) != free.get_value_from_char(c)
        {
            // A newer symbol, which no rule maps to anything else.
            assert_eq!(resourcepart(&c.to_string()).as_deref(), Ok(&*c.to_string()));
        }
        let kind = kinds.iter().position(|name| format!("{value:?}") == *name);
        if kind != last {
            runs.push(format!(
                "{:#x}",
                cp << 3 | u32::try_from(kind.unwrap()).unwrap()
            ));
            last = kind;
        }
    }
    assert_eq!(wrong, 0, "{}", runs.join(", "));
}

/// What writes addresses into XML looks at the resource alone (`stanza/mod.rs`).
#[test]
fn nothing_that_xml_reserves_stands_before_the_resource() {
    let reserved = "&<'\"\u{FFFE}\u{FFFF}".chars();
    for c in ('\0'..=' ').chain(reserved) {
        for address in [format!("a{c}b@localhost"), format!("a@b{c}c")] {
            if let Ok(jid) = Jid::parse(&address) {
                assert!(!jid.as_str().contains(c), "{jid:?}");
            }
        }
    }
}
