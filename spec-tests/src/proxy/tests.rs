use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::*;

type Outcome = Result<(), String>;

/// A little longer than a thread needs to do what it was told, where nothing must come.
const A_MOMENT: Duration = Duration::from_millis(100);

/// Both ends of a connection through a proxy.
struct Line {
    proxy: Proxy,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

fn words(e: io::Error) -> String {
    e.to_string()
}

impl Line {
    fn new() -> Result<Self, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(words)?;
        let proxy = Proxy::start(listener.local_addr().map_err(words)?)?;
        let (client, server) = pair(&proxy, &listener)?;
        Ok(Self {
            proxy,
            listener,
            client,
            server,
        })
    }

    fn pair(&self) -> Result<(TcpStream, TcpStream), String> {
        pair(&self.proxy, &self.listener)
    }
}

fn pair(proxy: &Proxy, listener: &TcpListener) -> Result<(TcpStream, TcpStream), String> {
    let client = TcpStream::connect(proxy.address()).map_err(words)?;
    let (server, _) = listener.accept().map_err(words)?;
    for socket in [&client, &server] {
        socket.set_read_timeout(Some(PATIENCE)).map_err(words)?;
    }
    Ok((client, server))
}

fn write(mut socket: &TcpStream, text: &str) -> Outcome {
    socket.write_all(text.as_bytes()).map_err(words)
}

/// That these bytes come, and then nothing for a moment.
fn reads(mut socket: &TcpStream, text: &str) -> Outcome {
    let mut came = vec![0; text.len()];
    socket
        .read_exact(&mut came)
        .map_err(|e| format!("{text}: {e}"))?;
    assert_eq!(String::from_utf8_lossy(&came), text);
    socket.set_read_timeout(Some(A_MOMENT)).map_err(words)?;
    let more = socket.read(&mut [0; 16]);
    socket.set_read_timeout(Some(PATIENCE)).map_err(words)?;
    match more {
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
        other => Err(format!("{other:?} behind {text}")),
    }
}

/// All that comes until the end, and whether that is a reset.
fn rest(mut socket: &TcpStream) -> (String, bool) {
    let mut came = Vec::new();
    let end = socket.read_to_end(&mut came);
    let reset = matches!(end, Err(e) if e.kind() == ErrorKind::ConnectionReset);
    (String::from_utf8_lossy(&came).into_owned(), reset)
}

#[test]
fn it_passes_both_ways_and_each_end_by_itself() -> Outcome {
    let line = Line::new()?;
    write(&line.client, "there")?;
    write(&line.server, "and back")?;
    reads(&line.server, "there")?;
    reads(&line.client, "and back")?;
    line.client
        .shutdown(std::net::Shutdown::Write)
        .map_err(words)?;
    assert_eq!(rest(&line.server), (String::new(), false));
    write(&line.server, "still")?;
    reads(&line.client, "still")?;
    drop(line.server);
    assert_eq!(rest(&line.client), (String::new(), false));
    let wanted = Carried {
        connections: 1,
        open: 0,
        up: 5,
        down: 13,
        troubles: 0,
    };
    line.proxy
        .wait_until("all of it", |carried| *carried == wanted)
}

#[test]
fn a_reset_passes_as_one() -> Outcome {
    let line = Line::new()?;
    socket2::SockRef::from(&line.client)
        .set_linger(Some(Duration::ZERO))
        .map_err(words)?;
    drop(line.client);
    assert_eq!(rest(&line.server), (String::new(), true));
    Ok(())
}

#[test]
fn it_cuts_at_the_byte_and_in_both_directions_at_once() -> Outcome {
    for cut in [Cut::Close, Cut::Reset] {
        let line = Line::new()?;
        line.proxy.trouble_after(7, Ways::Up, Trouble::Cut(cut))?;
        write(&line.server, "is not counted")?;
        reads(&line.client, "is not counted")?;
        write(&line.client, "only seven")?;
        line.proxy.wait_for_troubles(1)?;
        let reset = cut == Cut::Reset;
        assert_eq!(rest(&line.client), (String::new(), reset));
        match rest(&line.server) {
            // A reset may overtake what waits to be read.
            (came, true) => assert!(reset && "only se".starts_with(&came), "{came}"),
            (came, false) => assert_eq!((came.as_str(), reset), ("only se", false)),
        }
        // Who comes next is not cut.
        let (client, server) = line.pair()?;
        write(&client, "far more than seven")?;
        reads(&server, "far more than seven")?;
    }
    Ok(())
}

