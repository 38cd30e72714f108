//! Every byte, line, file and head of a small log, changed in every way.

use super::*;

/// Which line a byte of a segment's file belongs to.
fn line_of(bytes: &[u8], at: usize) -> u64 {
    bytes[..at].split(|byte| *byte == b'\n').count() as u64 - 1
}

#[test]
fn every_byte_of_a_line_that_is_changed_is_found_at_that_line() {
    let log = written(&[4, 5, 3], &[2, 6]);
    for (number, (start, _)) in log.segments.iter().enumerate() {
        let whole = std::fs::read(log.segment(number)).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(log.segment(number), &bytes).unwrap();
            let report = log.report();
            let line = start + line_of(&whole, at);
            let about = |finding: &Finding| (finding.first..=finding.last).contains(&line);
            assert!(report.findings.iter().any(about), "byte {at} of {start}, line {line}: {:?}", report.findings);
            // And of the lines before it, nothing is said.
            let first = report.findings.iter().map(|finding| finding.first).min().unwrap();
            assert!(first == line, "byte {at} of {start}, line {line}: {:?}", report.findings);
        }
        std::fs::write(log.segment(number), whole).unwrap();
    }
    assert_eq!(log.report().findings, []);
}

#[test]
fn every_flip_of_a_byte_of_hashes_and_heads_is_found() {
    let log = written(&[3, 3], &[2]);
    for (start, _) in &log.segments {
        let end = log.segments.iter().map(|(next, _)| *next).find(|next| next > start).unwrap_or(6);
        let [hashes, heads] = [hashes_path(log.path(), *start), heads_path(log.path(), *start)];
        for (path, kind) in [(hashes, Kind::BadHashes), (heads, Kind::BadHead)] {
            let whole = std::fs::read(&path).unwrap();
            for at in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << (at % 8);
                std::fs::write(&path, &bytes).unwrap();
                let findings = log.report().findings;
                assert!(!findings.is_empty(), "byte {at} of {}", path.display());
                for finding in findings {
                    assert_eq!(finding.kind, kind, "byte {at} of {}: {finding}", path.display());
                    assert!((*start..end).contains(&finding.first), "byte {at} of {}: {finding}", path.display());
                }
            }
            for len in (0..whole.len()).filter(|len| len % 7 == 0 || whole[..*len].ends_with(b"\n")) {
                std::fs::write(&path, &whole[..len]).unwrap();
                let found = log.report().findings;
                // A file of heads that ends with a whole head is one that a later head was never written to.
                let whole_heads = whole[..len].is_empty() || whole[..len].ends_with(b"\n\n");
                assert!(!found.is_empty() || (kind == Kind::BadHead && whole_heads), "{len}: {}", path.display());
            }
            std::fs::write(&path, whole).unwrap();
        }
    }
    assert_eq!(log.report().findings, []);
}

#[test]
fn every_line_that_is_removed_moved_repeated_or_made_up_is_found_where_it_is() {
    let log = written(&[5, 6, 4], &[2, 7, 13]);
    for (number, (start, lines)) in log.segments.iter().enumerate() {
        let is_last = number + 1 == log.segments.len();
        for at in 0..lines.len() {
            let index = start + at as u64;
            let mut removed = lines.clone();
            removed.remove(at);
            let found = log.with_lines(number, &removed);
            let kind = if is_last && at + 1 == lines.len() { Kind::Truncated } else { Kind::Removed };
            assert!(told(&found).contains(&(kind, index..index + 1)), "without {index}: {found:?}");

            let mut repeated = lines.clone();
            repeated.insert(at, lines[at].clone());
            let found = log.with_lines(number, &repeated);
            // At the very end it is a line that no head covers yet, and that is what the report says of it.
            let is_told = !found.is_empty() || (is_last && at + 1 == lines.len());
            assert!(is_told && found.iter().all(|found| found.first >= index), "twice {index}: {found:?}");

            let mut made_up = lines.clone();
            made_up.insert(at, "{\"type\":\"decision\"}".to_owned());
            let found = log.with_lines(number, &made_up);
            assert!(told(&found).contains(&(Kind::Inserted, index..index + 1)), "before {index}: {found:?}");

            for other in at + 1..lines.len() {
                let mut swapped = lines.clone();
                swapped.swap(at, other);
                let found = told(&log.with_lines(number, &swapped));
                let reordered: Vec<_> = found.iter().filter(|(kind, _)| *kind == Kind::Reordered).collect();
                let either = |range: &Range<u64>| range.contains(&index) || range.contains(&(start + other as u64));
                assert!(reordered.iter().any(|(_, range)| either(range)), "{index} and {other}: {found:?}");
            }
        }
    }
}

