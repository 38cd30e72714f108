//! Proofs: of every line, between all heads, and none that holds of anything else.

use super::*;

#[test]
fn every_line_is_proved_and_no_other() {
    let log = written(&[5, 6, 4], &[2, 7]);
    for index in 0..15 {
        let proof = prove_inclusion(log.path(), Some(index), &|_| false).unwrap();
        let head = proof.check(&log.keys()).unwrap();
        assert_eq!((head.size, proof.index), (15, index));
        let text = serde_json::to_string(&proof).unwrap();
        assert_eq!(serde_json::from_str::<InclusionFile>(&text).unwrap(), proof);
        for other in (0..20).filter(|other| *other != index) {
            assert!(InclusionFile { index: other, ..proof.clone() }.check(&log.keys()).is_err());
        }
        assert!(InclusionFile { record: format!("{} ", proof.record), ..proof.clone() }.check(&log.keys()).is_err());
        for hash in 0..proof.proof.len() {
            let mut fewer = proof.clone();
            fewer.proof.remove(hash);
            assert!(fewer.check(&log.keys()).is_err());
            let mut changed = proof.clone();
            changed.proof[hash] = proof.proof[(hash + 1) % proof.proof.len()].clone();
            assert!(changed == proof || changed.check(&log.keys()).is_err());
        }
        let stranger = TrustedKeys(vec![SigningKey::generate().unwrap().public()]);
        assert!(matches!(proof.check(&stranger), Err(NoProof::Head(HeadProblem::NotSigned))));
    }
    assert!(matches!(prove_inclusion(log.path(), Some(15), &|_| true), Err(NoProof::NoRecord(_))));
    let found = prove_inclusion(log.path(), None, &|line| line.ends_with(b"09\"}")).unwrap();
    assert_eq!((found.index, found.record.as_str()), (9, log.segments[1].1[4].as_str()));
    // Where segments before it were removed, or are compressed.
    log.pack(1);
    log.remove(0);
    for index in 5..15 {
        assert!(prove_inclusion(log.path(), Some(index), &|_| false).unwrap().check(&log.keys()).is_ok());
    }
    assert!(prove_inclusion(log.path(), Some(4), &|_| false).is_err());
}

#[test]
fn every_head_is_proved_to_be_the_beginning_of_every_later_one_and_of_no_other_log() {
    let all: Vec<u64> = (1..15).collect();
    let log = written(&[5, 6, 4], &all);
    let fork = written_by(SigningKey::from_pem(&log.key.to_pem()).unwrap(), ORIGIN, "x", &[5, 6, 4], &all);
    for (at, old) in log.heads.iter().enumerate() {
        for (later, new) in log.heads.iter().enumerate() {
            let proof = prove_consistency(log.path(), old, new);
            if later < at {
                assert!(proof.is_err());
                continue;
            }
            let proof = proof.unwrap();
            let (from, to) = proof.check(&log.keys()).unwrap();
            assert_eq!((from.size, to.size), (old.head().size, new.head().size));
            let forked = ConsistencyFile { new: fork.heads[later].note().to_owned(), ..proof.clone() };
            assert!(forked.check(&log.keys()).is_err() || (at, later) == (0, 0), "{at} {later}");
            let forked = prove_consistency(fork.path(), old, &fork.heads[later]).unwrap().check(&log.keys());
            // Both logs open alike: their first line is one and the same.
            assert_eq!(forked.is_ok(), at == 0, "{at} {later}");
        }
    }
}
