//! Answers that are lost on the way.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio_postgres::config::Host;

use super::*;
use crate::scratch::Scratch;
use crate::store::tests::done;

/// What a way between client and server carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Carries {
    All,
    /// What is asked reaches the server, what it answers does not come back, and when it has committed, the connection ends: a server whose
    /// client is gone would not come to that.
    NoAnswers,
    /// What is asked ends it.
    Nothing,
}

/// Stands between a back end and its server.
struct Way {
    carries: Arc<Mutex<Carries>>,
    directory: Scratch,
}

impl Way {
    fn to(server: PathBuf) -> Self {
        let directory = Scratch::new();
        let carries = Arc::new(Mutex::new(Carries::All));
        let listener = UnixListener::bind(directory.path().join(SOCKET)).unwrap();
        let shared = carries.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = UnixStream::connect(server.join(SOCKET)).unwrap();
                let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                carry(client, server, Carries::Nothing, &shared);
                carry(ends.1, ends.0, Carries::NoAnswers, &shared);
            }
        });
        Self { carries, directory }
    }

    fn carries(&self, what: Carries) {
        *self.carries.lock().unwrap() = what;
    }
}

const SOCKET: &str = ".s.PGSQL.5432";

/// Until what there is to carry comes while the way does not carry it: once, for a new connection finds all well.
fn carry(mut from: UnixStream, mut to: UnixStream, unless: Carries, what: &Arc<Mutex<Carries>>) {
    let what = what.clone();
    std::thread::spawn(move || {
        let (mut bytes, mut kept) = ([0; 8192], Vec::new());
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let mut now = what.lock().unwrap();
            if *now == unless {
                kept.extend_from_slice(&bytes[..count]);
                if unless == Carries::NoAnswers && !kept.windows(7).any(|tag| tag == b"COMMIT\0") {
                    continue;
                }
                *now = Carries::All;
                break;
            }
            drop(now);
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        for end in [from, to] {
            // The other direction may have done so.
            let _ = end.shutdown(Shutdown::Both);
        }
    });
}

/// A back end, a way that leads it to its server, and another that goes straight there.
fn on_a_way() -> Option<(Postgresql, Way, Postgresql)> {
    let straight = open()?;
    let mut config = straight.config.clone();
    let Some(Host::Unix(server)) = config.get_hosts().first().cloned() else {
        panic!("no socket");
    };
    let way = Way::to(server);
    // What the last one says of a host counts.
    config = Config::new();
    config.host_path(way.directory.path()).user("postgres");
    let store = Postgresql::open_in(config, &straight.schema, &CATALOG).unwrap();
    Some((store, way, straight))
}

fn keys(store: &mut Postgresql) -> Vec<String> {
    store.texts("SELECT key::text FROM archive ORDER BY key")
}

#[test]
fn what_was_committed_is_said_to_be_though_the_answer_was_lost() {
    let Some((mut store, way, mut straight)) = on_a_way() else {
        return;
    };
    let group = [append(1), batch(vec![done(7)])];
    let both = vec![Ok(vec![Reply::Done]); 2];
    assert_eq!(store.apply(&group), both);
    way.carries(Carries::NoAnswers);
    let outcomes = store.apply(&[append(2), batch(vec![done(8)])]);
    assert_eq!(outcomes, both);
    assert_eq!(store.apply(&[append(3)]), both[..1]);
    assert_eq!(keys(&mut straight), ["1", "2", "3"]);
    assert_eq!(straight.number("SELECT done FROM spool"), 8);
}

#[test]
fn what_never_reached_the_server_is_said_not_to_be_kept() {
    let Some((mut store, way, mut straight)) = on_a_way() else {
        return;
    };
    assert_eq!(store.apply(&[append(1)]), [Ok(vec![Reply::Done])]);
    way.carries(Carries::Nothing);
    assert_eq!(store.apply(&[append(2)]), [Err(StoreError::Busy)]);
    assert_eq!(keys(&mut straight), ["1"]);
    assert_eq!(store.apply(&[append(2)]), [Ok(vec![Reply::Done])]);
    assert_eq!(keys(&mut straight), ["1", "2"]);
}

#[test]
fn a_purge_whose_answer_was_lost_leaves_no_number_behind() {
    let Some((mut store, way, mut straight)) = on_a_way() else {
        return;
    };
    // All that is said is known to the server.
    for batch in [append(1), batch(vec![Op::Purge]), append(1)] {
        assert_eq!(store.apply(&[batch]), [Ok(vec![Reply::Done])]);
    }
    way.carries(Carries::NoAnswers);
    assert_eq!(
        store.apply(&[batch(vec![Op::Purge])]),
        [Ok(vec![Reply::Done])]
    );
    assert_eq!(store.apply(&[append(2)]), [Ok(vec![Reply::Done])]);
    let found = straight.texts("SELECT address FROM readable_archive WHERE address IS NOT NULL");
    assert_eq!(found, ["juliet@x.example"]);
    while store.tend(Quiet::Yes) == Tended::More {}
    assert_eq!(keys(&mut straight), ["2"]);
}

#[test]
fn a_read_whose_answer_was_lost_may_be_asked_again() {
    let Some((mut store, way, _straight)) = on_a_way() else {
        return;
    };
    let load = || Batch {
        class: Class::Load,
        ..batch(vec![Op::Load])
    };
    assert!(store.apply(&[load()])[0].is_ok());
    way.carries(Carries::NoAnswers);
    assert_eq!(store.apply(&[load()]), [Err(StoreError::Busy)]);
    assert!(store.apply(&[load()])[0].is_ok());
}

#[test]
fn a_server_writes_no_more_once_another_does() {
    let Some(mut store) = open() else { return };
    assert_eq!(store.apply(&[append(1)]), [Ok(vec![Reply::Done])]);
    let (config, schema) = (store.config.clone(), store.schema.clone());
    let mut newer = Postgresql::open_in(config, &schema, &CATALOG).unwrap();
    let fenced = vec![Err(StoreError::Fenced); 2];
    assert_eq!(store.apply(&[append(2), append(3)]), fenced);
    assert_eq!(newer.apply(&[append(2)]), [Ok(vec![Reply::Done])]);
    assert_eq!(keys(&mut newer), ["1", "2"]);
}
