//! `scan`: any bytes are scanned as rxml reads them, and alike however they are cut.

use alloc::vec::Vec;

use super::cursor::Cuts;
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
/// If it says something else than rxml, or something else for other cuts.
pub fn scan(data: &[u8]) {
    scan_against_rxml(data);
    let whole = Scan::of(data, Cuts::new(0));
    for seed in [1, 2, 77] {
        assert_eq!(whole, Scan::of(data, Cuts::new(seed)), "cut by {seed}");
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
    fn of(mut data: &[u8], mut cuts: Cuts) -> Self {
        let mut scanner = Scanner::new(TIGHT);
        let mut scan = Self::default();
        while !data.is_empty() {
            let mut piece = cuts.piece(&mut data);
            loop {
                match scanner.scan(&mut piece) {
                    Ok(None) => break,
                    Ok(Some(Token::Header(header))) => scan.header = Some(header),
                    Ok(Some(Token::Element(element))) => {
                        assert!(element.raw().len() <= 2 * TIGHT.element_bytes as usize);
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
