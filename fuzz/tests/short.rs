//! A short run of every target, each a test. `FUZZ_SEED` names the seed: otherwise it is the same
//! each time, so that a change is not blamed for what was there before.

use doorbell_fuzz::TARGETS;
use doorbell_fuzz::run::{Inputs, run};

#[test]
fn every_promise_holds_for_inputs_that_nobody_meant() {
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let failures: Vec<String> = TARGETS
        .iter()
        .filter_map(|target| run(target, Inputs { seed, from: 0, count: target.short }).err())
        .map(|failure| failure.to_string())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
