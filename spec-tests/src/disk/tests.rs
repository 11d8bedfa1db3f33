use super::*;
use crate::server::Scratch;
use crate::strace;

/// A disk after these lines of a trace; `@` stands for the root.
fn disk(lines: &[&str]) -> Result<Disk, String> {
    let mut disk = Disk::new(Path::new("/r"));
    let hex = |text: &str| {
        let bytes: String = text.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("\"{bytes}\"")
    };
    let quoted = |line: &&str| {
        let parts = line.split('\'').enumerate();
        let parts = parts.map(|(index, part)| match index % 2 {
            0 => part.to_owned(),
            _ => hex(part),
        });
        parts.collect::<String>() + "\n"
    };
    let trace: String = lines.iter().map(quoted).collect();
    strace::read(trace.as_bytes(), |moment| disk.observe(&moment))?;
    Ok(disk)
}

/// The files that are left and what is in them.
fn left(disk: &Disk, loss: Loss<'_>) -> Vec<(String, String)> {
    let scratch = Scratch::new().unwrap();
    disk.image(loss, scratch.path()).unwrap();
    let mut found = Vec::new();
    let mut open = vec![scratch.path().to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(scratch.path()).unwrap();
            let name = name.display().to_string();
            if path.is_dir() {
                open.push(path);
                found.push((name, "/".to_owned()));
            } else {
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn pair(name: &str, content: &str) -> (String, String) {
    (name.to_owned(), content.to_owned())
}

const SAFE: [&str; 4] = [
    "1 openat(AT_FDCWD, '/r', O_RDONLY) = 3",
    "1 openat(AT_FDCWD, '/r/a', O_RDWR|O_CREAT, 0600) = 4",
    "1 fsync(3) = 0",
    "1 close(3) = 0",
];

fn after_safe(lines: &[&str]) -> Disk {
    disk(&[&SAFE, lines].concat()).unwrap()
}

#[test]
fn a_file_is_there_when_its_directory_was_synced_and_its_data_when_it_was_itself() {
    let nothing: [(String, String); 0] = [];
    let only_data = disk(&[
        "1 openat(AT_FDCWD, '/r/a', O_RDWR|O_CREAT, 0600) = 4",
        "1 pwrite64(4, 'one', 3, 0) = 3",
        "1 fsync(4) = 0",
    ]);
    assert_eq!(left(&only_data.unwrap(), Loss::All), nothing);
    let only_name = after_safe(&["1 pwrite64(4, 'one', 3, 0) = 3"]);
    assert_eq!(left(&only_name, Loss::All), [pair("a", "")]);
    let both = after_safe(&[
        "1 write(4, 'on', 2) = 2",
        "1 write(4, 'e', 1) = 1",
        "1 fdatasync(4) = 0",
        "1 pwrite64(4, 'two', 3, 0) = 3",
        "1 ftruncate(4, 1) = 0",
    ]);
    assert_eq!(left(&both, Loss::All), [pair("a", "one")]);
    assert_eq!(both.synced(), 2);
}

#[test]
fn a_directory_is_there_when_its_own_was_synced() {
    let lines = [
        "1 mkdir('/r/d', 0700) = 0",
        "1 openat(AT_FDCWD, '/r/d/a', O_RDWR|O_CREAT, 0600) = 4",
        "1 openat(AT_FDCWD, '/r/d', O_RDONLY) = 5",
        "1 fsync(5) = 0",
        "1 openat(AT_FDCWD, '/r', O_RDONLY) = 6",
        "1 fsync(6) = 0",
    ];
    assert_eq!(left(&disk(&lines[..4]).unwrap(), Loss::All), []);
    let whole = [pair("d", "/"), pair("d/a", "")];
    assert_eq!(left(&disk(&lines).unwrap(), Loss::All), whole);
}

#[test]
fn a_sync_covers_what_had_returned_before_it_began_and_counts_when_it_has_returned() {
    let under_way = after_safe(&["1 pwrite64(4, 'a', 1, 0) = 1", "1 fsync(4 <unfinished ...>"]);
    assert_eq!(left(&under_way, Loss::All), [pair("a", "")]);
    let overtaken = after_safe(&[
        "1 pwrite64(4, 'a', 1, 0) = 1",
        "2 pwrite64(4, 'b', 1, 1 <unfinished ...>",
        "1 fsync(4 <unfinished ...>",
        "2 <... pwrite64 resumed>) = 1",
        "3 pwrite64(4, 'c', 1, 2) = 1",
        "1 <... fsync resumed>) = 0",
    ]);
    assert_eq!(left(&overtaken, Loss::All), [pair("a", "a")]);
    let failed = after_safe(&["1 pwrite64(4, 'a', 1, 0) = 1", "1 fsync(4) = -1 EIO (x)"]);
    assert_eq!(left(&failed, Loss::All), [pair("a", "")]);
}

#[test]
fn names_change_when_the_directory_is_synced() {
    let lines = [
        "1 rename('/r/a', '/r/b') = 0",
        "1 openat(AT_FDCWD, '/r/c', O_RDWR|O_CREAT, 0600) = 5",
        "1 unlink('/r/b') = 0",
    ];
    assert_eq!(left(&after_safe(&lines), Loss::All), [pair("a", "")]);
    let sync = ["1 openat(AT_FDCWD, '/r', O_RDONLY) = 6", "1 fsync(6) = 0"];
    let synced = after_safe(&[&lines[..], &sync].concat());
    assert_eq!(left(&synced, Loss::All), [pair("c", "")]);
    // Any of them may be there without the others.
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let names = left(&after_safe(&lines), Loss::Some(&mut Dice::new(seed)));
        seen.insert(names.into_iter().map(|(name, _)| name).collect::<String>());
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn writes_are_kept_lost_or_torn_at_sectors() {
    let write = format!("1 pwrite64(4, '{}', 600, 500) = 600", "x".repeat(600));
    let disk = after_safe(&[&write]);
    let mut seen = BTreeMap::new();
    for seed in 0..300 {
        let files = left(&disk, Loss::Some(&mut Dice::new(seed)));
        *seen.entry(files[0].1.clone()).or_insert(0) += 1;
    }
    // Three sectors: 12 bytes of the first, the second whole, 76 of the third.
    assert_eq!(seen.len(), 8);
    let holes = format!("{}{}{}", "\0".repeat(512), "x".repeat(512), "\0".repeat(0));
    assert!(seen.contains_key(&holes), "{:?}", seen.values());
}

#[test]
fn a_file_written_through_memory_may_hold_anything() {
    let disk = after_safe(&[
        "1 mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, 4, 0) = 0x7fd753b9d000",
    ]);
    assert_eq!(disk.mapped_files(), ["a"]);
    assert_eq!(left(&disk, Loss::All), [pair("a", "")]);
}

#[test]
fn what_is_not_modelled_is_an_error() {
    for line in [
        "1 openat(AT_FDCWD, '/r/b', O_WRONLY|O_CREAT|O_APPEND, 0600) = 5",
        "1 openat(AT_FDCWD, '/r/b', O_WRONLY) = 5",
        "1 fallocate(4, 0, 0, 100) = 0",
        "1 pwritev(4, [{iov_base='a', iov_len=1}], 1, 0) = 1",
        "1 truncate('/r/a', 0) = 0",
        "1 link('/r/a', '/r/b') = 0",
        "1 pwrite64(4, 'abc', 3, 0) = 2",
        "1 dup(4) = 5",
    ] {
        assert!(disk(&[&SAFE[..], &[line]].concat()).is_err(), "{line}");
    }
    for line in [
        "1 openat(AT_FDCWD, '/other/b', O_WRONLY|O_APPEND) = 5",
        "1 openat(AT_FDCWD, '/r/b', O_RDONLY) = 5",
        "1 openat(AT_FDCWD, '/r/b', O_WRONLY) = -1 ENOENT (x)",
        "1 writev(9, [{iov_base='a', iov_len=1}], 1) = 1",
        "1 dup(7) = 8",
    ] {
        after_safe(&[line]);
    }
}

#[test]
fn a_deaf_disk_loses_what_was_synced() {
    let mut disk = Disk::deaf_to(Path::new("/"), "-wal");
    let hex =
        |text: &str| -> String { text.bytes().map(|byte| format!("\\x{byte:02x}")).collect() };
    let (root, wal) = (hex("/"), hex("/a-wal"));
    let trace = format!(
        "1 openat(AT_FDCWD, \"{root}\", O_RDONLY) = 3\n\
         1 openat(AT_FDCWD, \"{wal}\", O_RDWR|O_CREAT, 0600) = 4\n\
         1 fsync(3) = 0\n\
         1 pwrite64(4, \"\\x61\", 1, 0) = 1\n\
         1 fsync(4) = 0\n"
    );
    strace::read(trace.as_bytes(), |moment| disk.observe(&moment)).unwrap();
    assert_eq!(left(&disk, Loss::All), [pair("a-wal", "")]);
}