#[test]
fn a_log_that_is_cut_off_is_found_by_any_head_of_what_is_missing() {
    let whole = written(&[5, 6, 4], &[1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 14]);
    for size in 1..15_u64 {
        // Lines, hashes and heads are cut off alike: what is left is a good log, but for the heads that stand elsewhere.
        let key = SigningKey::from_pem(&whole.key.to_pem()).unwrap();
        let mut lines = Vec::new();
        for (start, there) in &whole.segments {
            if *start < size {
                lines.push((size - start).min(there.len() as u64));
            }
        }
        let cut = written_by(key, ORIGIN, "", &lines, &[]);
        assert_eq!(cut.report().findings, []);
        for head in &whole.heads {
            let found = told(&cut.report_with(std::slice::from_ref(head)).findings);
            let beyond = head.head().size > size;
            let expected = if beyond { vec![(Kind::Truncated, size..head.head().size)] } else { vec![] };
            assert_eq!(found, expected, "cut to {size}, head of {}", head.head().size);
        }
        // And without its heads being taken away.
        let (start, there) = whole.segments.iter().rev().find(|(start, _)| *start < size).unwrap();
        let last = whole.segments.iter().position(|(other, _)| other == start).unwrap();
        if last == 2 && size < 15 {
            let found = whole.with_lines(last, &there[..usize::try_from(size - start).unwrap()]);
            assert_eq!(told(&found), [(Kind::Truncated, size..15)]);
        }
    }
}

#[test]
fn a_history_that_was_written_anew_and_signed_is_a_fork_to_whoever_has_a_head() {
    let pem = SigningKey::generate().unwrap().to_pem();
    let key = || SigningKey::from_pem(&pem).unwrap();
    let one = written_by(key(), ORIGIN, "", &[4, 4], &[2, 6]);
    let other = written_by(key(), ORIGIN, "x", &[4, 6], &[2, 6]);
    assert_eq!((one.report().findings, other.report().findings), (vec![], vec![]));
    // Their first lines are the same, and so a head over these alone is of both.
    for head in &one.heads {
        let found = told(&other.report_with(std::slice::from_ref(head)).findings);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].0, found[0].1.end), (Kind::Forked, head.head().size), "{found:?}");
    }
    // Heads of another log, and of one who may not sign.
    let elsewhere = written_by(key(), "consentry.example/decisions/2", "", &[4], &[]);
    assert_eq!(one.report_with(&elsewhere.heads).findings, []);
    let stranger = written_by(SigningKey::generate().unwrap(), ORIGIN, "", &[4, 4], &[]);
    assert!(one.report_with(&stranger.heads).findings.iter().all(|found| found.kind == Kind::BadHead));
    assert_eq!(one.report_with(&stranger.heads).findings.len(), 2);
}

#[test]
fn lines_that_are_changed_together_with_their_hashes_are_found_between_two_heads() {
    for changed in 1..12_u64 {
        if [0, 4, 9].contains(&changed) {
            continue;
        }
        let log = written(&[4, 5, 3], &[2, 6, 8, 11]);
        let mut tree = Frontier::default();
        for (start, lines) in &log.segments {
            let mut hashes = tree.subtrees().concat();
            let mut text = String::new();
            for (index, line) in (*start..).zip(lines) {
                let line = if index == changed { format!("{line} ") } else { line.clone() };
                tree.push(leaf_hash(line.as_bytes()), |hash| hashes.extend_from_slice(hash));
                text.push_str(&line);
                text.push('\n');
            }
            std::fs::write(plain_path(log.path(), *start), text).unwrap();
            std::fs::write(hashes_path(log.path(), *start), hashes).unwrap();
        }
        let sizes = [0, 2, 4, 6, 8, 9, 11, 12];
        let bad = sizes.into_iter().find(|size| *size > changed).unwrap();
        let good = sizes.into_iter().rev().find(|size| *size <= changed).unwrap();
        let found = told(&log.report().findings);
        assert_eq!(found.first(), Some(&(Kind::Changed, good..bad)), "{changed}: {found:?}");
    }
}

#[test]
fn segments_that_are_missing_or_of_another_place_or_log_are_found() {
    let log = written(&[4, 5, 3], &[2, 6]);
    let other = written_by(SigningKey::generate().unwrap(), "consentry.example/decisions/2", "", &[4, 5, 3], &[]);
    for (number, (start, lines)) in log.segments.iter().enumerate() {
        let there = std::fs::read(log.segment(number)).unwrap();
        for (with, from) in (0..3).map(|with| (with, &log)).chain((0..3).map(|with| (with, &other))) {
            if from.segment(with) == log.segment(number) && from.path() == log.path() {
                continue;
            }
            std::fs::copy(from.segment(with), log.segment(number)).unwrap();
            let found = log.report().findings;
            assert!(found.iter().any(|found| found.first == *start), "{number} {with}: {found:?}");
            std::fs::write(log.segment(number), &there).unwrap();
        }
        std::fs::remove_file(log.segment(number)).unwrap();
        let found = told(&log.report().findings);
        let gone = *start..start + lines.len() as u64;
        match number {
            0 | 1 => assert!(found.contains(&(Kind::Removed, gone)), "{found:?}"),
            _ => assert_eq!(found, [], "its heads went with it: only one that stands elsewhere tells"),
        }
        let found = told(&log.report_with(&log.heads).findings);
        assert!(!found.is_empty());
        std::fs::write(log.segment(number), there).unwrap();
    }
}

#[test]
fn a_damaged_compressed_segment_is_found() {
    let log = written(&[4, 5, 3], &[2, 6]);
    log.pack(1);
    let path = packed_path(log.path(), 4);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        for finding in log.report().findings {
            assert_eq!((finding.kind, finding.first..=finding.last), (Kind::Unreadable, 4..=8), "{at}: {finding}");
        }
    }
    for len in 0..whole.len() {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert!(!log.report().is_good());
    }
}
