//! Archives in short: a query in words, and the page that answers it.

use super::fill::{Names, expand};
use crate::element::{Element, escape};

const MAM: &str = "urn:xmpp:mam:2";
const FORWARD: &str = "urn:xmpp:forward:0";
const DELAY: &str = "urn:xmpp:delay";
const RSM: &str = "http://jabber.org/protocol/rsm";

/// The query that such words stand for: `with=JID`, `start=`, `end=`, `before-id=`, `after-id=`, `ids=ID,ID`, `include-groupchat=` in the
/// form, `max=`, `before=`, `after=`, `index=` for its page, and `flip`.
pub(super) fn query(words: &[&str], names: &Names) -> Result<Vec<u8>, String> {
    let (mut fields, mut set, mut flip) = (String::new(), String::new(), "");
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let value = expand(value, names)?;
        let value = escape(&String::from_utf8_lossy(&value));
        match name {
            "with" | "start" | "end" | "before-id" | "after-id" | "ids" | "include-groupchat" => {
                let values = value.split(',').map(|id| format!("<value>{id}</value>"));
                let values: String = values.collect();
                fields += &format!("<field var='{name}'>{values}</field>");
            }
            "max" | "before" | "after" | "index" => set += &format!("<{name}>{value}</{name}>"),
            "flip" => flip = "<flip-page/>",
            _ => return Err(format!("no query has {name}")),
        }
    }
    if !fields.is_empty() {
        fields = format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{MAM}</value></field>{fields}</x>"
        );
    }
    if !set.is_empty() {
        set = format!("<set xmlns='{RSM}'>{set}</set>");
    }
    let query = format!(
        "<iq type='set' id='page'><query xmlns='{MAM}' queryid='page'>{fields}{set}{flip}</query></iq>"
    );
    Ok(query.into_bytes())
}

/// What a page is to be.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The ids of the messages that are still to come, in order; `-` is one without.
    awaited: std::vec::IntoIter<String>,
    /// The archive's ids of those that came.
    came: Vec<String>,
    extent: Extent,
    direction: Direction,
    count: Option<String>,
}

/// Whether there is more behind it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Extent {
    Complete,
    #[default]
    Limited,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Direction {
    Flipped,
    #[default]
    Forward,
}

impl Page {
    /// From words: ids of messages, `N*-` for so many without, `complete`, `flipped`, `count=N`.
    pub(super) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut page = Self::default();
        let mut awaited = Vec::new();
        for word in words {
            match (*word, word.split_once('='), word.split_once('*')) {
                ("complete", ..) => page.extent = Extent::Complete,
                ("flipped", ..) => page.direction = Direction::Flipped,
                (_, Some(("count", count)), _) => page.count = Some(count.to_owned()),
                (_, _, Some((times, id))) => {
                    let times = times.parse::<usize>().map_err(|e| e.to_string())?;
                    awaited.extend(std::iter::repeat_n(id.to_owned(), times));
                }
                (id, ..) => awaited.push(id.to_owned()),
            }
        }
        page.awaited = awaited.into_iter();
        Ok(page)
    }

    /// Takes what came next; says whether it was the last of the page. Where a message has the id `a`, `{a@juliet}` is its id in the
    /// archive of juliet from now on, and `{a@juliet.at}` its time there.
    pub(super) fn take(&mut self, element: &Element, names: &mut Names) -> Result<bool, String> {
        let Some(awaited) = self.awaited.next() else {
            return self.end(element).map(|()| true);
        };
        let result = element.child(MAM, "result");
        let forwarded = result.and_then(|result| result.child(FORWARD, "forwarded"));
        let message = forwarded.and_then(|one| one.children().find(|one| one.name == "message"));
        let (Some(result), Some(forwarded), Some(message)) = (result, forwarded, message) else {
            return Err(format!("expected the archive's {awaited}\n  not {element}"));
        };
        let id = message.attribute("id").unwrap_or("-");
        if id != awaited {
            return Err(format!("expected the archive's {awaited}, not {id}"));
        }
        if result.attribute("queryid") != Some("page") {
            return Err(format!("it does not say of which query it is: {element}"));
        }
        let from = element.attribute("from").ok_or("a result says from whom")?;
        let owner = from.split('@').next().unwrap_or_default();
        let archived = result.attribute("id").ok_or("a result has an id")?;
        let delay = forwarded.child(DELAY, "delay");
        let stamp = delay.and_then(|delay| delay.attribute("stamp"));
        let stamp = stamp.ok_or("a result has a time")?;
        self.came.push(archived.to_owned());
        if id != "-" {
            remember(names, &format!("{id}@{owner}"), archived)?;
            remember(names, &format!("{id}@{owner}.at"), stamp)?;
        }
        Ok(false)
    }

    /// XEP-0313 §4.3: what ends a page.
    fn end(&self, element: &Element) -> Result<(), String> {
        let fin = element.child(MAM, "fin");
        let set = fin.and_then(|fin| fin.child(RSM, "set"));
        let (Some(fin), Some(set)) = (fin, set) else {
            return Err(format!("expected the end of the page\n  not {element}"));
        };
        let text = |name| set.child(RSM, name).map(Element::text);
        let (mut first, mut last) = (self.came.first(), self.came.last());
        if self.direction == Direction::Flipped {
            (first, last) = (last, first);
        }
        let extent = match fin.attribute("complete") {
            Some("true") => Extent::Complete,
            None | Some("false") => Extent::Limited,
            Some(other) => return Err(format!("complete is {other}")),
        };
        let answers =
            element.attribute("type") == Some("result") && element.attribute("id") == Some("page");
        if answers
            && text("first").as_ref() == first
            && text("last").as_ref() == last
            && text("count") == self.count
            && extent == self.extent
        {
            Ok(())
        } else {
            let came = &self.came;
            Err(format!("not the end of the page\n  of {came:?}: {element}"))
        }
    }
}

