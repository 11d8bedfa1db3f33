//! Messages as clients may write them: what is kept and copied of them can be read by itself, and nobody's ids are believed.

use std::net::{Shutdown, TcpStream};

use spec_tests::client::{BindTo, Client, PATIENCE};
use spec_tests::element::{CLIENT, Element, Item, Reader, STREAMS};
use spec_tests::kept::{How, Query, STANZA_ID, Seen, ask, enable_carbons, forwards, ping};
use spec_tests::server::Server;
use spec_tests::talk::plain_auth;
use spondee_core::sasl::{Hash, Mechanism, Plus};

use crate::{Outcome, come_back, message, same, settle, start};

const JULIET: &str = "juliet@localhost";

/// What romeo's stream says of names and language.
const HEADER: &str = "xml:lang='de' xmlns:x='urn:example:x' xmlns:y='urn:example:y'";

fn open_with_header(client: &mut Client) -> Outcome {
    client.send(&format!(
        "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='{CLIENT}' xmlns:stream='{STREAMS}' {HEADER}>"
    ))?;
    match client.next_item(PATIENCE)? {
        Item::Open(_) => client.next(PATIENCE).map(drop),
        other @ (Item::Element(_) | Item::Close) => Err(format!("no header: {other}")),
    }
}

/// A session of romeo's on such a stream.
fn with_header(server: &Server) -> Result<Client, String> {
    let mut client = Client::connect(server.clear, "localhost", &server.trust()?)?;
    open_with_header(&mut client)?;
    client.send(&plain_auth("romeo", "secret"))?;
    let success = client.next(PATIENCE)?;
    if success.name != "success" {
        return Err(format!("not signed in: {success}"));
    }
    client.restarted();
    open_with_header(&mut client)?;
    client.bind(Some("header"))?;
    Ok(client)
}

/// What a message says, without what the server adds.
fn own(message: &Element) -> Vec<String> {
    let added = |child: &&Element| !child.is(STANZA_ID, "stanza-id") && child.name != "delay";
    let own = message.children().filter(added);
    own.map(Element::to_string).collect()
}

/// Start tags and content as clients write them.
const WRITTEN: [&str; 8] = [
    "<message xmlns='jabber:client' type='chat' to='juliet@localhost'><body>a</body><x:a y:b='1'/></message>",
    "<message type='chat' to=\"juliet@localhost\"  id = '&apos;&quot;&lt;'><body xml:lang='fr'>a</body><body>b</body></message >",
    "<c:message xmlns:c='jabber:client' type='chat' to='juliet@localhost'><c:body>a</c:body><c:thread/></c:message>",
    "<message type='chat' to='juliet@localhost' x:y='1' y:x='2'><body>a</body><y:y xmlns:y='urn:other'><y:z/></y:y></message>",
    "<message type='chat' to='juliet@localhost' xml:lang='it'><body>&#x1F600; &amp; &lt;![CDATA[</body><n xmlns=''/></message>",
    "<message type='chat' to='juliet@localhost'><body><![CDATA[<&]]>]]&gt;</body><m xmlns='urn:m'><body xmlns='jabber:client'/></m></message>",
    "<message type='chat' to='Juliet@LOCALHOST'><subject/><body/></message>",
    "<message to='juliet@localhost'><body>a</body></message>",
];

/// The next messages that come to a client.
fn messages(client: &mut Client) -> Result<Vec<Element>, String> {
    let mut messages = Vec::new();
    while messages.len() < WRITTEN.len() {
        let stanza = client.next(PATIENCE)?;
        messages.extend((stanza.name == "message").then_some(stanza));
    }
    Ok(messages)
}

/// As it is on a stream like romeo's.
fn parse(stanza: &str) -> Result<Element, String> {
    let mut reader = Reader::new();
    let header = format!("<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}' {HEADER}>");
    reader.push((header + stanza).as_bytes());
    reader.next_item()?;
    match reader.next_item()? {
        Some(Item::Element(element)) => Ok(element),
        other => Err(format!("{stanza}: {other:?}")),
    }
}

