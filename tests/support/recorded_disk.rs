//! A disk that remembers how it came to be what it is: what it may hold when the power is cut at
//! any moment can be told afterwards, as often as one likes.
//!
//! What was synced is there. Of what was not, each page of 4 KiB has reached the disk or not, and
//! those of one file in any order; within a page that was being written, so has each sector. The
//! length of a file is an old or a new one, and what was never written in it reads as zeros. A name
//! that came or went since the last sync of the folder is there or not.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rand::RngExt;
use rand::rngs::StdRng;
use tempfile::TempDir;

use super::{TestServer, preload};

/// What the first server on a disk is told of the machine's boot.
pub(crate) const FIRST_BOOT: &str = "first\n";
const PAGE: usize = 4096;
const SECTOR: usize = 512;
/// Bytes of a note in the journal before those that it tells of.
const HEAD: usize = 32;

/// Under a server that is started with it, one disk.
pub(crate) struct RecordedDisk {
    home: TempDir,
    library: PathBuf,
    /// What the folder held when its record began, and the numbers of those files.
    base: BTreeMap<String, (u64, Vec<u8>)>,
}

/// What a server did to its disk.
pub(crate) struct Record {
    base: BTreeMap<String, (u64, Vec<u8>)>,
    pub(crate) steps: Vec<Step>,
}

/// One note of the journal.
pub(crate) struct Step {
    kind: u8,
    file: u64,
    at: u64,
    thread: u32,
    bytes: Vec<u8>,
    /// Bytes of the journal with it.
    pub(crate) end: u64,
}

/// The names of files, and what they hold.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// Changes of one thing, of which the first ones are on the disk.
struct Changes<C> {
    all: Vec<C>,
    synced: usize,
}

enum Change<'a> {
    Write { at: usize, bytes: &'a [u8] },
    Resize(usize),
}

/// A disk at one moment.
pub(crate) struct Cut<'a> {
    files: Vec<(&'a [u8], Changes<Change<'a>>)>,
    /// The names that were there when the record began, and what became of them since.
    base: BTreeMap<&'a str, usize>,
    names: Changes<(&'a str, Option<usize>)>,
}

