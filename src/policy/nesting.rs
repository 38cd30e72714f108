//! How deeply a text nests, measured before it is parsed: Cedar's parser and validator call themselves level by level, and a
//! stack that overflows ends the whole process, good bundle and all (G6).

use super::place::{LoadError, Place, Problem};
use super::source::SourceFile;

/// How deep brackets may stand in one another. People write less than ten.
const MAX_DEPTH: usize = 64;
/// How many operators one policy may have: `a || b || c` nests, too, and so does `if a then if b then c`.
const MAX_OPERATORS: usize = 1_000;

/// Stack for parsing and validating, in bytes. Only what is used of it takes memory.
const STACK_BYTES: usize = 128 * 1024 * 1024;

/// Loads what is made of these texts, in a thread of its own: what is just not too deep needs more stack than others have.
///
/// # Errors
/// [`LoadError`] with one problem for each text that nests too deeply, of which nothing is parsed then; or what `load` says.
pub(super) fn load<'a, T: Send>(
    policies: &'a [SourceFile],
    schemas: impl IntoIterator<Item = &'a SourceFile>,
    load: impl FnOnce() -> Result<T, LoadError> + Send,
) -> Result<T, LoadError> {
    check(policies, schemas)?;
    let broke_off = |_| LoadError::of("the policies could not be checked".to_owned());
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let loading = thread.spawn_scoped(scope, load).map_err(|error| LoadError::of(error.to_string()))?;
        loading.join().map_err(broke_off)?
    })
}

fn check<'a>(policies: &'a [SourceFile], schemas: impl IntoIterator<Item = &'a SourceFile>) -> Result<(), LoadError> {
    let policies = policies.iter().map(|file| (file, &b"([{"[..], &b")]}"[..]));
    // In a schema `<` is a bracket: `Set<Set<Long>>`.
    let schemas = schemas.into_iter().map(|file| (file, &b"([{<"[..], &b")]}>"[..]));
    let problems: Vec<_> =
        policies.chain(schemas).filter_map(|(file, opening, closing)| too_deep(file, opening, closing)).collect();
    if problems.is_empty() { Ok(()) } else { Err(LoadError { problems }) }
}

/// What is wrong with a text that nests too deeply, given which brackets open and which close.
pub(super) fn too_deep(file: &SourceFile, opening: &[u8], closing: &[u8]) -> Option<Problem> {
    let (mut depth, mut operators) = (0_usize, 0_usize);
    for Token { at, text } in tokens(&file.text) {
        match text.as_bytes() {
            [bracket] if opening.contains(bracket) => depth += 1,
            [bracket] if closing.contains(bracket) => depth = depth.saturating_sub(1),
            b";" if depth == 0 => operators = 0,
            b"|" | b"&" | b"+" | b"-" | b"*" | b"!" | b"." | b"if" => operators += 1,
            _ => {}
        }
        let message = if depth > MAX_DEPTH {
            format!("brackets stand more than {MAX_DEPTH} deep in one another")
        } else if operators > MAX_OPERATORS {
            format!("one policy has more than {MAX_OPERATORS} operators")
        } else {
            continue;
        };
        let help = Some("write several policies instead".to_owned());
        return Some(Problem { place: Some(Place::of(&file.name, &file.text, at)), message, help });
    }
    None
}

struct Token<'a> {
    at: usize,
    text: &'a str,
}

/// Words and single signs; strings and comments are left out. Where a string has no end, nothing more follows.
fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let first = rest.chars().next()?;
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = match first {
                '"' => end_of_string(rest)?,
                '/' if rest.starts_with("//") => rest.find('\n')?,
                _ if word > 0 => word,
                _ => first.len_utf8(),
            };
            let start = at;
            at += length;
            if first != '"' && !rest.starts_with("//") && !first.is_whitespace() {
                return Some(Token { at: start, text: rest.get(..length)? });
            }
        }
    })
}

fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::super::source::BundleSource;
    use super::*;

    fn refused(policy: &str) -> Option<String> {
        let policies = [SourceFile { name: "p".to_owned(), text: policy.to_owned() }];
        load(&policies, [], || Ok(())).err().map(|error| error.to_string())
    }

    #[test]
    fn what_people_write_is_shallow() {
        let shipped = BundleSource::shipped();
        assert!(load(&shipped.policies, [&shipped.schema], || Ok(())).is_ok());
        let brackets = "(".repeat(1_000);
        for text in
            [format!("\"{brackets}\""), format!("\"\\\"{brackets}\""), format!("// {brackets}\n"), "()".repeat(1_000)]
        {
            assert_eq!(refused(&text), None, "{text}");
        }
        // Each policy is counted for itself.
        assert_eq!(refused(&format!("{};{}", "a || ".repeat(400), "a || ".repeat(400))), None);
    }

    #[test]
    fn what_nests_too_deeply_is_refused_where_it_does() {
        let deep = format!("permit (\n{}", "[(".repeat(50));
        assert!(refused(&deep).is_some_and(|said| said.contains("p:2:") && said.contains("64 deep")), "{deep}");
        for part in ["!", "a || ", "a && ", "1 + ", "if true then ", "a.b"] {
            assert!(refused(&part.repeat(1_001)).is_some_and(|said| said.contains("1000 operators")), "{part}");
        }
    }
}
