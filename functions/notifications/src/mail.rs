//! The text of a digest: the number of unread notifications of each kind. It contains no names and no other data that a policy
//! protects.

use crate::{domain::Kind, schedules::COUNTED};
use std::collections::BTreeMap;

const TEXT: &str = include_str!("templates/digest.txt");
const HTML: &str = include_str!("templates/digest.html");

/// Subject, text and HTML.
pub(crate) fn digest(counts: &BTreeMap<Kind, u32>) -> (String, String, String) {
    let all: u32 = counts.values().sum();
    let most = if all >= COUNTED { "at least " } else { "" };
    let number = |n: u32, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let subject = format!("{most}{}", number(all, "unread notification", "unread notifications"));
    let lines: Vec<String> = counts.iter().map(|(kind, n)| number(*n, kind.in_words(true), kind.in_words(false))).collect();
    let list = |before: &str, after: &str| lines.iter().map(|line| format!("{before}{line}{after}")).collect::<String>();
    let fill = |template: &str, lines: String| template.replace("{{count}}", &subject).replace("{{lines}}\n", &lines);
    let (text, html) = (fill(TEXT, list("- ", "\n")), fill(HTML, list("    <li>", "</li>\n")));
    (capital(&subject), text, html)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_contains_the_count_of_each_kind() {
        let (subject, text, html) = digest(&[(Kind::ShipmentException, 1), (Kind::ShipmentStatusChanged, 2)].into());
        assert_eq!(subject, "3 unread notifications");
        assert!(text.contains("You have 3 unread notifications"), "{text}");
        assert!(text.contains("- 2 changes of shipments' status\n- 1 shipment with a problem\n"), "{text}");
        assert!(html.contains("<li>1 shipment with a problem</li>"), "{html}");
        for whole in [text, html] {
            assert!(!whole.contains("{{"), "{whole}");
        }
    }

    #[test]
    fn digest_of_more_than_it_counts_says_at_least() {
        assert_eq!(digest(&[(Kind::ShipmentUpdated, COUNTED)].into()).0, "At least 100 unread notifications");
        assert_eq!(digest(&[(Kind::ShipmentUpdated, 1)].into()).0, "1 unread notification");
    }
}
