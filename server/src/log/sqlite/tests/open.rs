//! Opening again, and what is not let in.

use std::fs;

use doorbell_protocol::GapReason;

use super::super::recover::LOST_PLACES;
use super::*;
use crate::log::LogError;
use crate::log::contract::{HOUR_US, draft, heads, seqs};

/// Messages of some topics, in several batches.
fn fill(subject: &Subject) -> Vec<Message> {
    let mut appended = Vec::new();
    for round in 0..50 {
        appended.extend(subject.append("a", &["x", "y"]));
        appended.extend(subject.append(&format!("b.{}", round % 7), &["é\n\"", ""]));
    }
    appended
}

fn assert_all_there(log: &SqliteLog, appended: &[Message]) {
    for filter in [">", "a", "b.*", "b.3,a"] {
        let selected = filter.parse::<doorbell_protocol::Filter>().unwrap();
        let wanted = |message: &&Message| selected.matches(message.topic().as_str());
        let wanted: Vec<Message> = appended.iter().filter(wanted).cloned().collect();
        let (read, gaps) = read_all(log, filter, 0, 9);
        assert_eq!(gaps, []);
        assert_same(&read, &wanted);
        let (newest, _) = heads(log, filter);
        assert_eq!(newest, wanted.last().map_or(0, Message::seq));
    }
}

#[test]
fn after_close_all_is_there_and_goes_on() {
    let mut subject = Subject::new();
    let mut appended = fill(&subject);
    let before = subject.log().bounds();
    subject.close();
    subject.reopen();
    assert_all_there(subject.log(), &appended);
    let bounds = subject.log().bounds();
    assert_eq!((bounds.epoch, bounds.first, bounds.last), (before.epoch, 1, 200));
    appended.extend(fill(&subject));
    assert_eq!(appended.last().map(Message::seq), Some(400));
    assert_all_there(subject.log(), &appended);
}

#[test]
fn after_a_drop_without_close_all_is_there() {
    let mut subject = Subject::new();
    let mut appended = fill(&subject);
    subject.log = None;
    subject.reopen();
    assert_all_there(subject.log(), &appended);
    appended.extend(fill(&subject));
    assert_all_there(subject.log(), &appended);
}

#[test]
fn after_a_kill_all_is_there() {
    let subject = Subject::new();
    let mut appended = fill(&subject);
    for _ in 0..3 {
        appended.extend(fill(&subject));
        let copy = copy_as_if_killed(subject.folder.path());
        let log = open(copy.path());
        assert_all_there(&log, &appended);
        assert_eq!(append(&log, "a", &["x"], 9)[0].seq(), appended.len() as u64 + 1);
    }
}

#[test]
fn heads_saved_along_the_way_are_true_after_a_kill() {
    let subject = Subject::new();
    let log = subject.log();
    let topics: Vec<_> = (0..3000).map(|n| draft(&format!("t.{n}"), "x")).collect();
    let mut appended = 0;
    while appended < 120_000 {
        appended += log.append(&topics, 5).unwrap().len();
    }
    for _ in 0..40 {
        append(log, "t.7", &["y"], 6);
    }
    let copy = copy_as_if_killed(subject.folder.path());
    let saved = Connection::open(copy.path().join("doorbell.db")).unwrap();
    let heads_seq = super::super::schema::meta_seq(&saved, "heads_seq").unwrap();
    assert!(heads_seq >= 100_000, "{heads_seq}");
    drop(saved);
    let reopened = open(copy.path());
    for topic in ["t.0", "t.7", "t.2999"] {
        let topic = topic.parse().unwrap();
        assert_eq!(reopened.heads().get(&topic), log.heads().get(&topic));
        assert_eq!(reopened.shared.held().topics.get(&topic), log.shared.held().topics.get(&topic));
    }
    assert_eq!(all_seqs(&reopened, "t.7"), all_seqs(log, "t.7"));
}

#[test]
fn what_was_expired_stays_known_after_a_kill() {
    let subject = Subject::new();
    let log = subject.log();
    append(log, "a", &["x"; 600], 0);
    append(log, "gone", &["x"], 0);
    append(log, "a", &["x"], HOUR_US);
    append(log, "quiet", &["x"], HOUR_US);
    while log.expire(HOUR_US + 1).unwrap() {}
    let copy = copy_as_if_killed(subject.folder.path());
    let log = open(copy.path());
    assert_eq!((log.bounds().first, log.bounds().last), (602, 603));
    for (filter, lost) in [("a", Some(600)), ("gone", Some(601)), ("quiet", None), (">", Some(601))]
    {
        let page = page(&log, filter, 3, 9);
        assert_eq!(page.lost.map(|_| page.through), lost, "{filter}");
    }
    assert_eq!(append(&log, "a", &["x"], 9)[0].seq(), 604);
}

