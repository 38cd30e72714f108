//! The decision log at a start: a file that a crash, a full disk or somebody's editor left behind.

use std::cell::LazyCell;
use std::sync::Arc;

use consentry::audit::{DecisionLog, DecisionLogSettings};
use consentry::clock::ManualClock;
use consentry::model::{TenantId, Timestamp};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::front::NOW;

struct Desk {
    folder: TempDir,
    runtime: Runtime,
}

thread_local! {
    static DESK: LazyCell<Desk> = LazyCell::new(|| Desk {
        folder: TempDir::new().unwrap(),
        runtime: Builder::new_current_thread().enable_all().build().unwrap(),
    });
}

/// An allowed read of fabrikam's data, as it stands in the log.
const LINE: &[u8] =
    br#"{"type":"decision","decision_id":"0","decision":true,"read":true,"resource_tenant":"fabrikam"}"#;

/// How a segment opens.
const OPENING: &[u8] = br#"{"type":"segment","log":"test/1","index":0,"root_before":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","time":"2026-11-22T10:00:00.000Z"}
"#;

/// The key that signs its heads (RFC 8410, section 10.3).
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";

/// The bytes stand in the log when it is opened, behind the line that opens it.
pub fn run(bytes: &[u8]) {
    DESK.with(|desk| {
        let folder = desk.folder.path().join("decisions");
        let path = folder.join("00000000000000000000.jsonl");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("development-signing-key.pem"), KEY).unwrap();
        let bytes = &[OPENING, bytes].concat()[..];
        std::fs::write(&path, bytes).unwrap();
        let clock = Arc::new(ManualClock::at(NOW.parse::<Timestamp>().unwrap()));
        let log = DecisionLog::open(&DecisionLogSettings::at(&folder), Arc::<ManualClock>::clone(&clock)).unwrap();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let opened = std::fs::read(&path).unwrap();
        assert_eq!(opened.get(..whole), bytes.get(..whole), "a whole line was touched");
        let healed = opened.get(whole..).unwrap();
        assert_eq!(healed.is_empty(), whole == bytes.len(), "{healed:?}");
        assert!(healed.is_empty() || healed.starts_with(b"{\"type\":\"healed\"") && healed.ends_with(b"}\n"));

        let tenant: TenantId = "fabrikam".parse().unwrap();
        desk.runtime.block_on(async { log.settled(log.append(LINE, Some(&tenant)).unwrap()).await }).unwrap();
        assert!(newest_first(&log, &tenant), "what was just recorded is not found");
        log.close().unwrap();
        let closed = std::fs::read(&path).unwrap();
        assert!(closed.starts_with(&opened) && closed.ends_with(&[LINE, b"\n"].concat()));

        // A file of whole lines is left as it is.
        let again = DecisionLog::open(&DecisionLogSettings::at(&folder), clock).unwrap();
        assert!(newest_first(&again, &tenant));
        again.close().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), closed);
    });
}

/// Walks the tenant's reads page by page; whether the newest is the one that [`run`] recorded.
fn newest_first(log: &DecisionLog, tenant: &TenantId) -> bool {
    let (mut before, mut first) = (None, None);
    loop {
        let (page, next) = log.read_back(tenant, before, 3, &|_| true).unwrap();
        assert!(page.windows(2).all(|two| two[0].position > two[1].position), "{page:?}");
        assert!(page.iter().all(|read| before.is_none_or(|before| read.position < before)), "{page:?}");
        first = first.or_else(|| page.first().map(|read| read.decision_id.clone()));
        match next {
            Some(next) => before = Some(next),
            None => return first.as_deref() == Some("0"),
        }
    }
}
