//! Commands to paste, for whoever wants to go on by hand.

use std::collections::BTreeMap;

use super::cast::Who;
use super::player::question;
use super::stage::Stage;

/// The commands, with the tokens of this demo in shell variables.
pub(super) fn commands(stage: &Stage, pending: &BTreeMap<Who, String>) -> String {
    let consent = |who: Who| pending.get(&who).map_or("", String::as_str);
    format!(
        r#"
The server goes on until Ctrl-C, and then nothing of it stays. To go on by hand, paste this into another shell:

URL={url}
TOOLING={tooling}
CYD={cyd}
DEE={dee}

# May Ada read Fabrikam's sign-in logs? Not yet.
curl -sSw '\n' "$URL/access/v1/evaluation" -H "Authorization: Bearer $TOOLING" -H 'Content-Type: application/json' \
  -d '{question}'

# What waits for Cyd, and for Dee?
curl -sSw '\n' "$URL/v1/consents?view=pending" -H "Authorization: Bearer $CYD"
curl -sSw '\n' "$URL/v1/consents?view=pending" -H "Authorization: Bearer $DEE"

# Both approve. Ask the question above once more afterwards.
curl -sSw '\n' -X POST "$URL/v1/consents/{of_cyd}/approve" -H "Authorization: Bearer $CYD"
curl -sSw '\n' -X POST "$URL/v1/consents/{of_dee}/approve" -H "Authorization: Bearer $DEE"

# Fabrikam's audit log, and each use of its consents.
curl -sSw '\n' "$URL/v1/audit-log" -H "Authorization: Bearer $DEE"
curl -sSw '\n' "$URL/v1/audit-log/reads" -H "Authorization: Bearer $DEE"

# Is the server ready?
curl -sSw '\n' "$URL/readyz"
"#,
        url = stage.url(),
        tooling = stage.token(Who::Tooling),
        cyd = stage.token(Who::Cyd),
        dee = stage.token(Who::Dee),
        question = question("read", "fabrikam/signInLogs"),
        of_cyd = consent(Who::Cyd),
        of_dee = consent(Who::Dee),
    )
}
