//! What lies in the tables, to be compared with what lies there later.

use common::base::TenantId;
use testing::App;

/// What lies in these tables of a tenant's, as sorted texts.
pub async fn of(app: &App, tenant: TenantId, tables: &[&str]) -> Vec<String> {
    beginning_with(app, &format!("{tenant}#"), tables).await
}

/// The same of everybody's.
pub async fn of_all(app: &App, tables: &[&str]) -> Vec<String> {
    beginning_with(app, "", tables).await
}

async fn beginning_with(app: &App, prefix: &str, tables: &[&str]) -> Vec<String> {
    let mut items = Vec::new();
    for table in tables {
        for item in app.dump(table).await {
            let own = item["pk"].as_s().unwrap().starts_with(prefix);
            let sorted: std::collections::BTreeMap<_, _> = item.into_iter().collect();
            items.extend(own.then(|| format!("{sorted:?}")));
        }
    }
    items.sort();
    items
}

/// What stands in the one and not in the other: what a failed comparison shows.
pub fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let lacks = |of: &[String], other: &[String], sign: char| {
        let missing = of.iter().filter(|item| !other.contains(item));
        missing.map(|item| format!("{sign} {item}")).collect::<Vec<_>>()
    };
    [lacks(before, after, '-'), lacks(after, before, '+')].concat()
}
