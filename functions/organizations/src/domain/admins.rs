//! The administrators of a tenant.

use common::base::{Grant, Role};

/// `grants` with a permanent administrator role; `None` if they contain it already.
pub fn appointed(grants: &[Grant]) -> Option<Vec<Grant>> {
    let for_good = Grant::always(Role::TenantAdmin);
    let mut others = dismissed(grants).unwrap_or_else(|| grants.to_vec());
    if others.len() + 1 == grants.len() && grants.contains(&for_good) {
        return None;
    }
    others.push(for_good);
    Some(others)
}

/// `grants` without the administrator role; `None` if they do not contain it.
pub fn dismissed(grants: &[Grant]) -> Option<Vec<Grant>> {
    let others: Vec<_> = grants.iter().filter(|grant| grant.role != Role::TenantAdmin).cloned().collect();
    (others.len() < grants.len()).then_some(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::base::Timestamp;

    #[test]
    fn administrator_is_appointed_permanently_and_once() {
        let (viewer, admin) = (Grant::always(Role::Viewer), Grant::always(Role::TenantAdmin));
        let for_a_time = Grant { valid_until: Some(Timestamp::from_millis(1)), ..admin.clone() };
        assert_eq!(appointed(std::slice::from_ref(&viewer)), Some(vec![viewer.clone(), admin.clone()]));
        assert_eq!(appointed(&[for_a_time.clone(), viewer.clone()]), Some(vec![viewer.clone(), admin.clone()]));
        assert_eq!(appointed(&[admin.clone(), viewer.clone()]), None);
        assert_eq!(dismissed(&[admin, viewer.clone(), for_a_time]), Some(vec![viewer.clone()]));
        assert_eq!(dismissed(&[viewer]), None);
    }
}
