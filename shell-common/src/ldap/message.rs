//! The few messages of LDAP that it takes to verify a password (RFC 4511 §4).

use super::ber::{self, Bytes, ENUMERATED, INTEGER, Malformed, OCTETS, Reader, SEQUENCE};
use super::filter::Names;
use super::{Filter, Scope};

const VERSION: u32 = 3;
const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const UNBIND_REQUEST: u8 = 0x42;
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED_REQUEST: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;
/// RFC 4511 §4.14.1.
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// RFC 4511 §4.5.1.8: no attributes.
const NO_ATTRIBUTES: &str = "1.1";

/// A message with this number.
fn message(number: u32, operation: Bytes) -> Bytes {
    ber::made_of(SEQUENCE, &[ber::number(INTEGER, number), operation])
}

/// A simple bind (RFC 4511 §4.2), anonymous if both are empty.
pub(super) fn bind(number: u32, name: &str, password: &[u8]) -> Bytes {
    let parts = [
        ber::number(INTEGER, VERSION),
        ber::text(name),
        ber::element(0x80, password),
    ];
    message(number, ber::made_of(BIND_REQUEST, &parts))
}

pub(super) fn unbind(number: u32) -> Bytes {
    message(number, ber::element(UNBIND_REQUEST, &[]))
}

pub(super) fn start_tls(number: u32) -> Bytes {
    let name = ber::element(0x80, START_TLS);
    message(number, ber::made_of(EXTENDED_REQUEST, &[name]))
}

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    pub(super) base: &'a str,
    pub(super) scope: Scope,
    pub(super) filter: &'a Filter,
    pub(super) names: Names<'a>,
    /// That the server may take.
    pub(super) seconds: u32,
}

/// Entries that are asked for: one more than there should be.
pub(super) const ENTRIES: u32 = 2;

pub(super) fn search(number: u32, search: &Search<'_>) -> Bytes {
    let scope = match search.scope {
        Scope::Base => 0,
        Scope::OneLevel => 1,
        Scope::Subtree => 2,
    };
    let parts = [
        ber::text(search.base),
        ber::number(ENUMERATED, scope),
        // Aliases are not followed.
        ber::number(ENUMERATED, 0),
        ber::number(INTEGER, ENTRIES),
        ber::number(INTEGER, search.seconds),
        ber::yes(),
        search.filter.encode(search.names),
        ber::made_of(SEQUENCE, &[ber::text(NO_ATTRIBUTES)]),
    ];
    message(number, ber::made_of(SEARCH_REQUEST, &parts))
}

/// An answer, with the number of what it answers; 0 is nobody's.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Answer {
    pub(super) number: u32,
    pub(super) what: What,
}

#[derive(Debug, Eq, PartialEq)]
pub(super) enum What {
    Bound(Outcome),
    /// The name of an entry.
    Entry(String),
    /// To another server, which is not asked.
    Reference,
    Found(Outcome),
    Extended(Outcome),
}

/// How something ended.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Outcome {
    pub(super) code: u32,
    /// The server's own words, for the log.
    pub(super) words: String,
}

/// Reads a whole message.
pub(super) fn read(bytes: &[u8]) -> Result<Answer, Malformed> {
    let mut message = Reader(Reader(bytes).expect(SEQUENCE)?);
    let number = message.number(INTEGER)?;
    let (tag, contents) = message.next()?.ok_or(Malformed)?;
    let mut contents = Reader(contents);
    let what = match tag {
        BIND_RESPONSE => What::Bound(outcome(contents)?),
        SEARCH_ENTRY => What::Entry(text(contents.expect(OCTETS)?)?),
        SEARCH_REFERENCE => What::Reference,
        SEARCH_DONE => What::Found(outcome(contents)?),
        EXTENDED_RESPONSE => What::Extended(outcome(contents)?),
        _ => return Err(Malformed),
    };
    Ok(Answer { number, what })
}

/// A name is sent back as it came, so it must be text.
fn text(bytes: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)
}

fn outcome(mut contents: Reader<'_>) -> Result<Outcome, Malformed> {
    let code = contents.number(ENUMERATED)?;
    contents.expect(OCTETS)?;
    let words = contents.text()?;
    Ok(Outcome { code, words })
}

pub(super) const SUCCESS: u32 = 0;
pub(super) const SIZE_LIMIT_EXCEEDED: u32 = 4;
pub(super) const NO_SUCH_OBJECT: u32 = 32;
pub(super) const INVALID_NAME: u32 = 34;
pub(super) const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
pub(super) const INVALID_CREDENTIALS: u32 = 49;
pub(super) const INSUFFICIENT_ACCESS: u32 = 50;
pub(super) const UNWILLING: u32 = 53;

