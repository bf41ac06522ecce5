//! The calls of tables that each function makes, as `policies/calls.txt` lists them. A role grants what its function's needs
//! allow and the list names, so that a role is as narrow as the calls that the tests have seen.

use std::{collections::BTreeSet, sync::LazyLock};

/// Read when this program is built, so that a changed list builds it anew.
const TEXT: &str = include_str!("../../../../policies/calls.txt");

static LIST: LazyLock<List> = LazyLock::new(|| List::read(TEXT));

/// With whose credentials a function calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum With {
    /// The function's own role: the platform's partition, or every tenant's where one transaction names several.
    OwnRole,
    /// A session of its tenant role: one tenant's partition.
    TenantSession,
}

impl With {
    const ALL: [Self; 2] = [Self::OwnRole, Self::TenantSession];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::OwnRole => "own",
            Self::TenantSession => "tenant",
        }
    }
}

/// One call: `records` or `records/index/due`, and `Query`.
pub(crate) type Call = (&'static str, &'static str);

#[derive(Debug)]
struct List(BTreeSet<(&'static str, With, Call)>);

impl List {
    /// # Panics
    /// If a line is not a function, `own` or `tenant`, a table and its actions: the list is part of this program.
    fn read(text: &'static str) -> Self {
        let mut list = BTreeSet::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let (function, with, table) = (words.next(), words.next(), words.next());
            let with = With::ALL.into_iter().find(|it| Some(it.as_str()) == with);
            let (Some(function), Some(with), Some(table)) = (function, with, table) else {
                panic!("policies/calls.txt: `{line}`");
            };
            list.extend(words.map(|action| (function, with, (table, action))));
        }
        Self(list)
    }
}

/// The listed calls of a function; nothing where the list does not know the function, whose role then grants all that its needs allow.
pub(crate) fn of(function: &str, with: With) -> Option<BTreeSet<Call>> {
    let known = LIST.0.iter().any(|(name, ..)| *name == function);
    known.then(|| LIST.0.iter().filter(|(name, by, _)| *name == function && *by == with).map(|(.., call)| *call).collect())
}

/// Every listed call.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = (&'static str, With, Call)> {
    LIST.0.iter().copied()
}
