//! The XML declaration (XML 1.0 §2.8; RFC 6120 §11.5, §11.6 and §11.8).

use super::{XmlError, chars};

/// Bytes of a declaration. The longest sensible one has 60.
const LONGEST: usize = 256;

/// Judges how a declaration begins, each time it has grown by a byte.
pub(super) fn check_start(start: &[u8]) -> Result<(), XmlError> {
    const OPENING: &[u8] = b"<?xml";
    let Some((&last, before)) = start.split_last() else {
        return Ok(());
    };
    if start.len() <= OPENING.len() {
        return if OPENING.starts_with(start) {
            Ok(())
        } else {
            Err(XmlError::ProcessingInstruction)
        };
    }
    if before.len() == OPENING.len() && chars::is_name(last) {
        return Err(XmlError::ProcessingInstruction);
    }
    let allowed = matches!(last, b' '..=b'~') || chars::is_space(last);
    if !allowed || start.len() > LONGEST {
        return Err(XmlError::Declaration);
    }
    Ok(())
}

/// Judges a whole declaration, which ends with its first `>`.
pub(super) fn check(declaration: &[u8]) -> Result<(), XmlError> {
    let inside = declaration
        .strip_prefix(b"<?xml")
        .and_then(|rest| rest.strip_suffix(b"?>"));
    let mut rest = inside.ok_or(XmlError::Declaration)?;
    let version = pseudo_attribute(&mut rest, b"version").ok_or(XmlError::Declaration)?;
    if version != b"1.0" {
        return Err(XmlError::Version);
    }
    if let Some(encoding) = pseudo_attribute(&mut rest, b"encoding")
        && !encoding.eq_ignore_ascii_case(b"UTF-8")
    {
        return Err(XmlError::Encoding);
    }
    match pseudo_attribute(&mut rest, b"standalone") {
        None | Some(b"yes") => {}
        // Choice: RFC 6120 §11.5 lets us ignore it or close the stream; rxml refuses it too.
        Some(b"no") => return Err(XmlError::Standalone),
        Some(_) => return Err(XmlError::Declaration),
    }
    if chars::skip_space(rest, 0) != rest.len() {
        return Err(XmlError::Declaration);
    }
    Ok(())
}

/// Takes white space, `name`, `=` and a quoted value off the front of `rest`, if they stand there.
fn pseudo_attribute<'a>(rest: &mut &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let trimmed = rest.trim_ascii_start();
    if trimmed.len() == rest.len() {
        return None;
    }
    let value = trimmed.strip_prefix(name)?.trim_ascii_start();
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first()?;
    if !matches!(quote, b'\'' | b'"') {
        return None;
    }
    let end = value.iter().position(|byte| byte == quote)?;
    let (value, behind) = value.split_at(end);
    *rest = behind.get(1..)?;
    Some(value)
}