#[test]
fn places_are_not_given_out_again_when_all_has_expired() {
    let mut subject = Subject::new();
    append(subject.log(), "a", &["x"; 3], 0);
    assert!(!subject.log().expire(2 * HOUR_US).unwrap());
    assert_eq!((subject.log().bounds().first, subject.log().bounds().last), (4, 3));
    subject.log = None;
    subject.reopen();
    assert_eq!((subject.log().bounds().first, subject.log().bounds().last), (4, 3));
    assert_eq!(subject.append("a", &["x"])[0].seq(), 4);
}

#[test]
fn a_second_process_is_refused_until_the_first_is_done() {
    let mut subject = Subject::new();
    let refused = SqliteLog::open(subject.folder.path(), Sync::Os, KEEP).unwrap_err().to_string();
    assert!(refused.contains("held by another process"), "{refused}");
    subject.append("a", &["x"]);
    subject.close();
    subject.reopen();
    assert_eq!(subject.log().bounds().last, 1);
}

#[test]
fn what_is_no_log_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |folder: &Path| {
        let error = SqliteLog::open(folder, Sync::Os, KEEP).unwrap_err().to_string();
        assert!(!error.contains('\n') && error.contains(folder.to_str().unwrap()), "{error}");
        error
    };
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(refused(&file).contains("is not a folder"));
    assert!(refused(&file.join("below")).contains("cannot use the data folder"));

    let database = folder.path().join("doorbell.db");
    fs::write(&database, "no database ".repeat(1000)).unwrap();
    assert!(refused(folder.path()).contains("is not a database"));
    fs::remove_file(&database).unwrap();

    let other = Connection::open(&database).unwrap();
    other.execute_batch("CREATE TABLE recipes(name)").unwrap();
    drop(other);
    assert!(refused(folder.path()).contains("some other program"));
    fs::remove_file(&database).unwrap();

    open(folder.path()).close().unwrap();
    let newer = Connection::open(&database).unwrap();
    newer.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(newer);
    assert!(refused(folder.path()).contains("newer doorbell"));
}

#[test]
fn the_file_is_set_up_as_the_schema_says() {
    let mut subject = Subject::new();
    subject.append("a", &["x"]);
    subject.meddle(|connection| {
        let setting = |name: &str| -> String {
            let sql = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
            connection.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(setting("journal_mode"), "wal");
        assert_eq!(setting("page_size"), "4096");
        assert_eq!(setting("auto_vacuum"), "2");
        assert_eq!(setting("integrity_check"), "ok");
    });
}

#[test]
fn a_failed_write_stops_the_writer_and_not_the_readers() {
    let mut subject = Subject::new();
    subject.append("a", &["x"]);
    let other = Connection::open(subject.folder.path().join("doorbell.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER fail BEFORE INSERT ON events WHEN new.seq = 3
             BEGIN SELECT RAISE(ABORT, 'the disk is on fire'); END",
        )
        .unwrap();
    let drafts = [draft("a", "y"), draft("b", "z")];
    let failed = subject.log().append(&drafts, 9).unwrap_err();
    assert!(matches!(&failed, LogError::Failed(why) if why.contains("on fire")), "{failed}");
    other.execute_batch("DROP TRIGGER fail").unwrap();
    assert!(matches!(subject.log().append(&drafts, 9), Err(LogError::Failed(_))));
    assert_eq!(seqs(&page(subject.log(), ">", 0, 9)), [1], "nothing of the batch was stored");
    assert_eq!(subject.log().bounds().last, 1);
    assert!(subject.log().close().is_err());
    drop(other);
    subject.log = None;
    subject.reopen();
    assert_eq!(subject.append("b", &["z"])[0].seq(), 2);
}

#[test]
fn when_the_machine_died_the_places_are_skipped_and_told_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_on_boot(folder.path(), Sync::Os, "monday");
    append(&log, "a", &["x", "y"], 5);
    append(&log, "b", &["z"], 5);
    drop(log);
    let log = open_on_boot(folder.path(), Sync::Os, "tuesday");
    let through = 3 + LOST_PLACES;
    assert_eq!(log.bounds().last, through);
    for filter in ["a", "b", ">"] {
        let place = page(&log, filter, 0, 9).through;
        assert_eq!(place, 3, "the page ends where the hole begins");
        for after in [3, 4, through - 1] {
            let lost = page(&log, filter, after, 9);
            assert_eq!((lost.lost, lost.through), (Some(GapReason::Lost), through));
        }
        assert_eq!(page(&log, filter, through, 9).lost, None);
    }
    let new = append(&log, "a", &["new"], 6)[0].seq();
    assert_eq!(new, through + 1);
    let (read, gaps) = all_seqs(&log, "a");
    assert_eq!((read, gaps), (vec![1, 2, new], vec![(3, through, GapReason::Lost)]));
    assert_eq!(log.seek(6).unwrap(), new - 1);
    log.close().unwrap();

    let log = open_on_boot(folder.path(), Sync::Os, "wednesday");
    assert_eq!(log.bounds().last, new, "it was closed: nothing was lost");
    assert_eq!(all_seqs(&log, ">").0, [1, 2, 3, new]);
}

#[test]
fn when_only_the_process_died_nothing_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    append(&open_on_boot(folder.path(), Sync::Os, "monday"), "a", &["x"], 5);
    assert_eq!(open_on_boot(folder.path(), Sync::Os, "monday").bounds().last, 1);
}

