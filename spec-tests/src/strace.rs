//! System calls of a real process, read from what strace(1) wrote about it.
//!
//! strace stops a thread before and after each call, so what one thread does after it saw the effect of another's call stands
//! behind that call in the file: its order is the order in which things were promised. Knows nothing of what calls mean.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::PATIENCE;

/// What is traced: everything that can change a file or say something to somebody. `?` is for calls that not every processor's
/// Linux has.
const CALLS: &str = "?open,openat,?creat,close,dup,?dup2,dup3,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,\
     sync_file_range,ftruncate,truncate,fallocate,?rename,renameat,renameat2,?unlink,unlinkat,?mkdir,mkdirat,?rmdir,?link,\
     linkat,?symlink,symlinkat,copy_file_range,sendfile,mmap,msync,lseek,recvfrom,sendto";

/// A command that runs a program under strace: the program and its arguments are still to be added.
///
/// The program is the child itself and strace a process beside it, so that signals reach whom they are meant for.
#[must_use]
pub fn tracing(output: &Path) -> Command {
    let mut command = beside(output);
    // Whole data, and every text as hexadecimal numbers.
    command.args(["-xx", "-s", "1048576"]);
    command.arg("-e").arg(format!("trace={CALLS}"));
    command
}

/// The same with every call there is, without data; descriptors are written with what they are. Calls of `slow` take so long.
#[must_use]
pub fn watching(output: &Path, slow: &str, delay: Duration) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-D", "-f", "-y", "-s", "0", "-o"])
        .arg(output);
    let delay = delay.as_micros();
    command
        .arg("-e")
        .arg(format!("inject={slow}:delay_enter={delay}"));
    command
}

/// The same without a trace, where some calls fail: `fault` is an expression of `strace -e inject=`, which counts the calls of each
/// thread.
#[must_use]
pub fn failing(fault: &str) -> Command {
    let calls = fault.split(':').next().unwrap_or_default();
    let mut command = beside(Path::new("/dev/null"));
    command.arg("-e").arg(format!("trace={calls}"));
    command.arg("-e").arg(format!("inject={fault}"));
    command
}

fn beside(output: &Path) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-D", "-f", "--seccomp-bpf", "-o"])
        .arg(output);
    command
}

/// Waits until strace has written the last line: that the process ended, and well.
///
/// # Errors
/// It does not come in time.
pub fn wait_for_end(trace: &Path) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !is_whole(trace).map_err(|e| e.to_string())? {
        if Instant::now() > deadline {
            return Err("strace does not end, or the process failed".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn is_whole(trace: &Path) -> io::Result<bool> {
    let mut file = File::open(trace)?;
    // The first to call anything is the process itself.
    let mut first = [0; 16];
    let length = file.read(&mut first)?;
    let first = String::from_utf8_lossy(&first[..length]).into_owned();
    let behind = file.metadata()?.len().saturating_sub(64);
    file.seek(SeekFrom::Start(behind))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    let Some((last, "")) = tail.rsplit_once('\n') else {
        return Ok(false);
    };
    let last = last.rsplit('\n').next().unwrap_or_default();
    let (ended, first) = (last.split_once(' '), first.split_once(' '));
    Ok(match (ended, first) {
        (Some((process, how)), Some((begun, _))) => {
            process == begun && how.trim_start() == "+++ exited with 0 +++"
        }
        _ => false,
    })
}

/// A thread before or after a call.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Line of the trace, counted from 1.
    pub line: usize,
    /// Who calls.
    pub thread: u32,
    /// The call's name.
    pub call: &'a str,
    /// As strace writes them. Before the call, what it will fill in is missing.
    pub arguments: &'a [&'a str],
    /// `None` before the call; after it what it gave, negative if it failed.
    pub result: Option<i64>,
}

impl Moment<'_> {
    /// An argument that is a number.
    ///
    /// # Errors
    /// It is not.
    pub fn number(&self, index: usize) -> Result<i64, String> {
        let text = self.argument(index)?;
        text.parse()
            .map_err(|_| format!("line {}: {text} is not a number", self.line))
    }

    /// An argument that is a descriptor, with what that is, as `watching` has them written.
    ///
    /// # Errors
    /// It is not.
    pub fn descriptor(&self, index: usize) -> Result<(i64, &str), String> {
        let text = self.argument(index)?;
        let strange = || format!("line {}: {text} is no descriptor", self.line);
        let (number, rest) = text.split_once('<').ok_or_else(strange)?;
        let kind = rest.strip_suffix('>').ok_or_else(strange)?;
        Ok((number.parse().map_err(|_| strange())?, kind))
    }

    /// An argument that is bytes.
    ///
    /// # Errors
    /// It is not, or strace cut it off.
    pub fn bytes(&self, index: usize) -> Result<Vec<u8>, String> {
        let text = self.argument(index)?;
        decode(text).ok_or_else(|| format!("line {}: not whole data: {text:.60}", self.line))
    }

    /// An argument that is text, such as a path.
    ///
    /// # Errors
    /// It is not.
    pub fn text(&self, index: usize) -> Result<String, String> {
        String::from_utf8(self.bytes(index)?).map_err(|e| format!("line {}: {e}", self.line))
    }

    /// An argument as strace writes it.
    ///
    /// # Errors
    /// There are fewer.
    pub fn argument(&self, index: usize) -> Result<&str, String> {
        let argument = self.arguments.get(index).copied();
        argument.ok_or_else(|| format!("line {}: {} without it", self.line, self.call))
    }
}

