//! The calls that each role makes, as `policies/calls.txt` lists them. A function's role grants what the function's needs allow and,
//! of tables, the user pool and the audit log, the list names: it is as narrow as the calls that the tests have seen.

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

/// One call: `records`, `records/index/due`, `user_pool`, `audit/segments`, … and the action without its service.
pub(crate) type Call = (&'static str, &'static str);

#[derive(Debug)]
struct List(BTreeSet<(&'static str, With, Call)>);

impl List {
    /// # Panics
    /// If a line is not a function, `own` or `tenant`, a resource and its actions: the list is part of this program.
    fn read(text: &'static str) -> Self {
        let mut list = BTreeSet::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let (function, with, resource) = (words.next(), words.next(), words.next());
            let with = With::ALL.into_iter().find(|it| Some(it.as_str()) == with);
            let (Some(function), Some(with), Some(resource)) = (function, with, resource) else {
                panic!("policies/calls.txt: `{line}`");
            };
            list.extend(words.map(|action| (function, with, (resource, action))));
        }
        Self(list)
    }
}

/// The calls of a function that its role is to grant, of those that its needs allow.
#[derive(Debug)]
pub(crate) enum Calls {
    /// The list does not know the function yet.
    All,
    Listed(BTreeSet<Call>),
}

impl Calls {
    /// By its own role where tenants are separated.
    pub(crate) fn own(function: &str) -> Self {
        Self::of(function, &[With::OwnRole])
    }

    pub(crate) fn in_a_tenant(function: &str) -> Self {
        Self::of(function, &[With::TenantSession])
    }

    /// By its own role where tenants are not separated.
    pub(crate) fn everywhere(function: &str) -> Self {
        Self::of(function, &With::ALL)
    }

    fn of(function: &str, by: &[With]) -> Self {
        if !LIST.0.iter().any(|(name, ..)| *name == function) {
            return Self::All;
        }
        let is = |(name, with, _): &&(&str, With, Call)| *name == function && by.contains(with);
        Self::Listed(LIST.0.iter().filter(is).map(|(.., call)| *call).collect())
    }

    pub(crate) fn has(&self, resource: &'static str, action: &'static str) -> bool {
        match self {
            Self::All => true,
            Self::Listed(calls) => calls.contains(&(resource, action)),
        }
    }
}

/// The beginnings of the resources of which a role grants what the list names; of others, what the function needs.
pub(crate) const DECIDED_BY_LIST: [&str; 7] = ["records", "ledger", "keys", "ephemera", "user_pool", "checkpoint_key", "audit/"];

/// Every listed call, with the role that makes it.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, With, Call)> {
    LIST.0.iter().copied()
}
