//! The calls of each role, as `policies/calls.txt` lists them. For tables, the user pool and the audit log, a function's role
//! grants a call only if the function's needs allow it and the list contains it. The role is as narrow as the calls of the tests.

use std::{collections::BTreeSet, sync::LazyLock};

/// Included at compile time, so that a changed list rebuilds this program.
const TEXT: &str = include_str!("../../../../policies/calls.txt");

static LIST: LazyLock<List> = LazyLock::new(|| List::read(TEXT));

/// The credentials of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum With {
    /// The function's own role: the platform's partition, or every tenant's where one transaction names several.
    OwnRole,
    /// The same, for a call that the tests make in a tenant only: for users, messages and items of the platform's own tenant the
    /// function makes it by its own role.
    OwnRoleInPlatform,
    /// A session of its tenant role: one tenant's partition.
    TenantSession,
}

impl With {
    const ALL: [Self; 3] = [Self::OwnRole, Self::OwnRoleInPlatform, Self::TenantSession];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::OwnRole => "own",
            Self::OwnRoleInPlatform => "platform",
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
    /// If a line is not a function, `own`, `platform` or `tenant`, a resource and its actions: the list is part of this program.
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

/// The listed calls of a function. Its role grants those that its needs allow.
#[derive(Debug)]
pub(crate) enum Calls {
    /// The function is not in the list yet.
    All,
    Listed(BTreeSet<Call>),
}

impl Calls {
    /// By its own role if tenants are separated.
    pub(crate) fn own(function: &str) -> Self {
        Self::of(function, &[With::OwnRole, With::OwnRoleInPlatform])
    }

    pub(crate) fn in_a_tenant(function: &str) -> Self {
        Self::of(function, &[With::TenantSession])
    }

    /// By its own role if tenants are not separated.
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

/// Prefixes of the resources whose grants the list decides. For others, the function's needs decide.
pub(crate) const DECIDED_BY_LIST: [&str; 8] =
    ["records", "ledger", "keys", "ephemera", "user_pool", "checkpoint_key", "audit/", "socket_api"];

/// Every listed call, with the credentials that make it.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, With, Call)> {
    LIST.0.iter().copied()
}
