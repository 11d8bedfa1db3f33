//! `spondee user show`: one account for people and for programs.
//!
//! Clients choose much of it. What a terminal would obey, or not show where it stands, is written as an escape.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use spondee_core::jid::BareJid;
use spondee_core::port::{Availability, Contacts, Device, LastActivity, Line, UserDetails};
use spondee_core::sasl::{Form as Kept, Status};

use crate::cli::args::Form;
use crate::control::Details;
use crate::visible::{is_plain, visible};

/// Writes what there is to know. `aside` follows what is said first.
pub(super) fn write(
    account: &BareJid,
    details: UserDetails,
    aside: &str,
    form: Form,
    out: &mut dyn Write,
) -> io::Result<()> {
    match form {
        Form::Text => out.write_all(text(account, &details, aside).as_bytes()),
        Form::Json => writeln!(out, "{}", json(account, details)?),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    jid: &'a str,
    #[serde(flatten)]
    details: Details,
}

fn json(account: &BareJid, details: UserDetails) -> io::Result<String> {
    let shown = Shown {
        jid: account.as_str(),
        details: details.into(),
    };
    let plain = serde_json::to_string_pretty(&shown)?;
    let mut json = String::with_capacity(plain.len());
    for c in plain.chars() {
        // Line feeds and spaces between values are all that is not a sign and stands outside a string.
        if c == '\n' || is_plain(c) {
            json.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{unit:04x}");
            }
        }
    }
    Ok(json)
}

fn text(account: &BareJid, details: &UserDetails, aside: &str) -> String {
    let status = match details.status {
        Status::Enabled => "enabled",
        Status::Disabled => "disabled",
    };
    let contacts = counted(details.contacts.count(), "contact");
    let devices = of_devices(&details.devices);
    let mut text = format!("{account} is {status} and has {contacts}{aside}\n");
    text.push_str(match details.password {
        Kept::Hashed => "keys of its password are kept\n",
        Kept::PartlyHashed => "keys of its password are kept, but not for each SCRAM mechanism\n",
        Kept::Plain => "its password is kept\n",
        Kept::Elsewhere => "its password is a directory's\n",
        Kept::None => "it has no password: nobody can sign in\n",
    });
    for line in of_contacts(&details.contacts) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str(&devices);
    text.push('\n');
    if let Some(LastActivity { ago, status }) = &details.last_activity {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "the last one left {} ago", spoken(*ago));
        if let Some(status) = status {
            let _ = writeln!(text, "its last status was: {}", visible(status));
        }
    }
    for device in &details.devices {
        text.push('\n');
        text.push_str(&visible(&device.resource));
        text.push('\n');
        for (name, value) in properties(device) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name:<9}  {value}");
        }
    }
    text
}

/// How many there are.
fn of_devices(devices: &[Device]) -> String {
    let is_asleep = |device: &&Device| match device.line {
        Line::Here { .. } => false,
        Line::Asleep { .. } => true,
    };
    let asleep = devices.iter().filter(is_asleep).count();
    let connected = match devices.len() - asleep {
        0 => "no device is connected".to_owned(),
        1 => "1 device is connected".to_owned(),
        many => format!("{many} devices are connected"),
    };
    match (devices.len(), asleep) {
        (0, _) => connected,
        (_, 0) => format!("{connected}:"),
        (_, 1) => format!("{connected}, 1 is asleep:"),
        (_, many) => format!("{connected}, {many} are asleep:"),
    }
}

/// What there is to say of them beside their number.
fn of_contacts(contacts: &Contacts) -> Vec<String> {
    let kinds = [
        (contacts.both, "both"),
        (contacts.to, "to"),
        (contacts.from, "from"),
        (contacts.none, "none"),
    ];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    let mut lines = Vec::new();
    if !kinds.is_empty() {
        lines.push(format!("subscriptions: {}", kinds.join(", ")));
    }
    match contacts.requests {
        0 => {}
        1 => lines.push("1 request of somebody else waits for an answer".to_owned()),
        many => lines.push(format!("{many} requests of others wait for an answer")),
    }
    match contacts.blocked {
        0 => {}
        1 => lines.push("1 address is blocked".to_owned()),
        many => lines.push(format!("{many} addresses are blocked")),
    }
    lines
}

