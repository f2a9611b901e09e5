//! The fault suite: each row of the hazards table as a scenario on real processes, a real broker, a real
//! database and a real Redis, with faults between them, judged by an oracle that asks the product nothing
//! but what it owes.

pub mod failure;
pub mod figures;
pub mod model;
pub mod oracle;
pub mod process;
pub mod scenarios;
pub mod services;
pub mod stage;
pub mod wait;

use std::time::Instant;

use figures::Figures;
use scenarios::Scenario;
use services::Services;

/// Plays scenarios one after another and prints a line for each.
pub async fn play(services: &Services, chosen: &[&Scenario], seed: u64) -> Vec<Figures> {
    let mut all = Vec::with_capacity(chosen.len());
    for scenario in chosen {
        eprintln!("faults: row {}: {} …", scenario.rows, scenario.name);
        let began = Instant::now();
        let mut figures = Figures { rows: scenario.rows, scenario: scenario.title, seed, ..Figures::default() };
        if let Err(failure) = scenario.play(services, &mut figures).await {
            figures.broken.push(failure.0);
        }
        figures.duration = began.elapsed();
        let verdict = if figures.is_green() { "ok" } else { "BROKEN" };
        eprintln!(
            "faults: row {}: {} {verdict} in {:.1} s",
            scenario.rows,
            scenario.name,
            figures.duration.as_secs_f64()
        );
        for words in &figures.broken {
            eprintln!("    {words}");
        }
        all.push(figures);
    }
    all
}