impl RecordedDisk {
    /// An empty disk; `None` where there is no C compiler.
    pub(crate) fn new() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let library = preload::build(home.path(), include_str!("recorded_disk.c"))?;
        let disk = Self { home, library, base: BTreeMap::new() };
        fs::create_dir(disk.folder()).unwrap();
        fs::write(disk.boot(), FIRST_BOOT).unwrap();
        Some(disk)
    }

    /// A server with its log on it.
    pub(crate) fn server(&self, flags: &str) -> TestServer {
        let variables = vec![
            ("LD_PRELOAD", self.library.clone()),
            ("DISK_FOLDER", self.folder()),
            ("DISK_JOURNAL", self.journal()),
            ("DISK_BOOT", self.boot()),
        ];
        TestServer::durable_with(&format!("--data {} {flags}", self.folder().display()), variables)
    }

    /// Bytes of the journal now: what is noted later has not happened yet.
    pub(crate) fn position(&self) -> u64 {
        fs::metadata(self.journal()).unwrap().len()
    }

    /// Takes the record of a server that has ended.
    pub(crate) fn record(&self) -> Record {
        let journal = fs::read(self.journal()).unwrap();
        let record = Record { base: self.base.clone(), steps: steps(&journal) };
        let everything = record.cut(record.steps.len()).newest();
        assert!(everything == image(&self.folder()), "the disk was changed in a way unknown here");
        record
    }

    /// The power comes back: this is what the disk holds, and the record begins anew.
    pub(crate) fn power_on(&mut self, image: &Image, boot: &str) {
        for name in names(&self.folder()) {
            if !image.contains_key(&name) {
                fs::remove_file(self.folder().join(name)).unwrap();
            }
        }
        self.base.clear();
        for (name, bytes) in image {
            // Files that are there stay the same ones: nothing was copied.
            let path = self.folder().join(name);
            fs::write(&path, bytes).unwrap();
            let number = File::open(path).unwrap().metadata().unwrap().ino();
            self.base.insert(name.clone(), (number, bytes.clone()));
        }
        fs::write(self.boot(), boot).unwrap();
        fs::remove_file(self.journal()).unwrap();
    }

    /// What a test that fails leaves for those who look into it.
    pub(crate) fn keep(image: &Image, name: &str) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = root.join("artefacts").join(name);
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in image {
            fs::write(folder.join(name), bytes).unwrap();
        }
        println!("what the disk held is in {}", folder.display());
    }

    fn folder(&self) -> PathBuf {
        // As the server's own paths begin, without links.
        self.home.path().canonicalize().unwrap().join("data")
    }

    fn journal(&self) -> PathBuf {
        self.home.path().join("journal")
    }

    fn boot(&self) -> PathBuf {
        self.home.path().join("boot")
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn image(folder: &Path) -> Image {
    let read = |name: String| (name.clone(), fs::read(folder.join(name)).unwrap());
    names(folder).into_iter().map(read).collect()
}

fn steps(journal: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut offset = 0;
    while offset < journal.len() {
        let number = |at: usize| {
            u64::from_ne_bytes(journal[offset + at..offset + at + 8].try_into().unwrap())
        };
        let half = |at: usize| {
            u32::from_ne_bytes(journal[offset + at..offset + at + 4].try_into().unwrap())
        };
        let begin = offset + HEAD;
        let end = begin + half(16) as usize;
        let (file, at, thread) = (number(0), number(8), half(20));
        let kind = journal[offset + 24];
        let bytes = journal[begin..end].to_vec();
        steps.push(Step { kind, file, at, thread, bytes, end: end as u64 });
        offset = end;
    }
    steps
}

impl Step {
    /// Whether it is none of the many that append.
    pub(crate) fn is_seldom(&self) -> bool {
        self.kind != b'w'
    }

    /// What it writes.
    pub(crate) fn written(&self) -> &[u8] {
        if self.kind == b'w' { &self.bytes } else { &[] }
    }

    fn name(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }
}

impl Record {
    /// What the files held that were unlinked within so many steps.
    pub(crate) fn unlinked(&self, steps: usize) -> Vec<Vec<u8>> {
        let cut = self.cut(steps);
        let gone = cut.names.all.iter().enumerate().filter(|(_, (_, file))| file.is_none());
        gone.filter_map(|(at, (name, _))| cut.named(name, at))
            .map(|file| cut.files[file].newest())
            .collect()
    }

    /// The disk after so many steps.
    pub(crate) fn cut(&self, steps: usize) -> Cut<'_> {
        let mut files = Vec::new();
        let mut numbers = HashMap::new();
        let mut base = BTreeMap::new();
        for (name, (number, bytes)) in &self.base {
            numbers.insert(*number, files.len());
            base.insert(name.as_str(), files.len());
            files.push((bytes.as_slice(), Changes::default()));
        }
        let mut names = Changes::default();
        // What is on the disk when the sync of a thread ends.
        let mut begun = HashMap::new();
        for step in &self.steps[..steps] {
            if step.kind == b'c' {
                numbers.insert(step.file, files.len());
                names.all.push((step.name(), Some(files.len())));
                files.push((&[][..], Changes::default()));
                continue;
            }
            if step.kind == b'u' {
                names.all.push((step.name(), None));
                continue;
            }
            let mut own = (step.file > 0).then(|| &mut files[numbers[&step.file]].1);
            let at = usize::try_from(step.at).unwrap();
            match (step.kind, &mut own) {
                (b'w', Some(own)) => own.all.push(Change::Write { at, bytes: &step.bytes }),
                (b'r', Some(own)) => own.all.push(Change::Resize(at)),
                (b's', Some(own)) => drop(begun.insert(step.thread, own.all.len())),
                (b's', None) => drop(begun.insert(step.thread, names.all.len())),
                (b'e', Some(own)) => own.synced = own.synced.max(begun[&step.thread]),
                (b'e', None) => names.synced = names.synced.max(begun[&step.thread]),
                (kind, _) => panic!("a note of the kind {kind}"),
            }
        }
        Cut { files, base, names }
    }
}

impl<C> Default for Changes<C> {
    fn default() -> Self {
        Self { all: Vec::new(), synced: 0 }
    }
}

