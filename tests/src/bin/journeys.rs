//! Parcels' journeys under injected faults, for as many parcels as you choose:
//! `cargo run -p suite --bin journeys -- --shipments 10000`.

#![expect(clippy::unwrap_used, reason = "an invalid argument ends the program")]

use std::{process::ExitCode, time::Instant};
use suite::journeys::{Plan, play};

const USAGE: &str = "journeys [--shipments N] [--seed N] [--failing PERCENT] [--copies N] [--killed PERCENT] [--at-once N]";

#[tokio::main]
async fn main() -> ExitCode {
    let mut plan = Plan { shipments: 1000, seed: 1, failing: 30, copies: 3, killed: 5, at_once: 16 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let Some(number) = words.next().and_then(|n| n.parse::<u64>().ok()) else {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        };
        match word.as_str() {
            "--shipments" => plan.shipments = usize::try_from(number).unwrap(),
            "--seed" => plan.seed = number,
            "--failing" => plan.failing = u8::try_from(number.min(100)).unwrap(),
            "--copies" => plan.copies = u32::try_from(number).unwrap(),
            "--killed" => plan.killed = u8::try_from(number.min(100)).unwrap(),
            "--at-once" => plan.at_once = usize::try_from(number).unwrap().max(1),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    println!("{plan:?}");
    let began = Instant::now();
    let outcome = play(plan, |played| {
        eprint!("\r{} hours, {} messages, {:.0} s ", played.hours, played.handled, began.elapsed().as_secs_f64());
    })
    .await;
    eprintln!();
    println!(
        "{} parcels, {} events, {} notifications, {} audit events sealed; {} messages handled, {} consumers killed, {} dead \
         letters redriven; {:.0} s",
        outcome.statuses.len(),
        outcome.events,
        outcome.notifications,
        outcome.sealed,
        outcome.handled,
        outcome.killed,
        outcome.redriven,
        began.elapsed().as_secs_f64(),
    );
    let astray = outcome.statuses.iter().filter(|(number, status)| outcome.truth.get(*number) != Some(status));
    let astray: Vec<_> = astray
        .map(|(number, status)| format!("{number}: {status}, but {:?} at the carrier", outcome.truth.get(number)))
        .collect();
    for line in outcome.wrong.iter().chain(&astray).take(50) {
        println!("wrong: {line}");
    }
    println!("{} wrong", outcome.wrong.len() + astray.len());
    if outcome.wrong.is_empty() && astray.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
