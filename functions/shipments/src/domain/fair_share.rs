//! Divides the carrier's quota between tenants by max-min fairness.

/// The number of polls out of `quota` that each tenant gets for its `due` shipments.
///
/// A tenant that needs less than an equal part gets everything that it needs, and the rest of its part is divided among the
/// others. No tenant can get more without taking it from a tenant that has no more (max-min fairness; Bertsekas and Gallager,
/// *Data Networks*, section 6.5.2). The indivisible remainder rotates: `turn` is the number of the minute, and with the same
/// tenants and the same demand each is served in turn.
/// same wishes are served in turn.
pub fn fair_share<T: Copy>(quota: u32, turn: u64, due: &[(T, u32)]) -> Vec<(T, u32)> {
    let mut by_wish: Vec<usize> = (0..due.len()).collect();
    by_wish.sort_by_key(|&i| due[i].1);
    let mut shares = vec![0; due.len()];
    let mut left = quota;
    let mut waiting = &by_wish[..];
    while let Some((&least, rest)) = waiting.split_first() {
        let level = left / count(waiting);
        if due[least].1 > level {
            break;
        }
        shares[least] = due[least].1;
        left -= due[least].1;
        waiting = rest;
    }
    if !waiting.is_empty() {
        let (level, remainder) = (left / count(waiting), left % count(waiting));
        let mut round = waiting.to_vec();
        round.sort_unstable();
        let first = usize::try_from(turn.wrapping_mul(u64::from(remainder)) % u64::from(count(waiting))).unwrap_or(0);
        round.rotate_left(first);
        for (place, &i) in (0_u32..).zip(&round) {
            shares[i] = level + u32::from(place < remainder);
        }
    }
    due.iter().zip(shares).map(|((tenant, _), share)| (*tenant, share)).collect()
}

fn count(waiting: &[usize]) -> u32 {
    u32::try_from(waiting.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(quota: u32, due: &[u32]) -> Vec<u32> {
        let due: Vec<_> = due.iter().copied().enumerate().collect();
        fair_share(quota, 0, &due).into_iter().map(|(_, share)| share).collect()
    }

    #[test]
    fn small_tenant_gets_its_full_demand_next_to_a_large_one() {
        assert_eq!(shares(60, &[100_000, 10]), [50, 10]);
        assert_eq!(shares(60, &[100_000, 10, 100_000, 0]), [25, 10, 25, 0]);
        assert_eq!(shares(60, &[100_000]), [60]);
        assert_eq!(shares(60, &[]), [0; 0]);
    }

    #[test]
    fn tenants_are_served_in_turn_if_the_quota_is_smaller_than_their_number() {
        let due: Vec<_> = (0..100_usize).map(|tenant| (tenant, 7)).collect();
        let mut served = [0; 100];
        for turn in 0..5 {
            for (tenant, share) in fair_share(60, turn, &due) {
                served[tenant] += share;
            }
        }
        // Five minutes of 60 are 300 polls.
        assert_eq!(served, [3; 100]);
    }

    proptest! {
        #[test]
        fn quota_is_used_up_and_no_tenant_exceeds_its_demand(
            quota in 0_u32..500, turn: u64, due in prop::collection::vec(0_u32..200, 0..40),
        ) {
            let due: Vec<_> = due.into_iter().enumerate().collect();
            let shares = fair_share(quota, turn, &due);
            let (given, wanted): (u32, u32) = (shares.iter().map(|(_, n)| n).sum(), due.iter().map(|(_, n)| n).sum());
            prop_assert_eq!(given, quota.min(wanted));
            prop_assert!(shares.iter().zip(&due).all(|((a, share), (b, due))| a == b && share <= due));
        }

        #[test]
        fn shares_are_max_min_fair(
            quota in 0_u32..500, turn: u64, due in prop::collection::vec(0_u32..200, 1..40),
        ) {
            let due: Vec<_> = due.into_iter().enumerate().collect();
            let shares = fair_share(quota, turn, &due);
            // Every tenant that needs more has as much as any other, except for the indivisible remainder.
            let most = shares.iter().map(|(_, share)| *share).max().unwrap();
            for ((_, share), (_, due)) in shares.iter().zip(&due) {
                prop_assert!(share == due || share + 1 >= most, "{shares:?} of {due:?}");
            }
        }

        #[test]
        fn every_tenant_is_served_within_a_bounded_number_of_minutes(
            quota in 1_u32..70, due in prop::collection::vec(1_u32..9, 1..60),
        ) {
            let due: Vec<_> = due.into_iter().enumerate().collect();
            let mut served = vec![0; due.len()];
            for turn in 0..due.len() as u64 {
                for (tenant, share) in fair_share(quota, turn, &due) {
                    served[tenant] += share;
                }
            }
            prop_assert!(served.iter().all(|n| *n > 0), "{served:?}");
        }
    }
}
