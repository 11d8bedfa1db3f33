//! `scan`: any bytes are scanned as rxml reads them, and alike however they are cut; what comes out is hardly larger than what went
//! in, and costs what its bytes cost.

use alloc::vec::Vec;

use super::cursor::Cuts;
use crate::limits::{GROWTH, Limits};
use crate::work::{self, Done};
use crate::xml::differential::scan_against_rxml;
use crate::xml::{Element, Header, ScanLimits, Scanner, Token, XmlError};

/// Bounds so near that fuzzers reach them.
const TIGHT: ScanLimits = ScanLimits {
    element_bytes: 200,
    depth: 4,
    attributes: 3,
    declarations: 3,
    name_bytes: 16,
    elements: 8,
};

/// Holds the scanner against rxml without limits, and against itself within limits.
///
/// # Panics
/// If it says something else than rxml, or something else for other cuts, or what leaves or is done for an element is out of all
/// proportion to its bytes.
pub fn scan(data: &[u8]) {
    scan_against_rxml(data);
    for limits in [TIGHT, ScanLimits::client(&Limits::default())] {
        let whole = Scan::of(data, limits, Cuts::new(0));
        for seed in [1, 2, 77] {
            let cut = Scan::of(data, limits, Cuts::new(seed));
            assert_eq!(whole, cut, "cut by {seed}");
        }
    }
}

/// What the scanner makes of some bytes.
#[derive(Debug, Default, PartialEq)]
struct Scan {
    header: Option<Header>,
    elements: Vec<Element>,
    end: Option<Result<(), XmlError>>,
}

impl Scan {
    fn of(mut data: &[u8], limits: ScanLimits, mut cuts: Cuts) -> Self {
        let mut scanner = Scanner::new(limits);
        let mut scan = Self::default();
        let mut item = Item::default();
        while !data.is_empty() {
            let mut piece = cuts.piece(&mut data);
            loop {
                match item.scan(&mut scanner, &mut piece) {
                    Ok(None) => break,
                    Ok(Some(Token::Header(header))) => scan.header = Some(header),
                    Ok(Some(Token::Element(element))) => {
                        scan.elements.push(element);
                    }
                    Ok(Some(Token::End)) => {
                        scan.end = Some(Ok(()));
                        return scan;
                    }
                    Err(error) => {
                        scan.end = Some(Err(error));
                        return scan;
                    }
                }
            }
        }
        scan
    }
}

/// What came and was done since the last token.
#[derive(Default)]
struct Item {
    bytes: usize,
    done: Done,
}

impl Item {
    fn scan(
        &mut self,
        scanner: &mut Scanner,
        piece: &mut &[u8],
    ) -> Result<Option<Token>, XmlError> {
        let (size, before) = (piece.len(), work::done());
        let token = scanner.scan(piece);
        // Where it finds an error, it takes nothing.
        self.bytes += match token {
            Ok(_) => size - piece.len(),
            Err(_) => size,
        };
        self.done = self.done.and(work::done().since(before));
        let Self { bytes, done } = self;
        assert!(done.is_worth(*bytes), "{done:?} for {bytes} bytes");
        if let Ok(Some(token)) = &token {
            if let Token::Element(element) = token {
                let size = element.raw().len();
                assert!(size <= 2 * *bytes + GROWTH, "{size} bytes come of {bytes}");
            }
            *self = Self::default();
        }
        token
    }
}