#[test]
fn bytes_of_both_ways_are_counted_together() -> Outcome {
    let line = Line::new()?;
    line.proxy
        .trouble_after(8, Ways::Both, Trouble::Cut(Cut::Close))?;
    write(&line.client, "five!")?;
    reads(&line.server, "five!")?;
    write(&line.server, "too many")?;
    assert_eq!(rest(&line.client), ("too".to_owned(), false));
    assert_eq!(rest(&line.server), (String::new(), false));
    Ok(())
}

#[test]
fn what_it_swallows_flows_on_when_it_passes_again() -> Outcome {
    for (ways, up, down) in [
        (Ways::Up, "", "down"),
        (Ways::Down, "up", ""),
        (Ways::Both, "", ""),
    ] {
        let line = Line::new()?;
        line.proxy.trouble(Trouble::Swallow(ways))?;
        write(&line.client, "up")?;
        write(&line.server, "down")?;
        reads(&line.server, up)?;
        reads(&line.client, down)?;
        line.proxy.pass()?;
        reads(&line.server, if up.is_empty() { "up" } else { "" })?;
        reads(&line.client, if down.is_empty() { "down" } else { "" })?;
    }
    Ok(())
}

#[test]
fn who_connects_while_it_swallows_is_swallowed() -> Outcome {
    let line = Line::new()?;
    line.proxy.trouble(Trouble::Swallow(Ways::Both))?;
    let (client, server) = line.pair()?;
    write(&client, "hello?")?;
    reads(&server, "")?;
    line.proxy.pass()?;
    reads(&server, "hello?")
}

#[test]
fn it_swallows_behind_the_byte() -> Outcome {
    let line = Line::new()?;
    line.proxy
        .trouble_after(3, Ways::Down, Trouble::Swallow(Ways::Both))?;
    write(&line.server, "into the hole")?;
    reads(&line.client, "int")?;
    write(&line.client, "nothing")?;
    reads(&line.server, "")?;
    // The end of one side is no end of the other.
    drop(line.server);
    reads(&line.client, "")?;
    line.proxy.pass()?;
    assert!(rest(&line.client).0.starts_with("o the hole"));
    Ok(())
}

#[test]
fn what_is_stranded_never_passes_and_stays_open() -> Outcome {
    let line = Line::new()?;
    line.proxy.strand()?;
    write(&line.client, "lost")?;
    reads(&line.server, "")?;
    let (client, server) = line.pair()?;
    write(&client, "found")?;
    reads(&server, "found")?;
    drop(line.client);
    line.proxy.pass()?;
    line.proxy.trouble(Trouble::Cut(Cut::Close))?;
    reads(&line.server, "")?;
    assert_eq!(rest(&server), (String::new(), false));
    assert_eq!(line.proxy.carried()?.open, 1);
    Ok(())
}

#[test]
fn who_connects_is_refused_and_reset_where_no_server_is() -> Outcome {
    let line = Line::new()?;
    line.proxy.refuse()?;
    let refused = TcpStream::connect(line.proxy.address());
    let why = refused.map_err(|e| e.kind());
    assert_eq!(why.err(), Some(ErrorKind::ConnectionRefused));
    write(&line.client, "as before")?;
    reads(&line.server, "as before")?;
    line.proxy.pass()?;
    line.pair()?;
    drop(line.listener);
    let alone = TcpStream::connect(line.proxy.address()).map_err(words)?;
    assert_eq!(rest(&alone), (String::new(), true));
    Ok(())
}

#[test]
fn a_side_that_does_not_read_holds_up_its_own_way_alone() -> Outcome {
    let line = Line::new()?;
    line.client.set_nonblocking(true).map_err(words)?;
    let lump = [b'x'; 64 * 1024];
    let mut written = 0;
    let full = loop {
        match (&line.client).write(&lump) {
            Ok(count) => written += count,
            Err(e) => break e.kind(),
        }
        assert!(written < 256 * 1024 * 1024, "it holds everything");
    };
    assert_eq!(full, ErrorKind::WouldBlock);
    line.client.set_nonblocking(false).map_err(words)?;
    write(&line.server, "back")?;
    reads(&line.client, "back")?;
    let mut came = 0;
    let mut buffer = vec![0; 64 * 1024];
    while came < written {
        came += (&line.server).read(&mut buffer).map_err(words)?;
    }
    assert_eq!(came, written);
    Ok(())
}
