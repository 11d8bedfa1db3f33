//! Lines from a person or from a pipe, and a terminal that does not show what is typed.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use super::Input;

/// How a line ended.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Line {
    /// With its end or with the end of the input; without the end itself.
    Read(Zeroizing<Vec<u8>>),
    /// There was no more input.
    End,
    /// It is longer than allowed.
    TooLong,
    /// By Ctrl-C, while `Hidden` was in force.
    Interrupted,
}

impl Input<'_> {
    /// Reads one line of at most `limit` bytes, wiped when dropped. `interrupts` end it.
    ///
    /// Byte by byte, so that what stands behind it stays in the input and nothing stays in a buffer.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn line(&mut self, limit: usize, interrupts: &[u8]) -> io::Result<Line> {
        // With room for all of it: a vector that grows leaves copies behind.
        let mut line = Zeroizing::new(Vec::with_capacity(limit + 1));
        let mut byte = Zeroizing::new([0; 1]);
        loop {
            match self.read(&mut byte) {
                Ok(0) if line.is_empty() => return Ok(Line::End),
                Ok(0) => break,
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) if interrupts.contains(&byte[0]) => return Ok(Line::Interrupted),
                Ok(_) if line.len() > limit => return Ok(Line::TooLong),
                Ok(_) => line.push(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(if line.len() > limit {
            Line::TooLong
        } else {
            Line::Read(line)
        })
    }

    fn read(&mut self, buffer: &mut [u8; 1]) -> io::Result<usize> {
        match self {
            Input::Terminal(terminal) => Ok(rustix::io::read(*terminal, buffer)?),
            Input::Pipe(pipe) => pipe.read(buffer),
        }
    }
}

/// A terminal that does not show what is typed, until dropped.
///
/// Keys that would end the process end the line instead: so its owner can put the terminal right before it goes.
pub(super) struct Hidden<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Hidden<'a> {
    /// Begins. What was typed ahead is thrown away: it was shown.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn begin(terminal: BorrowedFd<'a>) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let hidden = Self { terminal, before };
        let mut modes = hidden.before.clone();
        modes.local_modes &= !(LocalModes::ECHO | LocalModes::ISIG);
        modes.local_modes |= LocalModes::ICANON | LocalModes::ECHONL;
        let [interrupt, quit] = hidden.codes();
        modes.special_codes[SpecialCodeIndex::VEOL] = interrupt;
        modes.special_codes[SpecialCodeIndex::VEOL2] = quit;
        tcsetattr(terminal, OptionalActions::Flush, &modes)?;
        Ok(hidden)
    }

    /// What ends a line as an interrupt. Zero stands for a key that is switched off.
    pub(super) fn interrupts(&self) -> Vec<u8> {
        self.codes().into_iter().filter(|code| *code != 0).collect()
    }

    fn codes(&self) -> [u8; 2] {
        [SpecialCodeIndex::VINTR, SpecialCodeIndex::VQUIT]
            .map(|index| self.before.special_codes[index])
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // A terminal that has gone away shows nothing more anyway.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(mut text: &[u8], limit: usize) -> Line {
        Input::Pipe(&mut text).line(limit, &[3]).unwrap()
    }

    fn read(text: &[u8]) -> Line {
        Line::Read(Zeroizing::new(text.to_vec()))
    }

    #[test]
    fn a_line_ends_at_its_end_whatever_it_is() {
        for text in [&b"secret\nmore"[..], b"secret\r\nmore", b"secret"] {
            assert_eq!(line(text, 6), read(b"secret"));
        }
        assert_eq!(line(b"\n", 6), read(b""));
        assert_eq!(line(b"", 6), Line::End);
    }

    #[test]
    fn a_line_that_is_too_long_is_not_cut() {
        assert_eq!(line(b"secrets\n", 6), Line::TooLong);
        assert_eq!(line(&[b'a'; 100], 6), Line::TooLong);
    }

    #[test]
    fn the_interrupt_key_ends_the_line() {
        assert_eq!(line(b"sec\x03", 6), Line::Interrupted);
    }

    #[test]
    fn what_stands_behind_the_line_stays_there() {
        let mut text: &[u8] = b"one\ntwo\n";
        let mut input = Input::Pipe(&mut text);
        assert_eq!(input.line(6, &[]).unwrap(), read(b"one"));
        assert_eq!(input.line(6, &[]).unwrap(), read(b"two"));
    }
}
