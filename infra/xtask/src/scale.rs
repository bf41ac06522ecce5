//! `cargo xtask scale`: computes which limit saturates first, from the code's constants.
//!
//! It counts calls from schedules, caches and limits; it runs and times nothing. For AWS it uses the documented default quotas.
//! `docs/scale.md` holds the result, and a test compares the two.

mod aws;
mod demand;

use crate::{Outcome, workspace};
use demand::{Row, Size, rows};
use std::{fmt::Write as _, fs, process::ExitCode};

const PAGE: &str = "docs/scale.md";
const BEGIN: &str = "<!-- scale: written by `cargo xtask scale --write` -->\n";
const END: &str = "<!-- /scale -->\n";

/// Print which quota or limit a deployment of some size reaches first
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The number of tenants
    #[arg(long, default_value_t = Size::DOCUMENTED.tenants)]
    tenants: u64,
    /// Users of the largest tenant, all behind one address
    #[arg(long, default_value_t = Size::DOCUMENTED.largest)]
    largest: u64,
    /// The number of shipments, registered within 120 days
    #[arg(long, default_value_t = Size::DOCUMENTED.shipments)]
    shipments: u64,
    /// Write the result for the documented size into docs/scale.md
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

/// The page with the section between its marks replaced.
fn with_section(page: &str, section: &str) -> Result<String, String> {
    let outside = |mark: &str| format!("{PAGE} has no `{}`", mark.trim());
    let (before, rest) = page.split_once(BEGIN).ok_or_else(|| outside(BEGIN))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| outside(END))?;
    Ok(format!("{before}{BEGIN}{section}{END}{after}"))
}

/// The table, sorted by what saturates first.
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

/// A figure with its significant digits.
fn figure(value: f64) -> String {
    if value >= 100.0 {
        count(value.round() as u64)
    } else if value >= 10.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// A count with commas between thousands.
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
    fn page_has_the_commands_output() {
        let page = fs::read_to_string(workspace::root().join(PAGE)).unwrap();
        let written = with_section(&page, &report(&Size::DOCUMENTED)).unwrap();
        assert!(page == written, "run `cargo xtask scale --write`");
    }

    #[test]
    fn each_row_saturates_at_the_size_that_it_names_and_not_before() {
        let size = Size::DOCUMENTED;
        for row in rows(&size) {
            let Some(factor) = row.factor(&size) else { continue };
            let share = |factor: f64| row.of(&size.times(row.grows, factor)) / row.allowed;
            assert!(share(factor * 1.01) >= 1.0, "{}: {}", row.what, share(factor * 1.01));
            assert!(share(factor * 0.99) <= 1.0, "{}: {}", row.what, share(factor * 0.99));
        }
    }

    #[test]
    fn figures_are_rounded_and_grouped() {
        assert_eq!([0.04, 4.0, 45.67, 1234.5, 10_000_000.0].map(figure), ["0.0", "4.0", "46", "1,235", "10,000,000"]);
    }
}