/// Each on a line of its own: what is written from right to left moves nothing of another there.
fn properties(device: &Device) -> Vec<(&'static str, String)> {
    let mut properties = match device.line {
        Line::Here { .. } => vec![
            ("address", device.peer.to_string()),
            ("connected", format!("for {}", spoken(device.connected))),
        ],
        Line::Asleep { lasted, left, .. } => {
            let (lasted, left) = (spoken(lasted), spoken(left));
            let began = spoken(device.connected);
            vec![
                ("address", format!("{} at last", device.peer)),
                (
                    "asleep",
                    format!("for {lasted}, and for {left} more at most"),
                ),
                ("session", format!("began {began} ago")),
            ]
        }
    };
    match &device.availability {
        Availability::Connected => {
            properties.push(("presence", "has not said that it is available".to_owned()));
        }
        Availability::Available {
            priority,
            show,
            status,
        } => {
            let show = show.map_or_else(String::new, |show| format!(" ({})", show.word()));
            let presence = format!("available{show} with priority {priority}");
            properties.push(("presence", presence));
            if let Some(status) = status {
                properties.push(("status", visible(status)));
            }
        }
    }
    match device.line {
        Line::Here { unread: 0 } => {}
        Line::Here { unread } => {
            let unread = counted(unread, "byte");
            let unread = format!("{unread} that the device has yet to take");
            properties.push(("unread", unread));
        }
        Line::Asleep { waiting, .. } => properties.push(("waiting", counted(waiting, "stanza"))),
    }
    properties
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

/// In the two largest units that there are in it.
fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [
        (seconds / 86_400, "day"),
        (seconds / 3600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let first = units.iter().position(|(count, _)| *count > 0);
    let words: Vec<String> = units
        .iter()
        .skip(first.unwrap_or(units.len() - 1))
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| match count {
            1 => format!("1 {unit}"),
            many => format!("{many} {unit}s"),
        })
        .collect();
    match words.is_empty() {
        true => "less than a second".to_owned(),
        false => words.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use spondee_core::port::Show;

    use super::*;
    use crate::visible::visible;

    const CONTACTS: Contacts = Contacts {
        none: 1,
        to: 2,
        from: 3,
        both: 6,
        requests: 2,
        blocked: 7,
    };

    fn juliet() -> BareJid {
        BareJid::parse("juliet@example.org").unwrap()
    }

    fn device(resource: &str, availability: Availability) -> Device {
        Device {
            resource: resource.to_owned(),
            peer: "192.0.2.7:51234".parse().unwrap(),
            connected: Duration::from_secs(7505),
            availability,
            line: Line::Here { unread: 0 },
        }
    }

    fn available(show: Option<Show>, status: Option<&str>) -> Availability {
        Availability::Available {
            priority: -5,
            show,
            status: status.map(str::to_owned),
        }
    }

    fn printed(form: Form, devices: Vec<Device>) -> String {
        let details = UserDetails {
            status: Status::Enabled,
            password: Kept::Hashed,
            contacts: CONTACTS,
            last_activity: None,
            devices,
        };
        let mut out = Vec::new();
        write(&juliet(), details, "", form, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_person_reads_of_each_device_what_it_says_of_itself() {
        let mut phone = device("phone", Availability::Connected);
        phone.peer = "[2001:db8::1]:4431".parse().unwrap();
        phone.connected = Duration::from_secs(59);
        phone.line = Line::Here { unread: 300 };
        let devices = vec![
            device("balcony", available(Some(Show::Away), Some("Reading"))),
            phone,
        ];
        let expected = "\
juliet@example.org is enabled and has 12 contacts
keys of its password are kept
subscriptions: 6 both, 2 to, 3 from, 1 none
2 requests of others wait for an answer
7 addresses are blocked
2 devices are connected:

balcony
  address    192.0.2.7:51234
  connected  for 2 hours 5 minutes
  presence   available (away) with priority -5
  status     Reading

phone
  address    [2001:db8::1]:4431
  connected  for 59 seconds
  presence   has not said that it is available
  unread     300 bytes that the device has yet to take
";
        assert_eq!(printed(Form::Text, devices), expected);
    }

    fn asleep(resource: &str, waiting: usize) -> Device {
        let mut device = device(resource, available(None, None));
        device.line = Line::Asleep {
            lasted: Duration::from_secs(125),
            left: Duration::from_secs(475),
            waiting,
        };
        device
    }

    #[test]
    fn of_a_device_that_sleeps_is_told_for_how_long_and_what_waits() {
        let expected = "\
juliet@example.org is enabled and has 12 contacts
keys of its password are kept
subscriptions: 6 both, 2 to, 3 from, 1 none
2 requests of others wait for an answer
7 addresses are blocked
1 device is connected, 1 is asleep:

phone
  address    192.0.2.7:51234 at last
  asleep     for 2 minutes 5 seconds, and for 7 minutes 55 seconds more at most
  session    began 2 hours 5 minutes ago
  presence   available with priority -5
  waiting    12 stanzas

balcony
  address    192.0.2.7:51234
  connected  for 2 hours 5 minutes
  presence   has not said that it is available
";
        let balcony = device("balcony", Availability::Connected);
        let shown = printed(Form::Text, vec![asleep("phone", 12), balcony]);
        assert_eq!(shown, expected);
        let shown = printed(Form::Text, vec![asleep("phone", 1)]);
        assert!(
            shown.contains("\nno device is connected, 1 is asleep:\n"),
            "{shown}"
        );
        assert!(shown.contains("\n  waiting    1 stanza\n"), "{shown}");
        let shown = printed(Form::Text, vec![asleep("phone", 0), asleep("tablet", 0)]);
        assert!(
            shown.contains("\nno device is connected, 2 are asleep:\n"),
            "{shown}"
        );
        assert!(shown.contains("\n  waiting    no stanzas\n"), "{shown}");
    }

    #[test]
    fn of_who_is_away_is_told_when_it_left_and_what_it_said() {
        let mut details = UserDetails {
            status: Status::Disabled,
            password: Kept::Plain,
            contacts: Contacts {
                to: 1,
                requests: 1,
                blocked: 1,
                ..Contacts::default()
            },
            last_activity: Some(LastActivity {
                ago: Duration::from_secs(903),
                status: Some("Heading\nHome".to_owned()),
            }),
            devices: Vec::new(),
        };
        let shown = text(&juliet(), &details, " (in data)");
        let expected = "\
juliet@example.org is disabled and has 1 contact (in data)
its password is kept
subscriptions: 1 to
1 request of somebody else waits for an answer
1 address is blocked
no device is connected
the last one left 15 minutes 3 seconds ago
its last status was: Heading\\nHome
";
        assert_eq!(shown, expected);
        // Who never was there and has nobody has three lines.
        details.contacts = Contacts::default();
        details.last_activity = None;
        let shown = text(&juliet(), &details, "");
        let expected = "juliet@example.org is disabled and has no contacts\nits password is kept\nno device is connected\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_program_reads_one_json_document() {
        let devices = vec![
            device("balcony", available(None, None)),
            device("phone", Availability::Connected),
            asleep("tablet", 12),
        ];
        let text = printed(Form::Json, devices);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let null = serde_json::Value::Null;
        let device = |resource: &str, presence: &serde_json::Value, asleep: &serde_json::Value| {
            serde_json::json!({
                "resource": resource, "peer": "192.0.2.7:51234", "connected_seconds": 7505, "unread_bytes": 0,
                "presence": presence, "asleep": asleep,
            })
        };
        let asleep =
            serde_json::json!({"seconds": 125, "seconds_left": 475, "waiting_stanzas": 12});
        let presence = serde_json::json!({"priority": -5, "show": null, "status": null});
        let expected = serde_json::json!({
            "jid": "juliet@example.org", "status": "enabled", "password": "hashed", "contacts": 12, "requests": 2, "blocked": 7,
            "last_activity": null,
            "subscriptions": {"both": 6, "to": 2, "from": 3, "none": 1},
            "devices": [
                device("balcony", &presence, &null), device("phone", &null, &null), device("tablet", &presence, &asleep),
            ],
        });
        assert_eq!(value, expected);
    }

    /// Escape sequences by one or two bytes, line feeds that would begin a line of the server's own, marks that turn or hide what follows,
    /// and a tag outside the basic plane.
    #[test]
    fn what_a_client_calls_itself_does_nothing_to_a_terminal() {
        let hostile = "a\u{1b}[2J\u{9b}2J\n\r\t\0\u{7f}\u{202e}\u{2066}\u{200b}\u{200f}\u{61c}\u{feff}\u{2028}\u{a0}\u{e0001}\\n\"z";
        let devices = || vec![device(hostile, available(None, Some(hostile)))];
        for form in [Form::Text, Form::Json] {
            let text = printed(form, devices());
            let strange = |c: &char| *c != '\n' && (c.is_control() || !c.is_ascii());
            assert_eq!(text.chars().find(strange), None, "{text:?}");
        }
        let text = printed(Form::Text, devices());
        let shown = "a\\u{1b}[2J\\u{9b}2J\\n\\r\\t\\0\\u{7f}\\u{202e}\\u{2066}\\u{200b}\\u{200f}\\u{61c}\\u{feff}\\u{2028}\\u{a0}\\u{e0001}\\\\n\"z\n";
        assert_eq!(text.matches(shown).count(), 2, "{text}");
        assert_eq!(text.lines().count(), 12, "{text}");
        let value: serde_json::Value =
            serde_json::from_str(&printed(Form::Json, devices())).unwrap();
        assert_eq!(value["devices"][0]["resource"], hostile);
        assert_eq!(value["devices"][0]["presence"]["status"], hostile);
    }

    #[test]
    fn names_in_every_script_are_shown_as_they_are() {
        for name in [
            "Балкон",
            "露台",
            "שולחן",
            "ระเบียง",
            "e\u{301}te\u{301}",
            "🎭",
            "it's \"mine\"",
        ] {
            assert_eq!(visible(name), name);
            let text = printed(Form::Json, vec![device(name, Availability::Connected)]);
            let quoted = serde_json::to_string(name).unwrap();
            assert!(text.contains(&quoted), "{text}");
        }
    }

    #[test]
    fn time_is_told_in_its_two_largest_units() {
        for (seconds, words) in [
            (0, "less than a second"),
            (1, "1 second"),
            (60, "1 minute"),
            (61, "1 minute 1 second"),
            (3600, "1 hour"),
            (3659, "1 hour"),
            (86_400 * 3 + 3600 * 4 + 59, "3 days 4 hours"),
            (86_400 * 400 + 120, "400 days"),
        ] {
            assert_eq!(spoken(Duration::from_secs(seconds)), words);
        }
    }
}
