//! Many inputs for one target, on every core.

use std::cell::Cell;
use std::fmt;
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, available_parallelism};

use crate::mutate::{Chance, input};
use crate::{Target, corpus};

/// Inputs that a thread takes at a time.
const TAKE: u64 = 256;

/// Which inputs.
#[derive(Debug, Clone, Copy)]
pub struct Inputs {
    /// What they are made of, with their number.
    pub seed: u64,
    /// The number of the first.
    pub from: u64,
    /// How many there are.
    pub count: u64,
}

/// A promise that did not hold.
#[derive(Debug)]
pub struct Failure {
    target: &'static str,
    seed: u64,
    number: u64,
    input: Vec<u8>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, seed, number, input } = self;
        write!(
            f,
            "{target} fails for {} bytes: \"{}\"\n\
             again: cargo run --release -p doorbell-fuzz -- {target} --seed {seed} --from {number} \
             --inputs 1",
            input.len(),
            input.escape_ascii()
        )
    }
}

thread_local! {
    /// Whether something has panicked on this thread, be it a task whose panic its runtime keeps.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Reads every file of the corpus as it is, then so many inputs made of them. What panics says so
/// itself.
pub fn run(target: &Target, inputs: Inputs) -> Result<(), Failure> {
    note_panics();
    let corpus = corpus::read(target.name).unwrap_or_else(|error| {
        panic!("{}: {error}", corpus::folder(target.name).display());
    });
    let failure = |number, input: &[u8]| Failure {
        target: target.name,
        seed: inputs.seed,
        number,
        input: input.to_owned(),
    };
    for bytes in &corpus {
        if !holds(target, bytes) {
            return Err(failure(inputs.from, bytes));
        }
    }
    let end = inputs.from.saturating_add(inputs.count);
    let (next, failed) = (AtomicU64::new(inputs.from), AtomicBool::new(false));
    let work = || {
        loop {
            let start = next.fetch_add(TAKE, Ordering::Relaxed);
            if start >= end || failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            for number in start..end.min(start + TAKE) {
                let bytes = input(&corpus, target.words, &mut Chance::of(inputs.seed, number));
                if !holds(target, &bytes) {
                    failed.store(true, Ordering::Relaxed);
                    return Err(failure(number, &bytes));
                }
            }
        }
    };
    let threads = available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("panics are caught"))
    })
}

fn holds(target: &Target, bytes: &[u8]) -> bool {
    let read = panic::catch_unwind(AssertUnwindSafe(|| (target.read)(bytes)));
    // Taken in any case: the next input begins anew.
    let panicked = PANICKED.take();
    read.is_ok() && !panicked
}

/// Lets a panic be noted where it happens. It is said as ever.
fn note_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let say = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            say(info);
        }));
    });
}
