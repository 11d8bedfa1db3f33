//! What braces mean in a transcript: bytes to write, and patterns to compare with.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::element::{Content, Element};

/// What patterns have matched in this case so far.
pub(super) type Names = BTreeMap<String, String>;

/// Expands what a client writes.
pub(super) fn expand(text: &str, names: &Names) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        out.extend_from_slice(before.as_bytes());
        let (inside, behind) = split_at_brace(behind).ok_or("a brace without its end")?;
        rest = behind;
        match inside.split_once(':') {
            Some(("base64", text)) => {
                out.extend_from_slice(STANDARD.encode(text.replace("\\0", "\0")).as_bytes());
            }
            Some(("hex", digits)) => {
                for pair in digits.split_whitespace() {
                    out.push(u8::from_str_radix(pair, 16).map_err(|e| e.to_string())?);
                }
            }
            Some(("repeat", what)) => {
                let (count, text) = what.split_once(':').ok_or("{repeat:N:TEXT}")?;
                let count = count.parse::<usize>().map_err(|e| e.to_string())?;
                out.extend_from_slice(&expand(text, names)?.repeat(count));
            }
            Some(("each", what)) => out.extend_from_slice(numbered(what)?.as_bytes()),
            _ => {
                let value = names
                    .get(inside)
                    .ok_or_else(|| format!("nothing named {inside}"))?;
                out.extend_from_slice(value.as_bytes());
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// `N:TEXT` N times, with the number in place of `#`.
fn numbered(what: &str) -> Result<String, String> {
    let (count, text) = what.split_once(':').ok_or("{each:N:TEXT}")?;
    let count = count.parse::<usize>().map_err(|e| e.to_string())?;
    let each = (1..=count).map(|number| text.replace('#', &number.to_string()));
    Ok(each.collect())
}

/// Expands what is expected, if as a whole it is `{each:N:…}`.
pub(super) fn each(text: &str) -> Result<String, String> {
    match text.strip_prefix("{each:").and_then(split_at_brace) {
        Some((what, "")) => numbered(what),
        _ => Ok(text.to_owned()),
    }
}

/// Splits behind the brace that ends what was begun before `text`; there may be others in it.
fn split_at_brace(text: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    let end = text.find(|c| {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        open == 0
    })?;
    Some((&text[..end], &text[end + 1..]))
}

/// Compares an element with a pattern, ignoring white space between elements.
pub(super) fn compare(
    pattern: &Element,
    actual: &Element,
    names: &mut Names,
) -> Result<(), String> {
    if (&pattern.ns, &pattern.name) != (&actual.ns, &actual.name) {
        return Err(format!(
            "expected <{}/>, not <{}/>",
            pattern.name, actual.name
        ));
    }
    for (key, value) in &pattern.attributes {
        let found = actual
            .attributes
            .get(key)
            .ok_or_else(|| format!("<{}/> lacks {}", actual.name, key.1))?;
        compare_text(value, found, names)?;
    }
    if let Some(more) = actual
        .attributes
        .keys()
        .find(|key| !pattern.attributes.contains_key(*key))
    {
        return Err(format!("<{}/> has {}", actual.name, more.1));
    }
    compare_content(pattern, actual, names)
}

fn compare_content(pattern: &Element, actual: &Element, names: &mut Names) -> Result<(), String> {
    let wanted = significant(pattern);
    let found = significant(actual);
    if let [Content::Text(text), among @ ..] = wanted.as_slice()
        && text.trim() == "{...}"
    {
        return compare_among(among, &found, names);
    }
    for (index, want) in wanted.iter().enumerate() {
        match (want, found.get(index)) {
            (Content::Text(text), _) if text.trim() == "{...}" => return Ok(()),
            (Content::Element(want), Some(Content::Element(have))) => compare(want, have, names)?,
            (Content::Text(want), Some(Content::Text(have))) => compare_text(want, have, names)?,
            (want, have) => return Err(format!("expected {want:?}, not {have:?}")),
        }
    }
    match found.get(wanted.len()) {
        Some(more) => Err(format!("<{}/> has more: {more:?}", actual.name)),
        None => Ok(()),
    }
}

/// Each element wanted is there, wherever among others.
fn compare_among(wanted: &[&Content], found: &[&Content], names: &mut Names) -> Result<(), String> {
    for want in wanted {
        let Content::Element(want) = want else {
            return Err(format!("only elements stand behind {{...}}: {want:?}"));
        };
        let fits = found.iter().any(|have| match have {
            Content::Element(have) => compare(want, have, names).is_ok(),
            Content::Text(_) => false,
        });
        if !fits {
            return Err(format!("no {want} is there"));
        }
    }
    Ok(())
}

/// Content without white space between elements.
fn significant(element: &Element) -> Vec<&Content> {
    let has_children = element.children().next().is_some();
    element
        .content
        .iter()
        .filter(|content| match content {
            Content::Text(text) => !(has_children && text.trim().is_empty()),
            Content::Element(_) => true,
        })
        .collect()
}

fn compare_text(pattern: &str, actual: &str, names: &mut Names) -> Result<(), String> {
    let name = pattern
        .strip_prefix('{')
        .and_then(|pattern| pattern.strip_suffix('}'));
    let Some(name) = name else {
        return if pattern == actual {
            Ok(())
        } else {
            Err(format!("expected {pattern:?}, not {actual:?}"))
        };
    };
    if name == "?" {
        return Ok(());
    }
    if let Some(address) = name.strip_prefix("of:") {
        let rest = actual.strip_prefix(address);
        return match rest {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Ok(()),
            _ => Err(format!("expected an address of {address}, not {actual:?}")),
        };
    }
    if let Some(name) = name.strip_prefix("new:") {
        if let Some((before, _)) = names.iter().find(|(_, value)| *value == actual) {
            return Err(format!("{{{name}}} is not new, but {{{before}}}"));
        }
        names.insert(name.to_owned(), actual.to_owned());
        return Ok(());
    }
    let before = names
        .entry(name.to_owned())
        .or_insert_with(|| actual.to_owned());
    if before == actual {
        Ok(())
    } else {
        Err(format!("{{{name}}} was {before:?} and is now {actual:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::parse;

    #[test]
    fn expands_base64_bytes_repetitions_and_names() {
        let names = Names::from([("id".to_owned(), "x".to_owned())]);
        let text = "a{base64:\\0b\\0c}{hex:ff 00}{repeat:3:<a>}{repeat:2:[{id}]}{each:2:<b#>}{id}";
        assert_eq!(
            expand(text, &names).unwrap(),
            b"aAGIAYw==\xff\x00<a><a><a>[x][x]<b1><b2>x"
        );
        assert!(expand("{missing}", &names).is_err());
    }

    #[test]
    fn compares_with_wildcards_and_without_white_space_between_elements() {
        let mut names = Names::new();
        let actual = parse("<iq id='7' to='7'><a xmlns='x'>t</a><b/></iq>").unwrap();
        for (pattern, fits) in [
            (
                "<iq id='{i}' to='{i}'> <a xmlns='x'>{?}</a> <b/></iq>",
                true,
            ),
            ("<iq id='7' to='7'>{...}</iq>", true),
            ("<iq id='7' to='7'><a xmlns='x'>t</a>{...}</iq>", true),
            ("<iq id='7' to='7'><a xmlns='x'>t</a></iq>", false),
            ("<iq id='7'>{...}</iq>", false),
            ("<iq id='7' to='7' from='{?}'>{...}</iq>", false),
            ("<iq id='7' to='7'><a>t</a>{...}</iq>", false),
            ("<iq id='8' to='7'>{...}</iq>", false),
            ("<iq id='7' to='{of:7}'>{...}</iq>", true),
            ("<iq id='7' to='7'>{...}<b/></iq>", true),
            ("<iq id='7' to='7'>{...}<c/></iq>", false),
            ("<iq id='7' to='{of:8}'>{...}</iq>", false),
            ("<iq id='{i}' to='{new:j}'>{...}</iq>", false),
        ] {
            let pattern = parse(pattern).unwrap();
            let outcome = compare(&pattern, &actual, &mut names);
            assert_eq!(outcome.is_ok(), fits, "{pattern} {outcome:?}");
        }
        assert_eq!(names["i"], "7");
    }
}
