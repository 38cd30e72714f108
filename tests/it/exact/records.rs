//! The decision log of a history: every answer stands in it as it was given, and a remembered one after the evaluation
//! that it names (G3).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::history::Read;

/// How many records are of remembered answers.
pub fn check(records: &[Value], reads: &[Read]) -> usize {
    let mut found: HashMap<&str, &Value> = HashMap::new();
    let mut remembered = 0;
    for record in records.iter().filter(|record| record["type"] == "decision") {
        let id = record["decision_id"].as_str().unwrap_or_else(|| panic!("{record}"));
        if record["cached"] == true {
            let evaluation = record["evaluation"].as_str().unwrap();
            let evaluated = found.get(evaluation).unwrap_or_else(|| panic!("not in the log before: {record}"));
            for what in ["decision", "policy_version", "facts_revision", "policies", "resource", "subject"] {
                assert_eq!(record[what], evaluated[what], "{record} is not what was remembered: {evaluated}");
            }
            remembered += 1;
        }
        assert!(found.insert(id, record).is_none(), "twice in the log: {record}");
    }
    for read in reads {
        let record = found.get(read.decision_id.as_str()).unwrap_or_else(|| panic!("not in the log: {read:?}"));
        assert_eq!(record["decision"], json!(read.allowed), "{read:?} is not what was recorded: {record}");
        assert_eq!(record["policy_version"], json!(read.version), "{read:?} is not what was recorded: {record}");
        assert!(read.revision.is_none_or(|revision| record["facts_revision"] == revision), "{read:?}: {record}");
    }
    remembered
}
