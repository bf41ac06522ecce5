//! `cargo xtask scale`: what saturates first, by the code's own constants.
//!
//! Schedules, caches and limits are walked through and calls are counted; nothing is run and nothing is timed. What AWS allows is its
//! documented default. `docs/scale.md` holds the answer, and a test compares the two.

mod aws;
mod demand;

use crate::{Outcome, workspace};
use demand::{Row, Size, rows};
use std::{fmt::Write as _, fs, process::ExitCode};

const PAGE: &str = "docs/scale.md";
const BEGIN: &str = "<!-- scale: written by `cargo xtask scale --write` -->\n";
const END: &str = "<!-- /scale -->\n";

/// Prints which quota or limit a deployment of some size meets first
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many tenants there are
    #[arg(long, default_value_t = Size::DOCUMENTED.tenants)]
    tenants: u64,
    /// How many people the largest tenant has, all behind one address
    #[arg(long, default_value_t = Size::DOCUMENTED.largest)]
    largest: u64,
    /// How many shipments there are, registered within 120 days
    #[arg(long, default_value_t = Size::DOCUMENTED.shipments)]
    shipments: u64,
    /// Writes the answer for the documented size into docs/scale.md
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    if args.write {
        let path = workspace::root().join(PAGE);
        fs::write(&path, with_section(&fs::read_to_string(&path)?, &report(&Size::DOCUMENTED))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Args { tenants, largest, shipments, .. } = args;
    print!("{}", report(&Size { tenants, largest, shipments, ..Size::DOCUMENTED }));
    Ok(ExitCode::SUCCESS)
}

/// The page with another section between its marks.
fn with_section(page: &str, section: &str) -> Result<String, String> {
    let outside = |mark: &str| format!("{PAGE} has no `{}`", mark.trim());
    let (before, rest) = page.split_once(BEGIN).ok_or_else(|| outside(BEGIN))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| outside(END))?;
    Ok(format!("{before}{BEGIN}{section}{END}{after}"))
}

/// The table, what saturates first on top.
fn report(size: &Size) -> String {
    let mut all = rows(size);
    all.sort_by(|one, other| other.share().total_cmp(&one.share()));
    let mut text = format!(
        "{} tenants of {} people each, one of them of {} behind one address; {} shipments within 120 days.\n\n\
         | What | Allowed | By | Demand | Share | Full at |\n|---|---|---|---|---|---|\n",
        count(size.tenants),
        size.people,
        count(size.largest),
        count(size.shipments)
    );
    for row in &all {
        let Row { what, unit, allowed, by, demand, .. } = row;
        let share = format!("{:.0} %", row.share() * 100.0);
        let _ = writeln!(
            text,
            "| {what} | {} {unit} | {by} | {} | {} | {} |",
            figure(*allowed),
            figure(*demand),
            if row.share() > 1.0 { format!("**{share}**") } else { share },
            row.full_at(size)
        );
    }
    text
}

/// A figure with as many digits as it is worth.
fn figure(value: f64) -> String {
    if value >= 100.0 {
        count(value.round() as u64)
    } else if value >= 10.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// With commas between thousands.
fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_says_what_the_command_prints() {
        let page = fs::read_to_string(workspace::root().join(PAGE)).unwrap();
        let written = with_section(&page, &report(&Size::DOCUMENTED)).unwrap();
        assert!(page == written, "run `cargo xtask scale --write`");
    }

    #[test]
    fn each_row_is_full_at_the_size_that_it_names_and_not_before() {
        let size = Size::DOCUMENTED;
        for row in rows(&size) {
            let Some(factor) = row.factor(&size) else { continue };
            let share = |factor: f64| row.of(&size.times(row.grows, factor)) / row.allowed;
            assert!(share(factor * 1.01) >= 1.0, "{}: {}", row.what, share(factor * 1.01));
            assert!(share(factor * 0.99) <= 1.0, "{}: {}", row.what, share(factor * 0.99));
        }
    }

    #[test]
    fn figures_are_read_easily() {
        assert_eq!([0.04, 4.0, 45.67, 1234.5, 10_000_000.0].map(figure), ["0.0", "4.0", "46", "1,235", "10,000,000"]);
    }
}