#[test]
fn what_was_always_synced_is_not_skipped_when_the_machine_died() {
    let folder = tempfile::tempdir().unwrap();
    append(&open_on_boot(folder.path(), Sync::Always, "monday"), "a", &["x"], 5);
    let log = open_on_boot(folder.path(), Sync::Os, "tuesday");
    assert_eq!((log.bounds().last, page(&log, "a", 1, 9).lost), (1, None));
    drop(log);
    let log = open_on_boot(folder.path(), Sync::Os, "wednesday");
    assert_eq!(log.bounds().last, 1 + LOST_PLACES, "the run before was not");
}

#[test]
fn an_empty_log_survives_the_machine_too() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_on_boot(folder.path(), Sync::Os, "monday"));
    let log = open_on_boot(folder.path(), Sync::Os, "tuesday");
    assert_eq!(log.bounds().first, LOST_PLACES + 1);
    assert_eq!(append(&log, "a", &["x"], 5)[0].seq(), LOST_PLACES + 1);
    assert_eq!(log.bounds().first, LOST_PLACES + 1);
    assert_eq!(page(&log, "a", 0, 9).lost, Some(GapReason::Lost));
}

#[test]
fn topics_that_hold_nothing_are_forgotten_beyond_a_bound() {
    use crate::limits::TOPICS_REMEMBERED_MAX;
    let mut subject = Subject::new();
    let count = TOPICS_REMEMBERED_MAX + 10;
    let names: Vec<String> = (1..count).map(|n| format!("t{n}")).collect();
    for names in names.chunks(4096) {
        let drafts: Vec<_> = names.iter().map(|name| draft(name, "x")).collect();
        subject.log().append(&drafts, 0).unwrap();
    }
    append(subject.log(), "kept", &["x"], HOUR_US);
    while subject.log().expire(HOUR_US + 1).unwrap() {}
    assert!(subject.log().heads().len() <= TOPICS_REMEMBERED_MAX);
    assert!(subject.log().heads().get(&"t11".parse().unwrap()).is_some());
    let last = count as u64;
    assert_eq!(subject.log().heads().get(&"t5".parse().unwrap()), None);
    let before = page(subject.log(), "t5", 3, 9);
    assert_eq!(before.lost, Some(GapReason::Expired));
    assert!(before.through > 5, "{}", before.through);
    subject.meddle(|connection| {
        let rows = "SELECT count(*) FROM topics";
        let rows: i64 = connection.query_row(rows, [], |row| row.get(0)).unwrap();
        assert!(rows <= 100_000, "{rows}");
    });
    let after = page(subject.log(), "t5", 3, 9);
    assert_eq!((after.lost, after.through), (before.lost, before.through));
    let back = subject.append("t5", &["back"])[0].seq();
    assert_eq!(seqs(&page(subject.log(), "t5", last, 9)), [back]);
}
