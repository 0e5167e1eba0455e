//! Clocks: stamps are what the wall clock says, ages are the time that passed.

use super::{TestFolder, read_all};
use crate::clock::Now;
use crate::log::Log;
use crate::log::contract::{HOUR_US, draft, entries};
use crate::log::segments::SegmentLog;

const MINUTE_US: u64 = HOUR_US / 60;
const DAY_US: u64 = 24 * HOUR_US;
/// 2026-11-29 12:00:00.
const NOON_US: u64 = 1_795_953_600_000_000;
const YEARS_US: u64 = 3 * 365 * DAY_US;

/// A folder whose log is kept for 12 hours, and a machine with its two clocks.
struct Machine {
    place: TestFolder,
    now: Now,
}

impl Machine {
    /// It is noon, and the machine has run for two days.
    fn new() -> Self {
        let mut place = TestFolder::new();
        place.retention.age = std::time::Duration::from_secs(12 * 3600);
        let since_boot_us = i64::try_from(2 * DAY_US).unwrap();
        let machine = Self { place, now: Now { unix_us: NOON_US, since_boot_us } };
        machine.place.clock.set(machine.now);
        machine
    }

    /// Time passes.
    fn pass(&mut self, micros: u64) {
        self.now.since_boot_us += i64::try_from(micros).unwrap();
        self.set(self.now.unix_us + micros);
    }

    /// Somebody sets the wall clock.
    fn set(&mut self, unix_us: u64) {
        self.now.unix_us = unix_us;
        self.place.clock.set(self.now);
    }

    fn append(&self, log: &SegmentLog, text: &str) {
        let stored = log.append(&entries([draft("a", text)]), self.now).unwrap();
        assert_eq!(stored[0].time_us(), self.now.unix_us);
    }

    /// The texts that are held when retention has looked.
    fn held(&self, log: &SegmentLog) -> String {
        log.expire(self.now);
        let told = read_all(log, "a", log.bounds().first - 1, 9);
        told.messages.iter().map(|message| message.raw_line().escape_ascii().to_string()).collect()
    }
}

#[test]
fn a_clock_that_was_in_the_future_once_marks_nothing_that_came_later() {
    let mut machine = Machine::new();
    let log = machine.place.open();
    machine.append(&log, "A");
    machine.set(NOON_US + YEARS_US);
    machine.append(&log, "B");
    machine.set(NOON_US + 5 * MINUTE_US);
    machine.append(&log, "C");
    machine.pass(2 * HOUR_US);
    machine.append(&log, "D");
    assert_eq!(log.seek(machine.now.unix_us - 10 * MINUTE_US).unwrap(), 3);
    assert_eq!(log.seek(NOON_US).unwrap(), 0);
    assert_eq!(log.seek(machine.now.unix_us + 1).unwrap(), 4);
    log.close().unwrap();
    drop(log);
    let log = machine.place.open();
    machine.append(&log, "E");
    assert_eq!(log.seek(machine.now.unix_us - 10 * MINUTE_US).unwrap(), 3);
    assert_eq!(machine.held(&log), r"A\nB\nC\nD\nE\n");
    machine.pass(6 * DAY_US);
    machine.append(&log, "F");
    assert_eq!(machine.held(&log), r"F\n");
}

#[test]
fn a_step_of_the_wall_clock_lets_nothing_go_early_and_keeps_nothing_longer() {
    for step in [NOON_US + YEARS_US, NOON_US + DAY_US, NOON_US - DAY_US, HOUR_US] {
        let mut machine = Machine::new();
        let log = machine.place.open();
        machine.append(&log, "A");
        machine.pass(HOUR_US);
        machine.set(step);
        machine.append(&log, "B");
        assert_eq!(machine.held(&log), r"A\nB\n", "{step}");
        machine.pass(10 * HOUR_US);
        assert_eq!(machine.held(&log), r"A\nB\n", "{step}");
        machine.pass(HOUR_US + 12 * MINUTE_US);
        machine.append(&log, "C");
        machine.pass(HOUR_US);
        assert_eq!(machine.held(&log), r"C\n", "{step}");
    }
}