fn remember(names: &mut Names, name: &str, value: &str) -> Result<(), String> {
    let before = names
        .entry(name.to_owned())
        .or_insert_with(|| value.to_owned());
    if before == value {
        Ok(())
    } else {
        Err(format!("{{{name}}} was {before:?} and is now {value:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::parse;

    #[test]
    fn a_query_in_words_is_a_form_and_a_set() {
        let names = Names::from([("m1@juliet".to_owned(), "x".to_owned())]);
        let made = query(
            &["with=a@b", "ids={m1@juliet},y", "max=2", "before=", "flip"],
            &names,
        );
        let made = String::from_utf8(made.unwrap()).unwrap();
        assert!(made.contains("<field var='ids'><value>x</value><value>y</value></field></x>"));
        let behind = "<set xmlns='http://jabber.org/protocol/rsm'><max>2</max><before></before></set><flip-page/></query></iq>";
        assert!(made.ends_with(behind), "{made}");
        assert!(query(&["what=1"], &names).is_err());
        let bare = query(&[], &names).unwrap();
        assert_eq!(
            bare,
            b"<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2' queryid='page'></query></iq>"
        );
    }

    fn result(id: &str, archived: &str) -> Element {
        let text = format!(
            "<message xmlns='jabber:client' from='juliet@localhost' to='juliet@localhost/a'><result xmlns='{MAM}' queryid='page' \
             id='{archived}'><forwarded xmlns='{FORWARD}'><delay xmlns='{DELAY}' stamp='now'/><message xmlns='jabber:client' \
             id='{id}'/></forwarded></result></message>"
        );
        parse(&text).unwrap()
    }

    fn end(attribute: &str) -> Element {
        let text = format!(
            "<iq xmlns='jabber:client' type='result' id='page'><fin xmlns='{MAM}'{attribute}><set \
             xmlns='{RSM}'><first>1</first><last>2</last></set></fin></iq>"
        );
        parse(&text).unwrap()
    }

    #[test]
    fn a_page_is_its_messages_in_order_and_what_ends_it() {
        let complete = " complete='true'";
        let (a, b) = (|| result("a", "1"), || result("b", "2"));
        for (words, elements, holds) in [
            ("a b complete", [a(), b(), end(complete)], true),
            ("b a flipped", [b(), a(), end("")], true),
            ("b a", [b(), a(), end("")], false),
            ("a b", [a(), b(), end(complete)], false),
            ("a b count=2", [a(), b(), end("")], false),
            ("b a complete", [a(), b(), end(complete)], false),
        ] {
            let mut names = Names::new();
            let words: Vec<&str> = words.split(' ').collect();
            let mut page = Page::parse(&words).unwrap();
            let mut take = |one: &Element| page.take(one, &mut names);
            let taken: Result<Vec<bool>, String> = elements.iter().map(&mut take).collect();
            assert_eq!(taken.is_ok(), holds, "{words:?} {taken:?}");
            if holds {
                assert_eq!(taken.unwrap(), [false, false, true]);
                assert_eq!(names["a@juliet"], "1");
                assert_eq!(names["b@juliet.at"], "now");
            }
        }
    }
}
