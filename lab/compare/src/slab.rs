//! What the kernel keeps for sockets: its object caches, as `/proc/slabinfo` tells.
//!
//! The file is root's alone. The memory of sockets is in no process's figures, and the counters
//! that everybody may read tell only of queued bytes, or of the whole machine in steps of a
//! megabyte.

use std::collections::HashMap;
use std::fs;
use std::io;

use rustix::param::page_size;

use crate::figure::float;

/// Where it is read.
pub(crate) const SOURCE: &str = "/proc/slabinfo";
/// A cache counts if it grew by about one object a subscriber at least: the sockets themselves and
/// what belongs to each. What the rest of the machine does at the time stays below that.
const OBJECTS_MIN: f64 = 0.75;
/// And by so many at most: two sockets have no more of anything.
const OBJECTS_MAX: f64 = 8.0;

/// Objects of each cache, and the bytes that one of them takes, its share of the slab's rest
/// included.
#[derive(Debug)]
pub(crate) struct Slabs(HashMap<String, (u64, f64)>);

impl Slabs {
    /// The caches at this moment.
    pub(crate) fn read() -> io::Result<Self> {
        let text = fs::read_to_string(SOURCE)?;
        Self::parse(&text, page_size() as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is not of version 2.1"))
    }

    fn parse(text: &str, page_bytes: u64) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != "slabinfo - version: 2.1" {
            return None;
        }
        let cache = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_owned();
            let mut number = || words.next()?.parse::<u64>().ok();
            // Active objects, all objects, bytes of one, objects and pages of a slab.
            let (active, _, _, objects, pages) =
                (number()?, number()?, number()?, number()?, number()?);
            Some((name, (active, float(pages * page_bytes) / float(objects.max(1)))))
        };
        let caches = lines.filter(|line| !line.starts_with('#'));
        caches.map(cache).collect::<Option<_>>().map(Self)
    }

    /// Sockets of any kind that there are more than before, for each of some subscribers. Each has
    /// an inode of its own.
    pub(crate) fn sockets_since(&self, before: &Self, subscribers: u64) -> f64 {
        let sockets = |slabs: &Self| slabs.0.get("sock_inode_cache").map_or(0, |cache| cache.0);
        float(sockets(self).saturating_sub(sockets(before))) / float(subscribers.max(1))
    }

    /// Bytes by which the caches of sockets grew for each of some subscribers.
    pub(crate) fn grown_since(&self, before: &Self, subscribers: u64) -> f64 {
        let grown = self.0.iter().filter_map(|(name, (active, bytes))| {
            let before = before.0.get(name)?.0;
            let each = float(active.saturating_sub(before)) / float(subscribers.max(1));
            (OBJECTS_MIN..=OBJECTS_MAX).contains(&each).then_some(each * bytes)
        });
        grown.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize> \
        <objperslab> <pagesperslab> : tunables\n";

    fn slabs(caches: &str) -> Slabs {
        Slabs::parse(&format!("{HEAD}{caches}"), 4096).unwrap()
    }

    #[test]
    fn what_grew_with_the_subscribers_is_counted_and_nothing_else() {
        let tail = ": tunables 0 0 0 : slabdata 1 1 0";
        let before = slabs(&format!(
            "TCP 13 26 2368 13 8 {tail}\nfilp 100 110 192 21 1 {tail}\nbuffer_head 7 39 104 39 1 {tail}\n\
             dentry 9000 9000 192 21 1 {tail}\nsock_inode_cache 10 19 832 19 4 {tail}\n"
        ));
        let after = slabs(&format!(
            "TCP 213 221 2368 13 8 {tail}\nfilp 300 310 192 21 1 {tail}\nbuffer_head 47 78 104 39 1 {tail}\n\
             dentry 8000 9000 192 21 1 {tail}\nsock_inode_cache 210 228 832 19 4 {tail}\nnew 500 500 8 512 1 {tail}\n"
        ));
        let each = after.grown_since(&before, 100);
        // Two sockets, their inodes and two files each; 40 buffers, gone names and a new cache are
        // not theirs.
        let expected = 2.0 * (8.0 * 4096.0 / 13.0 + 4096.0 / 21.0 + 4.0 * 4096.0 / 19.0);
        assert!((after.sockets_since(&before, 100) - 2.0).abs() < 1e-9);
        assert!((each - expected).abs() < 0.01, "{each} {expected}");
    }

    #[test]
    fn another_format_is_refused() {
        assert!(Slabs::parse("slabinfo - version: 3.0\n", 4096).is_none());
        assert!(Slabs::parse(&format!("{HEAD}TCP many\n"), 4096).is_none());
        assert!(Slabs::parse("", 4096).is_none());
    }
}