/// Goes through a trace: a call is told before and after it.
///
/// # Errors
/// A line is not understood, or what `each` says.
pub fn read(
    trace: impl BufRead,
    mut each: impl FnMut(Moment<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let mut begun: HashMap<u32, String> = HashMap::new();
    for (index, text) in trace.lines().enumerate() {
        let text = text.map_err(|e| e.to_string())?;
        let line = index + 1;
        let strange = || format!("line {line} is strange: {text:.100}");
        let (thread, rest) = text.split_once(' ').ok_or_else(strange)?;
        let thread = thread.parse().map_err(|_| strange())?;
        let rest = rest.trim_start();
        // Ends of threads, and signals.
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, end) = resumed.split_once(" resumed>").ok_or_else(strange)?;
            let whole = begun.remove(&thread).ok_or_else(strange)? + end;
            after(line, thread, &whole, &mut each)?;
        } else if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            before(line, thread, start, &mut each)?;
            begun.insert(thread, start.to_owned());
        } else {
            let call = rest.rsplit_once(" = ").ok_or_else(strange)?.0.trim_end();
            before(
                line,
                thread,
                call.strip_suffix(')').unwrap_or(call),
                &mut each,
            )?;
            after(line, thread, rest, &mut each)?;
        }
    }
    Ok(())
}

