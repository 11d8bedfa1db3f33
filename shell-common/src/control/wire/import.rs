//! Steps of an import as JSON: rows by the columns of their tables, entries of logs field by field.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spondee_core::catalog::CATALOG;
use spondee_core::port::{ImportStep, Imported, ImportedProof};
use spondee_core::sasl::{Hash, ScramKeys, Status, Tombstones};
use spondee_core::secret::Secret;
use spondee_core::store::{Column, Entry, Expect, Field, Kept, Kind, Op, Payload, Row};
use spondee_core::time::UnixTime;
use zeroize::Zeroize as _;

/// As `ImportStep`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in super::super) enum Step {
    Look(Tombstones),
    Begin(i64, Tombstones),
    Keep(i64, Vec<Write>),
    End(i64, Box<End>),
}

/// As `Op`, as far as an import has any.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in super::super) enum Write {
    Put(String, Vec<Value>),
    Append(String, Vec<Message>),
}

/// As `Entry`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Message {
    key: i64,
    peer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    kept: i64,
    payload: String,
}

/// As `Imported`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct End {
    status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<Hidden>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<Keys>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updated: Option<i64>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    hash: String,
    iterations: u32,
    salt: Hidden,
    stored: Hidden,
    server: Hidden,
}

/// Wiped when dropped.
#[derive(Deserialize, Serialize)]
struct Hidden(String);

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Step {
    /// # Errors
    /// A sentence: what is wrong with it.
    pub(super) fn into_step(self) -> Result<ImportStep, String> {
        Ok(match self {
            Self::Look(tombstones) => ImportStep::Look(tombstones),
            Self::Begin(import, tombstones) => ImportStep::Begin(import, tombstones),
            Self::Keep(import, writes) => {
                let ops = writes.into_iter().map(Write::into_op);
                ImportStep::Keep(import, ops.collect::<Result<_, _>>()?)
            }
            Self::End(import, end) => ImportStep::End(import, end.into_imported()?),
        })
    }

    pub(super) fn of(step: &ImportStep) -> Self {
        match step {
            ImportStep::Look(tombstones) => Self::Look(*tombstones),
            ImportStep::Begin(import, tombstones) => Self::Begin(*import, *tombstones),
            ImportStep::Keep(import, ops) => {
                Self::Keep(*import, ops.iter().filter_map(Write::of).collect())
            }
            ImportStep::End(import, imported) => Self::End(*import, Box::new(End::of(imported))),
        }
    }
}

impl Write {
    fn into_op(self) -> Result<Op, String> {
        Ok(match self {
            Self::Put(name, fields) => {
                let table = CATALOG.tables.iter().find(|table| table.name == name);
                let table = table.ok_or_else(|| format!("there is no table {name:?}"))?;
                let fields: Option<Vec<Field>> = match fields.len() == table.width() {
                    true => table.all().zip(fields).map(|(c, v)| field(c, v)).collect(),
                    false => None,
                };
                let row = fields.map(Row).filter(|row| row.fits(table));
                Op::Put {
                    table,
                    row: row.ok_or_else(|| format!("no row of {name}"))?,
                    expect: Expect::Anything,
                }
            }
            Self::Append(name, messages) => {
                let log = CATALOG.logs.iter().find(|log| log.name == name);
                let log = *log.ok_or_else(|| format!("there is no log {name:?}"))?;
                let entries = messages.into_iter().map(Message::into_entry);
                let entries = entries.collect::<Result<_, _>>()?;
                Op::Append { log, entries }
            }
        })
    }

    /// Of what no import does there is none.
    fn of(op: &Op) -> Option<Self> {
        if let Op::Append { log, entries } = op {
            let messages = entries.iter().map(Message::of).collect();
            return Some(Self::Append(log.name.to_owned(), messages));
        }
        let (table, row, _) = op.put()?;
        let row = row.0.iter().map(value).collect();
        Some(Self::Put(table.name.to_owned(), row))
    }
}

fn value(field: &Field) -> Value {
    match field {
        Field::Absent => Value::Null,
        Field::Int(number) | Field::Time(number) => Value::from(*number),
        Field::Text(text) | Field::Xml(text) => Value::from(String::from_utf8_lossy(text)),
        Field::Bytes(bytes) => Value::from(hex(bytes)),
    }
}

fn field(column: &Column, value: Value) -> Option<Field> {
    Some(match (column.kind, value) {
        (_, Value::Null) => Field::Absent,
        (Kind::Int, Value::Number(number)) => Field::Int(number.as_i64()?),
        (Kind::Time, Value::Number(number)) => Field::Time(number.as_i64()?),
        (Kind::Text, Value::String(text)) => Field::Text(text.into()),
        (Kind::Xml, Value::String(text)) => Field::Xml(text.into()),
        (Kind::Bytes, Value::String(text)) => Field::Bytes(unhex(&text)?.into()),
        (Kind::Bytes | Kind::Int | Kind::Text | Kind::Time | Kind::Xml, _) => return None,
    })
}

impl Message {
    fn into_entry(self) -> Result<Entry, String> {
        let kept = Kept::from_bits(self.kept).ok_or("a message that is kept for nothing")?;
        let payload = match self.payload.is_empty() {
            true => Payload::default(),
            false => Payload(vec![self.payload.into()]),
        };
        Ok(Entry {
            key: self.key,
            peer: self.peer.into(),
            resource: self.resource.map(Into::into),
            kept,
            payload,
        })
    }

    fn of(entry: &Entry) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            key: entry.key,
            peer: text(&entry.peer),
            resource: entry.resource.as_deref().map(text),
            kept: entry.kept.bits(),
            payload: text(&entry.payload.joined()),
        }
    }
}