impl Cut<'_> {
    /// Which file had a name after so many changes of names.
    fn named(&self, name: &str, changes: usize) -> Option<usize> {
        let newest = self.names.all[..changes].iter().rfind(|(changed, _)| *changed == name);
        newest.map_or_else(|| self.base.get(name).copied(), |(_, file)| *file)
    }

    fn all_names(&self) -> impl Iterator<Item = &str> {
        let changed = self.names.all.iter().map(|(name, _)| *name);
        let all: std::collections::BTreeSet<_> = self.base.keys().copied().chain(changed).collect();
        all.into_iter()
    }

    /// What programs see as long as the machine runs.
    fn newest(&self) -> Image {
        let all = self.names.all.len();
        let file =
            |name: &str| Some((name.to_owned(), self.files[self.named(name, all)?].newest()));
        self.all_names().filter_map(file).collect()
    }

    /// What is there for sure.
    pub(crate) fn synced(&self) -> Image {
        let file = |name: &str| {
            let (base, changes) = &self.files[self.named(name, self.names.synced)?];
            let synced = contents(base, &changes.all[..changes.synced], &|_, _| true);
            Some((name.to_owned(), synced))
        };
        self.all_names().filter_map(file).collect()
    }

    /// What may be there.
    pub(crate) fn any(&self, random: &mut StdRng) -> Image {
        let often = [0.0, 0.1, 0.5, 0.9, 1.0];
        let often = often[random.random_range(0..often.len())];
        let mut image = Image::new();
        for name in self.all_names() {
            let changes = random.random_range(self.names.synced..=self.names.all.len());
            if let Some(file) = self.named(name, changes) {
                image.insert(name.to_owned(), self.files[file].any(random, often));
            }
        }
        image
    }
}

/// One file of a disk.
trait Stored {
    fn newest(&self) -> Vec<u8>;
    /// What may be on the disk, each page being the newest one so often.
    fn any(&self, random: &mut StdRng, often: f64) -> Vec<u8>;
}

impl Stored for (&[u8], Changes<Change<'_>>) {
    fn newest(&self) -> Vec<u8> {
        contents(self.0, &self.1.all, &|_, _| true)
    }

    fn any(&self, random: &mut StdRng, often: f64) -> Vec<u8> {
        let (base, Changes { all, synced }) = self;
        if *synced == all.len() {
            return self.newest();
        }
        // How many changes something has seen.
        let any_state = |random: &mut StdRng| match random.random_bool(often) {
            true => all.len(),
            false if random.random_bool(0.7) => *synced,
            false => random.random_range(*synced..=all.len()),
        };
        let ends = all.iter().map(Change::end).max().unwrap_or(0).max(base.len());
        let mut sectors = Vec::new();
        for _ in 0..ends.div_ceil(PAGE) {
            let (one, other) = (any_state(random), any_state(random));
            let is_torn = random.random_bool(0.2);
            let sector = || if is_torn && random.random_bool(0.5) { other } else { one };
            sectors.extend(std::iter::repeat_with(sector).take(PAGE / SECTOR));
        }
        let length = contents(base, &all[..any_state(random)], &|_, _| true).len();
        let mut bytes = contents(base, all, &|change, sector| change < sectors[sector]);
        bytes.resize(length, 0);
        bytes
    }
}

impl Change<'_> {
    /// Up to where it changes something.
    fn end(&self) -> usize {
        match self {
            Self::Write { at, bytes } => at + bytes.len(),
            Self::Resize(length) => *length,
        }
    }
}

/// A file after those of these changes that reached each of its sectors.
fn contents(
    base: &[u8],
    changes: &[Change<'_>],
    has_reached: &dyn Fn(usize, usize) -> bool,
) -> Vec<u8> {
    let mut bytes = base.to_vec();
    let mut length = base.len();
    for (number, change) in changes.iter().enumerate() {
        // What is behind the end is zero for those that come to see it.
        let (from, until) = match change {
            Change::Write { at, .. } => (*at, change.end()),
            Change::Resize(new) => (*new, bytes.len()),
        };
        bytes.resize(bytes.len().max(until), 0);
        for sector in from / SECTOR..until.div_ceil(SECTOR) {
            if has_reached(number, sector) {
                let (from, until) = (from.max(sector * SECTOR), until.min((sector + 1) * SECTOR));
                match change {
                    Change::Write { at, bytes: new } => {
                        bytes[from..until].copy_from_slice(&new[from - at..until - at]);
                    }
                    Change::Resize(_) => bytes[from..until].fill(0),
                }
            }
        }
        length = match change {
            Change::Write { .. } => length.max(until),
            Change::Resize(new) => *new,
        };
    }
    bytes.resize(length, 0);
    bytes
}
