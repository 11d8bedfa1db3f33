//! What a client answers to a digest-challenge: directives and their values (RFC 2831 §2.1.2, §7.1).

use alloc::borrow::ToOwned as _;
use alloc::string::String;

/// §2.1.2: "The size of a digest-response MUST be less than 4096 bytes".
const RESPONSE_BYTES: usize = 4096;

/// Of no nonce more than the first request is taken: §2.2 is for those that keep them.
pub(super) const FIRST: &str = "00000001";

/// A digest-response, as far as it is of use here.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) username: String,
    pub(super) realm: String,
    pub(super) nonce: String,
    pub(super) cnonce: String,
    pub(super) uri: String,
    /// 32 hexadecimal digits in lower case.
    pub(super) response: String,
    pub(super) authzid: Option<String>,
}

impl Response {
    /// Reads one. `None` for anything that is none, or that wants something else than `auth` in UTF-8.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut found: [Option<String>; NAMES.len()] = Default::default();
        if text.len() >= RESPONSE_BYTES {
            return None;
        }
        let mut rest = text;
        loop {
            // §7.1: elements of a list may be empty, and white space stands anywhere between.
            rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
            if rest.is_empty() {
                break;
            }
            let (name, behind) = rest.split_once('=')?;
            let (value, behind) = value(behind.trim_start_matches(WHITE))?;
            rest = behind.trim_start_matches(WHITE);
            if !rest.is_empty() && !rest.starts_with(',') {
                return None;
            }
            let name = name.trim_end_matches(WHITE);
            let place = NAMES
                .iter()
                .position(|known| name.eq_ignore_ascii_case(known));
            // "The server MUST ignore any unrecognized directive" (auth-param). What counts is said once.
            if let Some(place) = place.and_then(|place| found.get_mut(place))
                && place.replace(value).is_some()
            {
                return None;
            }
        }
        let [
            username,
            realm,
            nonce,
            cnonce,
            uri,
            response,
            authzid,
            nc,
            qop,
            charset,
        ] = found;
        let is_auth = qop.is_none_or(|qop| qop == "auth");
        let is_utf8 = charset.is_some_and(|charset| charset.eq_ignore_ascii_case("utf-8"));
        let is_ascii = username.as_ref()?.is_ascii();
        let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        let response = response?;
        let fits = nc? == FIRST
            && is_auth
            && (is_utf8 || is_ascii)
            && response.len() == 32
            && response.bytes().all(is_hex);
        fits.then_some(())?;
        Some(Self {
            username: username.filter(|name| !name.is_empty())?,
            // Without one it is none (§2.1.2.1).
            realm: realm.unwrap_or_default(),
            nonce: nonce?,
            cnonce: cnonce.filter(|nonce| !nonce.is_empty())?,
            uri: uri?,
            response,
            authzid: authzid.filter(|id| !id.is_empty()),
        })
    }
}

const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];

const NAMES: [&str; 10] = [
    "username",
    "realm",
    "nonce",
    "cnonce",
    "digest-uri",
    "response",
    "authzid",
    "nc",
    "qop",
    "charset",
];

/// A token or a quoted string, and what stands behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .find(|c| c == ',' || WHITE.contains(&c))
            .unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end)?;
        let is_token = !token.is_empty() && !token.contains(['"', '\\']);
        return is_token.then(|| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "d388dad90d4bbd760a152321f2143af7";

    fn with(change: &str, to: &str) -> Option<Response> {
        let text = alloc::format!(
            "charset=utf-8,username=\"chris\",realm=\"a.example\",nonce=\"n\",nc=00000001,cnonce=\"c\",digest-uri=\"xmpp/a.example\",\
             response={HEX},qop=auth"
        );
        assert!(text.contains(change), "{change}");
        Response::parse(&text.replace(change, to))
    }

    #[test]
    fn directives_come_in_any_order_case_and_spacing_and_unknown_ones_are_ignored() {
        let read = with("", "").unwrap();
        assert_eq!(
            (&read.username[..], &read.realm[..]),
            ("chris", "a.example")
        );
        assert_eq!((&read.nonce[..], &read.cnonce[..]), ("n", "c"));
        assert_eq!((&read.uri[..], &read.response[..]), ("xmpp/a.example", HEX));
        for (from, to) in [
            ("charset=utf-8,", "CharSet = \"UTF-8\" , ,\tmaxbuf=65536,"),
            ("qop=auth", "qop=\"auth\",x=y,authzid=\"\","),
            (",qop=auth", ""),
            ("charset=utf-8,", ""),
        ] {
            let read = with(from, to).unwrap();
            assert_eq!((&read.username[..], read.authzid), ("chris", None));
        }
        let read = with("\"chris\"", "\"c\\\"h\\\\r=,is\"").unwrap();
        assert_eq!(read.username, "c\"h\\r=,is");
    }

    #[test]
    fn what_is_missing_doubled_or_of_another_kind_makes_it_none() {
        for (from, to) in [
            ("username=\"chris\",", ""),
            ("\"chris\"", "\"\""),
            ("nonce=\"n\",", ""),
            ("cnonce=\"c\",", ""),
            ("cnonce=\"c\"", "cnonce=\"\""),
            ("nc=00000001,", ""),
            ("nc=00000001", "nc=00000002"),
            ("digest-uri=\"xmpp/a.example\",", ""),
            ("qop=auth", "qop=auth-int"),
            ("qop=auth", "qop=auth,qop=auth"),
            ("qop=auth", "nonce=\"n\""),
            ("charset=utf-8", "charset=iso-8859-1,username"),
            ("d388", "D388"),
            ("d388", "d38"),
            (HEX, ""),
            ("\"chris\"", "\"chris"),
            ("\"chris\"", "chr\"is"),
            ("\"chris\",", "\"chris\" "),
            ("charset=utf-8", "charset"),
        ] {
            assert!(with(from, to).is_none(), "{from} {to}");
        }
        // Without a charset it is ISO 8859-1, of which only ASCII is told apart from UTF-8.
        assert!(
            with(
                "charset=utf-8,username=\"chris\"",
                "username=\"chr\u{ef}s\""
            )
            .is_none()
        );
        assert!(with("\"chris\"", "\"chr\u{ef}s\"").is_some());
        assert!(with("qop=auth", &alloc::format!("x={}", "y".repeat(4096))).is_none());
        assert!(Response::parse("").is_none());
    }
}
