//! Lists, newest first, page by page: each page starts behind the last item of the one before.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use serde::de::DeserializeOwned;

use super::error::Trouble;
use super::objects::decode;
use crate::model::{AccessRequest, ConsentId, PersonId, SupportRequest, TenantId};
use crate::store::{ActivityFilter, ListPosition, ListedConsent, NumberedActivity};

/// A page as SQL has it: items before (`at`, `id`), at most `limit`.
#[derive(Debug)]
pub(super) struct Page {
    at: i64,
    id: String,
    limit: i64,
}

impl Page {
    pub(super) fn new(before: Option<ListPosition>, limit: usize) -> Self {
        let limit = sql_limit(limit);
        match before {
            Some(ListPosition { at, id }) => Self { at: at.as_millis(), id, limit },
            // No time that we can name is as late as this.
            None => Self { at: i64::MAX, id: String::new(), limit },
        }
    }
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn consents_of(
    connection: &Connection,
    tenant: &TenantId,
    pending: bool,
    page: &Page,
) -> Result<Vec<ListedConsent>, Trouble> {
    // Left joins, so that a support request that is missing is noticed instead of its consents.
    let mut statement = connection.prepare_cached(
        "SELECT c.id, c.support_request, s.body, c.access_request, a.body
         FROM consent c LEFT JOIN access_request a ON a.id = c.access_request
             LEFT JOIN support_request s ON s.id = c.support_request
         WHERE c.tenant = ?1 AND c.pending = ?2 AND (c.created_at, c.id) < (?3, ?4)
         ORDER BY c.created_at DESC, c.id DESC LIMIT ?5",
    )?;
    let mut rows = statement.query(params![tenant.as_str(), pending, page.at, page.id, page.limit])?;
    let mut consents = Vec::new();
    while let Some(row) = rows.next()? {
        let consent = row.get_ref(0)?.as_str()?;
        let consent =
            ConsentId::new(consent).map_err(|error| Trouble::torn(format_args!("consent/{consent}"), &error))?;
        consents.push(ListedConsent {
            support_request: decode(row.get_ref(2)?, format_args!("support-request/{}", row.get_ref(1)?.as_str()?))?,
            access_request: decode(row.get_ref(4)?, format_args!("access-request/{}", row.get_ref(3)?.as_str()?))?,
            consent,
        });
    }
    Ok(consents)
}

pub(super) fn support_requests_of(
    connection: &Connection,
    assignee: &PersonId,
    page: &Page,
) -> Result<Vec<SupportRequest>, Trouble> {
    let sql = "SELECT id, body FROM support_request WHERE assignee = ?1 AND (opened_at, id) < (?2, ?3)
               ORDER BY opened_at DESC, id DESC LIMIT ?4";
    of_person(connection, sql, "support-request", assignee, page)
}

pub(super) fn access_requests_by(
    connection: &Connection,
    requested_by: &PersonId,
    page: &Page,
) -> Result<Vec<AccessRequest>, Trouble> {
    let sql = "SELECT id, body FROM access_request WHERE requested_by = ?1 AND (created_at, id) < (?2, ?3)
               ORDER BY created_at DESC, id DESC LIMIT ?4";
    of_person(connection, sql, "access-request", requested_by, page)
}

fn of_person<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    kind: &str,
    person: &PersonId,
    page: &Page,
) -> Result<Vec<T>, Trouble> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![person.as_str(), page.at, page.id, page.limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(decode(row.get_ref(1)?, format_args!("{kind}/{}", row.get_ref(0)?.as_str()?))?);
    }
    Ok(found)
}

pub(super) fn activities_of(
    connection: &Connection,
    tenant: &TenantId,
    filter: &ActivityFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<NumberedActivity>, Trouble> {
    let (sql, params) = activities_query(tenant, filter, before, limit);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(params))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let number = u64::try_from(number).map_err(|error| Trouble::torn(format_args!("activity/{tenant}"), &error))?;
        let activity = decode(row.get_ref(1)?, format_args!("activity/{tenant}/{number}"))?;
        found.push(NumberedActivity { number, activity });
    }
    Ok(found)
}