/// Live, as a copy, owed and in both archives it is the same, whatever its start tag and its stream say.
#[test]
fn what_is_kept_is_what_was_written_whatever_declares_its_names() -> Outcome {
    let options = "allow_unencrypted_plain_auth = true\n";
    let (server, door) = start(&["romeo", "juliet", "nurse"], options)?;
    let mut romeo = with_header(&server)?;
    let mut watch = door.device("romeo", "watch")?;
    enable_carbons(&mut watch)?;
    romeo.send(&WRITTEN.concat())?;
    settle(&mut romeo, JULIET)?;
    let inner = |copy: &Element| {
        let forwarded = copy.children().next()?.children().next()?;
        forwarded.child(CLIENT, "message").cloned()
    };
    let copies: Option<Vec<_>> = messages(&mut watch)?.iter().map(inner).collect();
    let copies = copies.ok_or("not copies")?;
    let (his, _) = forwards(&mut watch, None, &Query::new().max(3))?;
    let (hers, _) = forwards(&mut door.device("juliet", "a")?, None, &Query::new().max(3))?;
    let mut juliet = door.device("juliet", "balcony")?;
    juliet.send("<presence/>")?;
    let owed = messages(&mut juliet)?;
    for (index, stanza) in WRITTEN.into_iter().enumerate() {
        let plain = parse(stanza)?;
        for (place, found) in [
            ("copied", &copies[index]),
            ("in his archive", &his[index].message),
            ("in her archive", &hers[index].message),
            ("owed", &owed[index]),
        ] {
            let lang = plain.attribute("xml:lang").or(Some("de"));
            let from = found.attribute("from");
            assert_eq!(own(found), own(&plain), "{place}: {stanza}");
            assert_eq!(found.attribute("xml:lang"), lang, "{place}: {stanza}");
            assert_eq!(found.attribute("id"), plain.attribute("id"), "{place}");
            assert_eq!(from, Some("romeo@localhost/header"), "{place}: {stanza}");
        }
    }
    Ok(())
}

/// Ids of an archive that are none, in all spellings.
fn forged(by: &str) -> [String; 6] {
    let (dressed, upper) = (by.replace('@', "&#x40;"), by.to_uppercase());
    [
        format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='forged'/>"),
        format!("<s:stanza-id xmlns:s='urn:xmpp:sid:0' id='forged' by='{by}'/>"),
        format!(
            "<stanza-id xmlns='urn:xmpp:sid:&#48;' by=\"{by}\" id='forged'><stanza-id by='{by}' id='forged'/></stanza-id>"
        ),
        format!("<stanza-id by='{dressed}' xmlns='urn:xmpp:sid:0' id='forged'></stanza-id>"),
        format!("<stanza-id by='{upper}' xmlns='urn:xmpp:sid:0' id='forged'/>"),
        format!(
            "<stanza-id by='{by}' x='x' xmlns='urn:xmpp:sid:0' id='forged'/><stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='forged'/>"
        ),
    ]
}

/// XEP-0359 §4: ids by the account that somebody else made up reach nobody, in whatever spelling and place.
#[test]
fn forged_ids_of_an_archive_reach_nobody() -> Outcome {
    const ROMEO: &str = "romeo@localhost";
    let (_server, door) = start(&["romeo", "juliet", "nurse"], "")?;
    let mut romeo = door.device("romeo", "orchard")?;
    let mut watch = door.device("romeo", "watch")?;
    enable_carbons(&mut watch)?;
    let mut juliet = door.device("juliet", "balcony")?;
    juliet.send("<presence/>")?;
    ask(&mut juliet, "here", &ping("here"), |_| Ok(()))?;
    let mut all = Vec::new();
    for to in [JULIET, "juliet@localhost/balcony"] {
        for by in [JULIET, ROMEO] {
            for id in forged(by) {
                for content in [format!("{id}<body>a</body>"), format!("<body>a</body>{id}")] {
                    for kind in ["chat", "normal", "headline"] {
                        let stanza =
                            format!("<message type='{kind}' to='{to}'>{content}</message>");
                        all.push((kind, by, stanza));
                    }
                }
            }
        }
    }
    for (kind, by, stanza) in all {
        romeo.send(&stanza)?;
        let came = juliet.next(PATIENCE)?;
        let ids = came.children().filter(|child| child.name == "stanza-id");
        let hers = usize::from(kind != "headline");
        assert_eq!(ids.count(), hers, "{stanza}: {came}");
        assert!(!came.to_string().contains("forged"), "{stanza}: {came}");
        if kind != "headline" {
            // What she would be told is none of his archive's, and his to write.
            let copy = watch.next(PATIENCE)?.to_string();
            assert!(by != ROMEO || !copy.contains("forged"), "{stanza}: {copy}");
        }
    }
    let mut archive = door.device("juliet", "archive")?;
    let (entries, _) = forwards(&mut archive, None, &Query::new().max(256))?;
    assert!(!entries.is_empty());
    let bad = entries
        .iter()
        .find(|entry| entry.message.to_string().contains("forged"));
    assert_eq!(bad, None);
    Ok(())
}