#[test]
fn what_was_stored_before_a_start_is_as_old_as_the_wall_clock_says() {
    let mut machine = Machine::new();
    let log = machine.place.open();
    machine.append(&log, "A");
    drop(log);
    // Starts do not make it younger.
    for _ in 0..11 {
        machine.pass(HOUR_US);
        let log = machine.place.open();
        assert_eq!(machine.held(&log), r"A\n");
    }
    machine.pass(HOUR_US + MINUTE_US);
    let log = machine.place.open();
    assert_eq!(machine.held(&log), "");
}

#[test]
fn a_great_age_is_believed_when_the_clock_has_stood_for_ten_minutes() {
    let mut machine = Machine::new();
    let log = machine.place.open();
    machine.append(&log, "A");
    log.close().unwrap();
    drop(log);
    machine.set(NOON_US + YEARS_US);
    let log = machine.place.open();
    machine.pass(9 * MINUTE_US);
    assert_eq!(machine.held(&log), r"A\n");
    drop(log);
    // It was true.
    let log = machine.place.open();
    machine.pass(11 * MINUTE_US);
    assert_eq!(machine.held(&log), "");
}

#[test]
fn a_great_age_is_forgotten_when_the_clock_is_set_right_in_time() {
    for wrong in [NOON_US + YEARS_US, HOUR_US] {
        let mut machine = Machine::new();
        let log = machine.place.open();
        machine.append(&log, "A");
        log.close().unwrap();
        drop(log);
        machine.pass(HOUR_US);
        machine.set(wrong);
        let log = machine.place.open();
        machine.pass(MINUTE_US);
        machine.set(NOON_US + HOUR_US + MINUTE_US);
        machine.pass(10 * HOUR_US);
        assert_eq!(machine.held(&log), r"A\n", "{wrong}");
        machine.pass(HOUR_US);
        assert_eq!(machine.held(&log), "", "{wrong}");
    }
}

#[test]
fn a_stamp_from_the_future_is_no_reason_to_keep() {
    let mut machine = Machine::new();
    let log = machine.place.open();
    machine.set(NOON_US + YEARS_US);
    machine.append(&log, "A");
    drop(log);
    machine.set(NOON_US);
    // Nobody knows when it came, but that it was before this start.
    for _ in 0..11 {
        let log = machine.place.open();
        machine.pass(HOUR_US);
        assert_eq!(machine.held(&log), r"A\n");
    }
    machine.pass(HOUR_US + MINUTE_US);
    let log = machine.place.open();
    assert_eq!(machine.held(&log), "");
}

#[test]
fn a_clock_that_began_in_1970_for_a_moment_lets_nothing_go_early() {
    let mut machine = Machine::new();
    let log = machine.place.open();
    machine.append(&log, "A");
    drop(log);
    machine.set(HOUR_US);
    let log = machine.place.open();
    machine.append(&log, "B");
    drop(log);
    machine.set(NOON_US);
    let log = machine.place.open();
    machine.pass(11 * HOUR_US);
    assert_eq!(machine.held(&log), r"A\nB\n");
    machine.pass(HOUR_US + MINUTE_US);
    assert_eq!(machine.held(&log), "");
}

#[test]
fn a_segment_without_a_message_says_nothing_of_times() {
    let mut machine = Machine::new();
    machine.place.retention.bytes = 2 << 20;
    let log = machine.place.open();
    machine.append(&log, "A");
    machine.pass(MINUTE_US);
    machine.append(&log, &"x".repeat(60_000));
    machine.append(&log, &"y".repeat(10_000));
    drop(log);
    // The machine dies, and of the newest segment only the name has reached the disk.
    let newest = machine.place.files("log").pop().unwrap();
    std::fs::write(newest, "").unwrap();
    machine.place.boot += "'";
    let log = machine.place.open();
    assert_eq!(log.bounds().last, 3, "the start stands for what was lost");
    assert_eq!(log.seek(NOON_US).unwrap(), 0);
    assert_eq!(log.seek(NOON_US + MINUTE_US).unwrap(), 1);
    assert_eq!(log.seek(machine.now.unix_us + 1).unwrap(), 2);
}
