//! One target for libFuzzer: the one that has the name of the program that this is compiled for.
#![no_main]

use std::sync::LazyLock;

use doorbell_fuzz::{Target, named};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> =
    LazyLock::new(|| named(env!("CARGO_BIN_NAME")).expect("a target of that name"));

fuzz_target!(|bytes: &[u8]| (TARGET.read)(bytes));