impl End {
    fn into_imported(mut self) -> Result<Imported, String> {
        let proof = match self.password.take() {
            Some(mut password) => {
                ImportedProof::Password(Secret::new(std::mem::take(&mut password.0).into_bytes()))
            }
            None => {
                let keys = self.keys.drain(..).map(|keys| keys.into_keys());
                ImportedProof::Keys(keys.collect::<Option<_>>().ok_or("no keys")?)
            }
        };
        Ok(Imported {
            status: self.status,
            proof,
            created: self.created.map(UnixTime),
            updated: self.updated.map(UnixTime),
        })
    }

    fn of(imported: &Imported) -> Self {
        let (password, keys) = match &imported.proof {
            ImportedProof::Password(password) => {
                let text = String::from_utf8_lossy(password.expose()).into_owned();
                (Some(Hidden(text)), Vec::new())
            }
            ImportedProof::Keys(keys) => (None, keys.iter().map(Keys::of).collect()),
        };
        Self {
            status: imported.status,
            password,
            keys,
            created: imported.created.map(|time| time.0),
            updated: imported.updated.map(|time| time.0),
        }
    }
}

impl Keys {
    fn into_keys(self) -> Option<ScramKeys> {
        Some(ScramKeys {
            hash: Hash::from_name(&self.hash)?,
            salt: unhex(&self.salt.0)?,
            rounds: self.iterations,
            stored_key: Secret::new(unhex(&self.stored.0)?),
            server_key: Secret::new(unhex(&self.server.0)?),
        })
    }

    fn of(keys: &ScramKeys) -> Self {
        Self {
            hash: keys.hash.name().to_owned(),
            iterations: keys.rounds,
            salt: Hidden(hex(&keys.salt)),
            stored: Hidden(hex(keys.stored_key.expose())),
            server: Hidden(hex(keys.server_key.expose())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use spondee_core::archive::ARCHIVE;
    use spondee_core::roster::ROSTER;

    use super::*;

    fn there_and_back(step: &ImportStep) -> ImportStep {
        let json = serde_json::to_vec(&Step::of(step)).unwrap();
        let step: Step = serde_json::from_slice(&json).unwrap();
        step.into_step().unwrap()
    }

    #[test]
    fn rows_and_messages_come_through_as_they_are() {
        let text = Field::text("\"<x a='\u{e9}\u{1f600}'/>\\\n");
        let row = Row(vec![
            Field::text("romeo@example.net"),
            text,
            Field::text("both"),
            Field::Absent,
            Field::Absent,
            Field::text("[\"Friends\"]"),
        ]);
        let entry = Entry {
            key: i64::MAX,
            peer: "romeo@example.net".into(),
            resource: Some("orchard".into()),
            kept: Kept::Both,
            payload: Payload(vec!["<message>".into(), "</message>".into()]),
        };
        let ops = vec![
            Op::Put {
                table: &ROSTER,
                row,
                expect: Expect::Anything,
            },
            Op::Append {
                log: ARCHIVE,
                entries: vec![entry.clone()],
            },
        ];
        let ImportStep::Keep(7, back) = there_and_back(&ImportStep::Keep(7, ops.clone())) else {
            panic!("another step");
        };
        assert_eq!(back[0], ops[0]);
        let Op::Append { entries, .. } = &back[1] else {
            panic!("another operation");
        };
        // In one part.
        assert_eq!(entries[0].payload.joined(), entry.payload.joined());
        assert_eq!(entries[0].resource, entry.resource);
        assert_eq!((entries[0].key, entries[0].kept), (entry.key, entry.kept));
    }

    #[test]
    fn keys_and_passwords_come_through_as_they_are() {
        let keys = ScramKeys {
            hash: Hash::Sha1,
            salt: vec![0, 255],
            rounds: 4096,
            stored_key: Secret::new(vec![1; 20]),
            server_key: Secret::new(vec![2; 20]),
        };
        let imported = |proof| Imported {
            status: Status::Disabled,
            proof,
            created: Some(UnixTime(1)),
            updated: None,
        };
        let proof = ImportedProof::Keys(vec![keys.clone()]);
        let ImportStep::End(7, back) = there_and_back(&ImportStep::End(7, imported(proof))) else {
            panic!("another step");
        };
        assert_eq!(
            (back.status, back.created, back.updated),
            (Status::Disabled, Some(UnixTime(1)), None)
        );
        assert!(matches!(back.proof, ImportedProof::Keys(back) if back == [keys]));
        let proof = ImportedProof::Password(Secret::new(b"p\"\\\xc3\xa9".to_vec()));
        let ImportStep::End(_, back) = there_and_back(&ImportStep::End(7, imported(proof))) else {
            panic!("another step");
        };
        let ImportedProof::Password(password) = back.proof else {
            panic!("keys");
        };
        assert_eq!(password.expose(), b"p\"\\\xc3\xa9");
    }

    #[test]
    fn what_no_table_has_is_refused() {
        for json in [
            r#"{"keep":[1,[{"put":["nowhere",[]]}]]}"#,
            r#"{"keep":[1,[{"put":["roster",["a@b"]]}]]}"#,
            r#"{"keep":[1,[{"put":["roster",["a@b",1,"both",null,null,null]]}]]}"#,
            r#"{"keep":[1,[{"append":["nowhere",[]]}]]}"#,
            r#"{"keep":[1,[{"append":["archive",[{"key":1,"peer":"a","kept":4,"payload":""}]]}]]}"#,
            r#"{"end":[1,{"status":"enabled","keys":[{"hash":"MD5","iterations":1,"salt":"","stored":"","server":""}]}]}"#,
        ] {
            let step: Step = serde_json::from_str(json).unwrap();
            assert!(step.into_step().is_err(), "{json}");
        }
    }
}