fn activities_query(
    tenant: &TenantId,
    filter: &ActivityFilter,
    before: Option<u64>,
    limit: usize,
) -> (String, Vec<Value>) {
    let text = |text: &str| Value::from(text.to_owned());
    let conditions = [
        (" AND number < ?", before.map(|number| Value::from(i64::try_from(number).unwrap_or(i64::MAX)))),
        (" AND at >= ?", filter.from.map(|from| Value::from(from.as_millis()))),
        (" AND at < ?", filter.to.map(|to| Value::from(to.as_millis()))),
        (" AND kind = ?", filter.kind.map(|kind| text(kind.as_str()))),
        (" AND actor = ?", filter.actor.as_ref().map(|actor| text(actor.as_str()))),
        (" AND support_request = ?", filter.support_request.as_ref().map(|id| text(id.as_str()))),
    ];
    // SQLite has no statistics and would go through the tenant's whole log by number.
    let index = filter.support_request.as_ref().map_or("", |_| "INDEXED BY activity_by_support_request");
    let mut sql = format!("SELECT number, body FROM activity {index} WHERE tenant = ?");
    let mut params = vec![text(tenant.as_str())];
    for (condition, param) in conditions {
        if let Some(param) = param {
            sql.push_str(condition);
            params.push(param);
        }
    }
    sql.push_str(" ORDER BY number DESC LIMIT ?");
    params.push(Value::from(sql_limit(limit)));
    (sql, params)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::model::SupportRequestId;
    use crate::store::sqlite::schema::MIGRATIONS;

    /// What a search in contoso's log costs, in steps of SQLite's machine, when fabrikam's is this long.
    fn steps(filter: &ActivityFilter, others: usize) -> i32 {
        let connection = Connection::open_in_memory().unwrap();
        for step in MIGRATIONS {
            connection.execute_batch(step).unwrap();
        }
        let mut insert = connection.prepare("INSERT INTO activity VALUES (?1, ?2, ?2, 'x', ?3, ?4, '{}')").unwrap();
        for (tenant, entries) in [("contoso", 50), ("fabrikam", others)] {
            for n in 0..entries {
                let (actor, case) = (format!("{tenant}/admin-{}", n % 3), format!("SR-{tenant}-{}", n % 5));
                insert.execute(params![tenant, i64::try_from(n).unwrap(), actor, case]).unwrap();
            }
        }
        let (sql, params) = activities_query(&TenantId::new("contoso").unwrap(), filter, None, 10);
        let mut search = connection.prepare(&sql).unwrap();
        let found = search.query(params_from_iter(params)).unwrap().mapped(|row| row.get::<_, i64>(0)).count();
        assert!(found <= 10);
        search.get_status(StatementStatus::VmStep)
    }

    #[test]
    fn what_a_search_costs_tells_nothing_of_other_tenants() {
        let actor = |name: &str| ActivityFilter { actor: Some(name.parse().unwrap()), ..ActivityFilter::default() };
        let case = |id: &str| ActivityFilter {
            support_request: Some(SupportRequestId::new(id).unwrap()),
            ..ActivityFilter::default()
        };
        for filter in
            [ActivityFilter::default(), actor("contoso/admin-1"), actor("fabrikam/admin-1"), case("SR-fabrikam-1")]
        {
            assert_eq!(steps(&filter, 0), steps(&filter, 500), "{filter:?}");
        }
        // What others have costs what nobody has.
        assert_eq!(steps(&actor("fabrikam/admin-1"), 500), steps(&actor("nobody/nobody"), 500));
        assert_eq!(steps(&case("SR-fabrikam-1"), 500), steps(&case("SR-nobody"), 500));
        assert!(steps(&case("SR-contoso-1"), 0) > steps(&case("SR-nobody"), 0), "the measure sees a difference");
    }
}