impl Outcome {
    /// For people: RFC 4511 appendix A has the names.
    pub(super) fn describe(&self) -> String {
        let name = match self.code {
            1 => "operationsError",
            2 => "protocolError",
            3 => "timeLimitExceeded",
            7 => "authMethodNotSupported",
            8 => "strongerAuthRequired",
            10 => "referral",
            11 => "adminLimitExceeded",
            13 => "confidentialityRequired",
            NO_SUCH_OBJECT => "noSuchObject",
            34 => "invalidDNSyntax",
            INAPPROPRIATE_AUTHENTICATION => "inappropriateAuthentication",
            INVALID_CREDENTIALS => "invalidCredentials",
            INSUFFICIENT_ACCESS => "insufficientAccessRights",
            51 => "busy",
            52 => "unavailable",
            UNWILLING => "unwillingToPerform",
            _ => "a result",
        };
        let code = self.code;
        // They may hold anything.
        let words: String = self
            .words
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        match words.is_empty() {
            true => format!("{name} ({code})"),
            false => format!("{name} ({code}): {words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(number: u32, operation: Bytes) -> Bytes {
        message(number, operation)
    }

    fn result(tag: u8, code: u32, words: &str) -> Bytes {
        let parts = [
            ber::number(ENUMERATED, code),
            ber::text(""),
            ber::text(words),
        ];
        ber::made_of(tag, &parts)
    }

    #[test]
    fn requests_are_as_the_rfc_has_them() {
        let bound = [
            &[0x30, 0x13, 2, 1, 7, 0x60, 0x0e, 2, 1, 3, 4, 4][..],
            b"cn=a",
            &[0x80, 3],
            b"abc",
        ]
        .concat();
        assert_eq!(*bind(7, "cn=a", b"abc"), bound);
        assert_eq!(
            *bind(1, "", b""),
            [0x30, 12, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0]
        );
        assert_eq!(*unbind(9), [0x30, 5, 2, 1, 9, 0x42, 0]);
        let names = Names {
            user: "u",
            host: "h",
        };
        let filter = Filter::default();
        let asked = search(
            2,
            &Search {
                base: "dc=a",
                scope: Scope::OneLevel,
                filter: &filter,
                names,
                seconds: 5,
            },
        );
        let expected = [
            &[0x30, 0x2b, 2, 1, 2, 0x63, 0x26, 4, 4][..],
            b"dc=a",
            &[10, 1, 1, 10, 1, 0, 2, 1, 2, 2, 1, 5, 1, 1, 0xff],
            &[0xa3, 8, 4, 3],
            b"uid",
            &[4, 1],
            b"u",
            &[0x30, 5, 4, 3],
            b"1.1",
        ]
        .concat();
        assert_eq!(*asked, expected);
    }

    #[test]
    fn answers_are_read_with_what_they_answer() {
        let read = |bytes: &Bytes| read(bytes).unwrap();
        let bound = read(&answer(3, result(BIND_RESPONSE, 49, "no")));
        assert_eq!(bound.number, 3);
        let What::Bound(outcome) = bound.what else {
            panic!("{bound:?}");
        };
        assert_eq!(outcome.describe(), "invalidCredentials (49): no");
        let entry = [ber::text("uid=j,dc=a"), ber::made_of(SEQUENCE, &[])];
        let entry = read(&answer(4, ber::made_of(SEARCH_ENTRY, &entry)));
        assert_eq!(entry.what, What::Entry("uid=j,dc=a".to_owned()));
        let reference = ber::made_of(SEARCH_REFERENCE, &[ber::text("ldap://b")]);
        assert_eq!(read(&answer(4, reference)).what, What::Reference);
        let done = read(&answer(4, result(SEARCH_DONE, 0, "")));
        assert!(matches!(
            done.what,
            What::Found(Outcome { code: SUCCESS, .. })
        ));
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_malformed() {
        let whole = answer(3, result(BIND_RESPONSE, 0, "words"));
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), Err(Malformed), "{cut}");
        }
        for bytes in [
            answer(1, ber::element(0x50, &[1])),
            answer(1, ber::made_of(BIND_RESPONSE, &[])),
            answer(
                1,
                ber::made_of(SEARCH_ENTRY, &[ber::element(OCTETS, &[0xff])]),
            ),
            ber::element(SEQUENCE, &[]),
        ] {
            assert_eq!(read(&bytes), Err(Malformed));
        }
        let odd = Outcome {
            code: 80,
            words: "a\u{1b}[31m\nline".to_owned(),
        };
        assert_eq!(odd.describe(), "a result (80): a[31mline");
    }
}