/// A session of romeo's, and its socket.
fn with_socket(server: &Server) -> Result<(Client, TcpStream), String> {
    let fault = |e: std::io::Error| e.to_string();
    let socket = TcpStream::connect(server.clear).map_err(fault)?;
    let same = socket.try_clone().map_err(fault)?;
    let mut client = Client::over(socket, "localhost", &server.trust()?)?;
    client.open()?;
    let mechanism = Mechanism::Scram(Hash::Sha1, Plus::No);
    client.sign_in("romeo", "secret", mechanism, BindTo::Exporter)?;
    client.bind(Some("orchard"))?;
    Ok((client, same))
}

/// What a client writes behind a query is done, though its stream or its connection ends before the store has answered.
#[test]
fn what_stands_behind_a_query_is_not_lost_when_the_client_goes() -> Outcome {
    let (server, door) = start(&["romeo", "juliet", "nurse"], "")?;
    let mut filler = door.device("romeo", "filler")?;
    let stanzas: Vec<_> = (0..300)
        .map(|number| message("nurse@localhost", "1", &number.to_string()))
        .collect();
    crate::write_all(&mut filler, &stanzas)?;
    let query = Query::new().before("").request("q");
    let mut wanted = Vec::new();
    for number in 0..crate::long(200, 40) {
        let (mut romeo, socket) = with_socket(&server)?;
        let text = format!("text {number}");
        let words = query.repeat(1 + number % 5) + &message(JULIET, "1", &text);
        match number % 3 {
            0 => romeo.send(&(words + "</stream:stream>"))?,
            1 => {
                romeo.send(&words)?;
                socket
                    .shutdown(Shutdown::Write)
                    .map_err(|e| e.to_string())?;
            }
            _ => {
                romeo.send(&words)?;
                settle(&mut romeo, JULIET)?;
                romeo.send("</stream:stream>")?;
            }
        }
        // Who closes a socket without reading what came loses what it wrote to its own system.
        while romeo
            .next_item(PATIENCE)
            .is_ok_and(|item| item != Item::Close)
        {}
        wanted.push(text);
    }
    let mut nurse = door.device("nurse", "x")?;
    // Whatever was on its way has come by the time that somebody else has signed in and gone.
    for _ in 0..3 {
        door.device("romeo", "orchard")?.close()?;
    }
    let mut juliet = door.device("juliet", "balcony")?;
    let seen = come_back(&mut juliet, "juliet@localhost/balcony", &mut nurse)?;
    let mut came: Vec<String> = seen.into_iter().map(|seen| seen.body).collect();
    came.sort();
    wanted.sort();
    same(&came, &wanted)
}

/// One that another account made up for a copy is no copy (XEP-0280 §11), and reaches nobody as one.
#[test]
fn who_makes_up_a_copy_is_seen_as_who_it_is() -> Outcome {
    let (_server, door) = start(&["romeo", "juliet"], "")?;
    let mut romeo = door.device("romeo", "orchard")?;
    let mut juliet = door.device("juliet", "balcony")?;
    juliet.send("<presence/>")?;
    ask(&mut juliet, "here", &ping("here"), |_| Ok(()))?;
    let inner = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='juliet@localhost/x' to='nurse@localhost' type='chat'><body>a</body></message></forwarded>";
    romeo.send(&format!("<message from='{JULIET}' to='{JULIET}/balcony' type='chat'><sent xmlns='urn:xmpp:carbons:2'>{inner}</sent></message>"))?;
    let came = juliet.next(PATIENCE)?;
    assert_eq!(came.attribute("from"), Some("romeo@localhost/orchard"));
    assert!(
        Seen::read(&came, JULIET).is_err_and(|fault| fault.contains("a copy that is not from"))
    );
    // She sends herself one: it is hers, and an honest message.
    romeo.send(&message("juliet@localhost/balcony", "1", "b"))?;
    let came = juliet.next(PATIENCE)?;
    let seen = Seen::read(&came, JULIET)?.ok_or("no message")?;
    assert_eq!(seen.how, How::Live);
    Ok(())
}
