//! Paths that have one spelling (RFC 3986, sections 2 and 6.2.2), so that the API cannot read another one than we do.
//!
//! Nothing is normalised: servers differ in how they do it, and a path that needs it is refused.

use std::borrow::Cow;

use super::{MAX_TARGET_BYTES, Unmapped};

/// Path and query of a target.
///
/// # Errors
/// [`Unmapped::NotCanonical`].
pub(super) fn split(target: &str) -> Result<(&str, Option<&str>), Unmapped> {
    if target.len() > MAX_TARGET_BYTES {
        return Err(Unmapped::NotCanonical("it is too long"));
    }
    if target.contains('#') {
        return Err(Unmapped::NotCanonical("a fragment is nothing that is sent"));
    }
    Ok(match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    })
}

/// The segments of a path, still escaped.
///
/// # Errors
/// [`Unmapped::NotCanonical`] saying what has another spelling.
pub(super) fn segments(path: &str) -> Result<Vec<&str>, Unmapped> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(Unmapped::NotCanonical("it must begin with a slash"));
    };
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let segments: Vec<&str> = rest.split('/').collect();
    for segment in &segments {
        match *segment {
            "" => return Err(Unmapped::NotCanonical("it has two slashes in a row, or one at its end")),
            "." | ".." => return Err(Unmapped::NotCanonical("it has dot segments")),
            _ => drop(decoded(segment)?),
        }
    }
    Ok(segments)
}

/// What a segment says: its escapes taken away. Only what needs an escape may have one, and what servers take for a part of
/// the path's structure may stand there in no way.
///
/// # Errors
/// [`Unmapped::NotCanonical`].
pub(super) fn decoded(segment: &str) -> Result<Cow<'_, str>, Unmapped> {
    if segment.bytes().all(is_plain) {
        return Ok(Cow::Borrowed(segment));
    }
    let mut text = String::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => text.push(char::from(escaped(bytes.next(), bytes.next())?)),
            plain if is_plain(plain) => text.push(char::from(plain)),
            _ => {
                return Err(Unmapped::NotCanonical(
                    "it has a character that must be escaped, or that servers differ in",
                ));
            }
        }
    }
    Ok(Cow::Owned(text))
}

/// The byte that an escape stands for.
fn escaped(high: Option<u8>, low: Option<u8>) -> Result<u8, Unmapped> {
    let digit = |byte: Option<u8>| match byte {
        Some(digit @ b'0'..=b'9') => Some(digit - b'0'),
        Some(digit @ b'A'..=b'F') => Some(digit - b'A' + 10),
        Some(_) | None => None,
    };
    let (Some(high), Some(low)) = (digit(high), digit(low)) else {
        return Err(Unmapped::NotCanonical("an escape is `%` and two hexadecimal digits in upper case"));
    };
    let byte = high << 4 | low;
    let is_structure = matches!(byte, b'/' | b'\\' | b'%' | b';' | b'?' | b'#');
    if is_plain(byte) || is_structure || !matches!(byte, b' '..=b'~') {
        return Err(Unmapped::NotCanonical("it escapes what needs no escape, or what must not be there at all"));
    }
    Ok(byte)
}

/// The characters that stand for themselves. Of those that RFC 3986 allows beside them, servers take `;` for the beginning
/// of parameters, and clients disagree about whether the others are escaped.
pub(super) const fn is_plain(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' | b'$' | b'+' | b',' | b'=' | b'(' | b')')
}
