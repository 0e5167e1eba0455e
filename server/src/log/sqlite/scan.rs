//! Reading through all rows, and finding what is damaged among them.
//!
//! Every place from the first held message on has a row, so a missing one is damage just as a wrong
//! checksum is. Whose message a damaged row was cannot be told from it; every reader that comes
//! past is told of a gap.

use std::collections::HashMap;
use std::ops::ControlFlow;

use doorbell_protocol::{GapReason, Topic};
use rusqlite::Result;

use super::Page;
use super::damage::next_readable;
use super::failure::is_corrupt;
use super::row::{StoredRow, number, row_columns, to_sql};
use super::search::{Filling, Search, View};

/// Rows looked at for one page. The page says how far it got, even if it found nothing.
pub(super) const ROWS_MAX: u64 = 4096;

/// How far a page has come.
struct Scan<'a> {
    view: &'a View<'a>,
    search: &'a Search<'a>,
    page: Filling,
    /// The place reached.
    through: u64,
    /// Whether the page is the end of a run of damaged rows, through there.
    damaged: bool,
    rows: u64,
    /// The topics met so far: wanted, and by which name, or not.
    wanted: HashMap<u64, Option<Topic>>,
}

/// Reads a page and counts the rows looked at.
pub(super) fn page(view: &View<'_>, search: &Search<'_>) -> Result<(Page, u64)> {
    let mut scan = Scan {
        view,
        search,
        page: Filling::new(search.limit),
        through: search.after.max(view.first.saturating_sub(1)),
        damaged: false,
        rows: 0,
        wanted: HashMap::new(),
    };
    match scan.run() {
        Err(error) if is_corrupt(&error) => scan.pass_over()?,
        result => result?,
    }
    let rows = scan.rows;
    Ok((scan.finish(), rows))
}

impl Scan<'_> {
    fn run(&mut self) -> Result<()> {
        let sql = concat!(
            "SELECT ",
            row_columns!(),
            " FROM events WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq LIMIT ?3"
        );
        let mut statement = self.view.connection.prepare_cached(sql)?;
        // Not `seq > through`: that would look at the page before, which may be damaged.
        let range = (to_sql(self.through + 1), to_sql(self.search.until), to_sql(ROWS_MAX));
        let mut rows = statement.query(range)?;
        while let Some(row) = rows.next()? {
            self.rows += 1;
            if self.look_at(row).is_break() {
                return Ok(());
            }
        }
        if self.rows < ROWS_MAX && self.through < self.search.until {
            let _ = self.note_damage(self.search.until);
        }
        Ok(())
    }

    fn look_at(&mut self, row: &rusqlite::Row<'_>) -> ControlFlow<()> {
        let Some(seq) = number(row, 0) else { return ControlFlow::Continue(()) };
        if seq > self.through + 1 {
            self.note_damage(seq - 1)?;
        }
        let Some(row) = StoredRow::read(row) else { return self.note_damage(seq) };
        if self.damaged {
            return ControlFlow::Break(());
        }
        let Some(topic) = self.topic(&row) else { return self.note_damage(seq) };
        if let Some(topic) = topic
            && !self.page.push(row.message(self.view.shared.epoch, topic))
        {
            return ControlFlow::Break(());
        }
        self.through = seq;
        ControlFlow::Continue(())
    }

    /// The name of the row's topic if that is wanted; `None` if it has no name that can be read.
    #[allow(clippy::option_option, reason = "the outer one is damage")]
    fn topic(&mut self, row: &StoredRow<'_>) -> Option<Option<Topic>> {
        if let Some(known) = self.wanted.get(&row.tid) {
            return Some(known.clone());
        }
        let known = self.view.shared.held().topics.name(row.tid).cloned();
        // One that was forgotten since the snapshot was taken still names itself.
        let name = known.or_else(|| row.topic())?;
        let wanted = Some(name).filter(|name| self.search.selection.matches(name));
        self.wanted.insert(row.tid, wanted.clone());
        Some(wanted)
    }

    /// Notes that the places up to `through` are damaged. A page that has come some way ends before
    /// them; the next one begins with them.
    fn note_damage(&mut self, through: u64) -> ControlFlow<()> {
        if !self.damaged && self.through > self.search.after {
            return ControlFlow::Break(());
        }
        self.damaged = true;
        self.through = through;
        ControlFlow::Continue(())
    }

    /// After rows that SQLite cannot read at all.
    fn pass_over(&mut self) -> Result<()> {
        if self.damaged || self.through > self.search.after {
            return Ok(());
        }
        let from = self.through + 1;
        let next = next_readable(self.view.connection, from, self.search.until)?;
        let _ = self.note_damage((next - 1).max(from));
        Ok(())
    }

    fn finish(self) -> Page {
        if self.damaged {
            self.view.shared.damage.tell(self.search.after + 1, self.through);
            return Page::lost(self.through, GapReason::Damaged);
        }
        self.page.through(self.through)
    }
}
