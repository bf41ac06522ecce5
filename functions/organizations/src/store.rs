//! The layout of a tenant's profile in the tables: one item, `TENANT` / `PROFILE`, in the tenant's own partition.
//!
//! | Attribute | Content | Read by |
//! |---|---|---|
//! | `name`, `status`, `baa_signed_at`, `baa_expires_at`, `allowed_networks`, `settings`, `created_at`, `version` | [`Tenant`] |
//! every request |
//! | `display_name` | the name for people | this domain |
//! | `baa_document_sha256` | the hash of the signed document | this domain |
//! | `sealed` | [`Persons`] | this domain |
//! | `first_admin` | [`FirstAdmin`], under the platform's key, until they are invited | this domain |
//! | `ix_due_at` | the time of the next warning that its agreement ends | `warn_baa` |
//!
//! The item is only updated by edits, so attributes that one version of the code does not know are kept.

use crate::domain::{Agreement, FirstAdmin, Persons};
use common::{
    base::{Error, Result, TenantId, Timestamp, network::AllowList},
    identity::{BAA_WARNINGS, BaaTerm, Settings, Tenant, TenantStatus, profile_key},
    request::Reader,
    store::{Condition, Edit, Item, Row, Version},
};
use phi::Sealed;

/// A tenant's profile as it was read.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(crate) id: TenantId,
    pub(crate) tenant: Tenant,
    /// The stored status.
    pub(crate) status: String,
    pub(crate) display_name: Option<String>,
    pub(crate) document: Option<String>,
    pub(crate) persons: Option<Sealed<Persons>>,
    pub(crate) first_admin: Option<Sealed<FirstAdmin>>,
    /// The time of the next warning that its agreement ends.
    pub(crate) warned_at: Option<Timestamp>,
}

const DUE_AT: &str = "ix_due_at";

/// The place to which the sealed persons are bound.
pub(crate) fn place() -> String {
    profile_key().place().to_owned()
}

/// The place, in the platform's scope, to which the first administrator of a pending tenant is bound.
pub(crate) fn first_admins_place(tenant: TenantId) -> String {
    format!("FOUNDING#{tenant}")
}

/// The profile of a tenant that has a name but no keys yet.
pub(crate) fn founded(name: String, display_name: Option<String>, admin: Sealed<FirstAdmin>, now: Timestamp) -> Result<Item> {
    let item = Tenant::new(name, TenantStatus::Pending, now).into_item()?;
    Ok(item.maybe("display_name", display_name).bytes("first_admin", admin.into_bytes()))
}

impl Stored {
    /// # Errors
    /// 404 if there is no such tenant; 503.
    pub(crate) async fn read(reader: Reader<'_>, id: TenantId) -> Result<Self> {
        Self::from_row(id, &reader.get(&profile_key()).await?.ok_or(Error::NotFound)?)
    }

    pub(crate) fn from_row(id: TenantId, row: &Row) -> Result<Self> {
        let bytes = |name: &str| row.maybe_bytes(name).map(<[u8]>::to_vec);
        let unreadable = |_| Error::internal("organization");
        Ok(Self {
            id,
            tenant: Tenant::from_row(row)?,
            status: row.text("status")?.to_owned(),
            display_name: row.maybe_text("display_name").map(str::to_owned),
            document: row.maybe_text("baa_document_sha256").map(str::to_owned),
            persons: bytes("sealed").map(Sealed::from_bytes).transpose().map_err(unreadable)?,
            warned_at: row.maybe(DUE_AT)?,
            first_admin: bytes("first_admin").map(Sealed::from_bytes).transpose().map_err(unreadable)?,
        })
    }

    /// The edit to the next version, which fails if the profile has changed since it was read.
    fn edit(&self) -> Edit {
        let status = Condition::Is("status", self.status.clone());
        let as_it_was = Condition::All(vec![Condition::VersionIs(self.tenant.version), status]);
        Edit::of(profile_key()).number("version", self.tenant.version.next().0).when(as_it_was)
    }

    fn next(&mut self) {
        self.tenant.version = self.tenant.version.next();
    }

    pub(crate) const fn version(&self) -> Version {
        self.tenant.version
    }

    pub(crate) fn set_status(&mut self, status: TenantStatus) -> Edit {
        let edit = self.edit().text("status", status.as_str());
        self.tenant.status = status;
        status.as_str().clone_into(&mut self.status);
        self.next();
        edit
    }

    /// Activates the tenant and removes the first administrator, who is invited in the same transaction.
    pub(crate) fn activate(&mut self) -> Edit {
        self.first_admin = None;
        self.set_status(TenantStatus::Active).remove("first_admin")
    }

    /// Sets the display name and, if they change, the persons.
    pub(crate) fn set_profile(&mut self, display_name: Option<String>, persons: Option<Sealed<Persons>>) -> Edit {
        let edit = self.edit();
        let edit = match &display_name {
            Some(name) => edit.text("display_name", name),
            None => edit.remove("display_name"),
        };
        self.display_name = display_name;
        self.next();
        let Some(persons) = persons else { return edit };
        self.persons = Some(persons.clone());
        edit.bytes("sealed", persons.into_bytes())
    }

    pub(crate) fn set_agreement(&mut self, agreement: &Agreement, persons: Sealed<Persons>) -> Edit {
        let term @ BaaTerm { signed_at, expires_at } = agreement.term;
        let edit = self
            .edit()
            .text("baa_signed_at", signed_at)
            .text("baa_expires_at", expires_at)
            .text("baa_document_sha256", agreement.document.as_str())
            .bytes("sealed", persons.clone().into_bytes());
        self.tenant.baa = Some(term);
        self.document = Some(agreement.document.as_str().to_owned());
        self.persons = Some(persons);
        self.next();
        warned(edit, Some(term.warned_first()))
    }

    pub(crate) fn set_settings(&mut self, settings: Settings) -> Edit {
        let settings = self.tenant.settings.with(settings);
        let edit = self.edit().text("settings", settings.to_text());
        self.tenant.settings = settings;
        self.next();
        edit
    }

    pub(crate) fn set_networks(&mut self, networks: AllowList) -> Result<Edit> {
        let text = serde_json::to_string(&networks).map_err(|_| Error::internal("networks"))?;
        let edit = self.edit().text("allowed_networks", text);
        self.tenant.allowed_networks = networks;
        self.next();
        Ok(edit)
    }
}

/// Records that the tenant was warned of its agreement's end, which was due `at`. The version stays, because the agreement is
/// unchanged.
pub(crate) fn told(term: BaaTerm, at: Timestamp, next: Option<Timestamp>) -> Edit {
    let same_term = Condition::Is("baa_expires_at", term.expires_at.to_string());
    let still_due = Condition::Is(DUE_AT, at.to_string());
    warned(Edit::of(profile_key()).when(Condition::All(vec![same_term, still_due])), next)
}

fn warned(edit: Edit, next: Option<Timestamp>) -> Edit {
    match next {
        Some(at) => edit.due(BAA_WARNINGS, at),
        None => edit.not_due(),
    }
}