/// `text` is `call(argument, argument`.
fn before(
    line: usize,
    thread: u32,
    text: &str,
    each: &mut impl FnMut(Moment<'_>) -> Result<(), String>,
) -> Result<(), String> {
    tell(line, thread, text, None, each)
}

/// `text` is `call(argument, argument) = result and words`.
fn after(
    line: usize,
    thread: u32,
    text: &str,
    each: &mut impl FnMut(Moment<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let strange = || format!("line {line} is strange: {text:.100}");
    let (call, result) = text.rsplit_once(" = ").ok_or_else(strange)?;
    let result = result.split([' ', '<']).next().unwrap_or_default();
    let result = match result.strip_prefix("0x") {
        // The process ended in the call.
        None if result == "?" => return Ok(()),
        None => result.parse().map_err(|_| strange())?,
        // An address: only that it did not fail matters.
        Some(_) => 0,
    };
    let call = call.trim_end();
    let call = call.strip_suffix(')').ok_or_else(strange)?;
    tell(line, thread, call, Some(result), each)
}

fn tell(
    line: usize,
    thread: u32,
    text: &str,
    result: Option<i64>,
    each: &mut impl FnMut(Moment<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let (call, arguments) = text
        .split_once('(')
        .ok_or_else(|| format!("line {line} is no call: {text:.100}"))?;
    // Texts are hexadecimal, so no comma stands in them.
    let arguments: Vec<&str> = arguments
        .split(',')
        .map(str::trim)
        .filter(|argument| !argument.is_empty())
        .collect();
    each(Moment {
        line,
        thread,
        call,
        arguments: &arguments,
        result,
    })
}

/// `"\x41\x42"`.
fn decode(text: &str) -> Option<Vec<u8>> {
    let quoted = text.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    quoted
        .chunks(4)
        .map(|chunk| match chunk {
            [b'\\', b'x', high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(trace: &str) -> Result<Vec<String>, String> {
        let mut moments = Vec::new();
        read(trace.as_bytes(), |moment| {
            moments.push(format!(
                "{} {} {:?} {:?}",
                moment.thread, moment.call, moment.arguments, moment.result
            ));
            Ok(())
        })?;
        Ok(moments)
    }

    #[test]
    fn a_call_is_told_before_and_after_in_the_order_of_the_file() {
        let trace = "\
            7 fsync(5 <unfinished ...>\n\
            8 pwrite64(4, \"\\x61\", 1, 512) = 1\n\
            7 <... fsync resumed>)              = 0\n\
            9 recvfrom(3,  <unfinished ...>\n\
            9 <... recvfrom resumed>\"\\x62\", 8, 0, NULL, NULL) = 1\n\
            8 --- SIGTERM {si_signo=SIGTERM} ---\n\
            8 openat(AT_FDCWD, \"\\x2f\", O_RDONLY) = -1 ENOENT (No such file or directory)\n\
            8 mmap(NULL, 8, PROT_READ, MAP_SHARED, 6, 0) = 0x7fd753ba5000\n\
            8 exit_group(0) = ?\n\
            8 +++ exited with 0 +++\n";
        let told = moments(trace).unwrap();
        assert_eq!(
            told,
            [
                r#"7 fsync ["5"] None"#,
                r#"8 pwrite64 ["4", "\"\\x61\"", "1", "512"] None"#,
                r#"8 pwrite64 ["4", "\"\\x61\"", "1", "512"] Some(1)"#,
                r#"7 fsync ["5"] Some(0)"#,
                r#"9 recvfrom ["3"] None"#,
                r#"9 recvfrom ["3", "\"\\x62\"", "8", "0", "NULL", "NULL"] Some(1)"#,
                r#"8 openat ["AT_FDCWD", "\"\\x2f\"", "O_RDONLY"] None"#,
                r#"8 openat ["AT_FDCWD", "\"\\x2f\"", "O_RDONLY"] Some(-1)"#,
                r#"8 mmap ["NULL", "8", "PROT_READ", "MAP_SHARED", "6", "0"] None"#,
                r#"8 mmap ["NULL", "8", "PROT_READ", "MAP_SHARED", "6", "0"] Some(0)"#,
                r#"8 exit_group ["0"] None"#,
            ]
        );
        for strange in [
            "7",
            "x fsync(1) = 0",
            "7 fsync(1)",
            "7 <... fsync resumed>) = 0",
        ] {
            assert!(moments(strange).is_err(), "{strange}");
        }
    }

    #[test]
    fn data_is_decoded_only_if_it_is_whole() {
        assert_eq!(decode(r#""\x00\xff\x41""#).unwrap(), [0, 255, 65]);
        assert!(decode(r#""""#).unwrap().is_empty());
        for cut in [r#""\x41"..."#, r#""A""#, r#""\x4""#, "NULL"] {
            assert_eq!(decode(cut), None);
        }
    }
}
