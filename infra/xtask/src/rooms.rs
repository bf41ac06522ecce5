//! `cargo xtask rooms`: how the modules of `shared/common` depend on each other, by layer.

mod graph;
#[cfg(test)]
mod tests;

use crate::{Outcome, workspace};
use graph::{Graph, LAYERS, layer};
use std::process::ExitCode;

/// Measure how the modules of `common` depend on each other, and check its layers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Another crate's `src`, such as an older version of `common`
    #[arg(long, value_name = "PATH")]
    src: Option<std::path::PathBuf>,
}

pub(crate) fn run(args: Args) -> Outcome {
    let src = args.src.unwrap_or_else(|| workspace::root().join("shared/common/src"));
    let graph = Graph::read(&src)?;
    let modules = graph.modules();
    println!("{} modules, {} uses between them", modules.len(), graph.uses().count());
    for (at, room) in LAYERS.iter().enumerate() {
        let here = modules.iter().filter(|name| layer(name) == Some(at));
        println!("{room:>14}: {} modules", here.count());
    }
    println!("{} uses go up a layer", graph.arrows_up().len());
    match graph.circles().first() {
        Some(circle) => println!("the largest circle has {} modules: {}", circle.len(), circle.join(", ")),
        None => println!("no circles"),
    }
    let faults = graph.faults();
    for fault in &faults {
        eprintln!("{fault}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
