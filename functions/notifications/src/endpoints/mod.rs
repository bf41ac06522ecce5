//! The domain's endpoints, one a file. A caller sees and changes only their own inbox.

use crate::domain::NotificationId;
use common::{
    base::{Principal, TenantId, UserId},
    policy::{Attribute, Resource},
    request::PathId,
};

common::endpoints! {
    tenant list_notifications::ListNotifications,
    tenant read_notification::ReadNotification,
    tenant read_all_notifications::ReadAllNotifications,
    tenant get_preferences::GetPreferences,
    tenant put_preferences::PutPreferences,
    tenant create_socket_ticket::CreateSocketTicket,
}

impl PathId for NotificationId {
    const NAME: &'static str = "notification_id";
}

/// A user's inbox, as the policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Inbox {
    tenant: TenantId,
    user: UserId,
}

impl Inbox {
    fn of(principal: &Principal) -> Self {
        Self { tenant: principal.tenant(), user: principal.user() }
    }
}

impl Resource for Inbox {
    const TYPE: &'static str = "Inbox";
    fn id(&self) -> String {
        self.user.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("user", Attribute::Entity("User", self.user.to_string()))]
    }
}
