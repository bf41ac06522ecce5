//! The contents of tables, to compare them before and after.

use common::base::TenantId;
use testing::App;

/// A tenant's items in these tables, as sorted texts.
pub async fn of(app: &App, tenant: TenantId, tables: &[&str]) -> Vec<String> {
    beginning_with(app, &format!("{tenant}#"), tables).await
}

/// The items of all tenants in these tables, as sorted texts.
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

/// The items that only one of the two has, for the message of a failed comparison.
pub fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let lacks = |of: &[String], other: &[String], sign: char| {
        let missing = of.iter().filter(|item| !other.contains(item));
        missing.map(|item| format!("{sign} {item}")).collect::<Vec<_>>()
    };
    [lacks(before, after, '-'), lacks(after, before, '+')].concat()
}
