//! The target that `FUZZ_TARGET` names, for libFuzzer.
#![no_main]

use std::sync::LazyLock;

use doorbell_fuzz::{Target, named};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    named(&name).expect("a target of that name")
});

fuzz_target!(|bytes: &[u8]| (TARGET.read)(bytes));
