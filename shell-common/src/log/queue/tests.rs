use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;

/// Takes what is written, when it may.
#[derive(Clone, Debug)]
struct Pipe {
    taken: Arc<Mutex<Vec<u8>>>,
    /// Each write waits for one of these.
    reads: Arc<Mutex<Receiver<()>>>,
    begun: SyncSender<()>,
}

/// A reader that reads only when told.
struct Reader {
    pipe: Pipe,
    read: SyncSender<()>,
    begun: Receiver<()>,
}

impl Reader {
    fn new() -> Self {
        let (read, reads) = sync_channel(100);
        let (begin, begun) = sync_channel(100);
        let pipe = Pipe {
            taken: Arc::default(),
            reads: Arc::new(Mutex::new(reads)),
            begun: begin,
        };
        Self { pipe, read, begun }
    }

    fn text(&self) -> String {
        String::from_utf8(self.pipe.taken.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.send(()).unwrap();
        // The end of the test counts as a read.
        let _ = self.reads.lock().unwrap().recv();
        self.taken.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn serving(out: impl Write + Send + 'static) -> Arc<Queue> {
    let queue = Arc::new(Queue::default());
    let serving = Arc::clone(&queue);
    thread::spawn(move || {
        let mut writer = Writer::new(out);
        loop {
            serving.serve(&mut writer, None);
        }
    });
    queue
}

/// Longer than any test takes that does not fail.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn lines_are_written_in_order_and_all_are_when_it_is_flushed() {
    let reader = Reader::new();
    for _ in 0..100 {
        reader.read.send(()).unwrap();
    }
    let queue = serving(reader.pipe.clone());
    for number in 0..50 {
        queue.push(format!("line {number}\n").as_bytes());
    }
    queue.flush(LONG);
    let expected: String = (0..50).map(|number| format!("line {number}\n")).collect();
    assert_eq!(reader.text(), expected);
}

#[test]
fn nobody_waits_for_a_reader_and_what_there_is_no_room_for_is_counted() {
    let reader = Reader::new();
    let queue = serving(reader.pipe.clone());
    queue.push(b"first\n");
    // The thread hangs in the write of it.
    reader.begun.recv().unwrap();
    let line = [&[b'x'; 99][..], b"\n"].concat();
    let fitting = QUEUE_BYTES / line.len();
    for _ in 0..fitting + 7 {
        queue.push(&line);
    }
    // It would fit, but stands behind a gap that was not told yet.
    queue.push(b"y\n");
    queue.flush(Duration::ZERO);
    assert_eq!(reader.text(), "");

    for _ in 0..3 {
        reader.read.send(()).unwrap();
    }
    queue.flush(LONG);
    let text = reader.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1 + fitting + 1);
    let last = lines.last().unwrap();
    assert!(
        last.contains(" WARN 8 lines of the log are missing here"),
        "{last}"
    );

    queue.push(b"later\n");
    reader.read.send(()).unwrap();
    queue.flush(LONG);
    assert!(reader.text().ends_with("nobody read it\nlater\n"));
}

#[test]
fn a_flush_ends_where_nobody_reads() {
    let reader = Reader::new();
    let queue = serving(reader.pipe.clone());
    queue.push(b"first\n");
    reader.begun.recv().unwrap();
    queue.flush(Duration::from_millis(10));
    assert_eq!(reader.text(), "");
}

#[test]
fn the_thread_looks_up_when_it_is_nudged_or_something_is_due() {
    let queue = Arc::new(Queue::default());
    let (looked, looks) = sync_channel(0);
    let serving = Arc::clone(&queue);
    thread::spawn(move || {
        let mut writer = Writer::new(io::sink());
        for due in [None, Some(Instant::now()), None] {
            serving.serve(&mut writer, due);
            looked.send(()).unwrap();
        }
    });
    assert_eq!(looks.try_recv(), Err(TryRecvError::Empty));
    queue.nudge();
    looks.recv().unwrap();
    // Due at once.
    looks.recv().unwrap();
    queue.nudge();
    looks.recv().unwrap();
}

/// Takes so many bytes, then fails so often.
#[derive(Debug)]
struct Disk {
    room: usize,
    failures: Vec<ErrorKind>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0
            && let Some(kind) = self.failures.pop()
        {
            if self.failures.is_empty() {
                self.room = usize::MAX;
            }
            return Err(kind.into());
        }
        let count = bytes.len().min(self.room);
        self.room -= count;
        self.taken
            .lock()
            .unwrap()
            .extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(room: usize, failures: &[ErrorKind], lines: &[&str]) -> String {
    let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
    let mut writer = Writer::new(Disk {
        room,
        failures: failures.to_vec(),
        taken: Arc::clone(&taken),
    });
    for line in lines {
        writer.write(line.as_bytes());
    }
    let bytes = taken.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn what_a_full_disk_did_not_take_is_counted_and_a_line_cut_off_is_ended() {
    let text = written(
        7,
        &[ErrorKind::StorageFull],
        &["one\ntwo\nthree\n", "four\n"],
    );
    let (cut, rest) = text.split_once('\n').unwrap();
    assert_eq!(cut, "one");
    let (cut, rest) = rest.split_once('\n').unwrap();
    assert_eq!(cut, "two");
    assert!(
        rest.contains(" WARN 2 lines of the log are missing here"),
        "{rest}"
    );
    assert!(rest.ends_with("\nfour\n"), "{rest}");
}

#[test]
fn what_passes_is_waited_for() {
    let again = [ErrorKind::WouldBlock, ErrorKind::Interrupted];
    let text = written(2, &again, &["one\n", "two\n"]);
    assert_eq!(text, "one\ntwo\n");
}

#[test]
fn a_line_past_the_filter_looks_like_the_others() {
    let said = line(Level::WARN, format_args!("hear, hear"));
    let (time, rest) = said.split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.contains('T'), "{said}");
    assert_eq!(rest, " WARN hear, hear\n");
}
