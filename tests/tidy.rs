//! What the sources promise their reader: imports go down only, files form no circles, a name means
//! one type in a crate, comments are narrow and in the field's words. It reads sources and runs
//! nothing; what the program does is for the other tests.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates each may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("doorbell-protocol", &[]),
    ("doorbell-template", &[]),
    ("doorbell-wire", &["doorbell-protocol"]),
    ("doorbell-server", &["doorbell-protocol", "doorbell-template", "doorbell-wire"]),
    ("doorbell", &["doorbell-protocol"]),
    ("doorbell-instruments", &["doorbell", "doorbell-link", "doorbell-protocol", "doorbell-wire"]),
    ("doorbell-link", &["doorbell-protocol", "doorbell-wire"]),
    (
        "doorbell-compare",
        &[
            "doorbell",
            "doorbell-instruments",
            "doorbell-link",
            "doorbell-protocol",
            "doorbell-wire",
        ],
    ),
    ("doorbell-trace", &["doorbell", "doorbell-instruments", "doorbell-protocol", "doorbell-wire"]),
    (
        "doorbell-cli",
        &[
            "doorbell",
            "doorbell-compare",
            "doorbell-instruments",
            "doorbell-link",
            "doorbell-protocol",
            "doorbell-trace",
        ],
    ),
    ("bench", &["doorbell-protocol", "doorbell-server"]),
    ("doorbell-fuzz", &["doorbell-protocol", "doorbell-server", "doorbell-template"]),
    ("doorbell-libfuzzer", &["doorbell-fuzz"]),
    ("doorbell-tests", &["doorbell-wire"]),
];

/// The modules of the server, from top to bottom: each imports only from the rows below its own.
const SERVER: &[&[&str]] = &[
    &["serve"],
    &["announce", "config", "waiting"],
    &["admin", "http"],
    &["line", "datagram"],
    &["lab", "relay"],
    &["session"],
    &["tls"],
    &["websocket"],
    &["listen"],
    &["stream"],
    &["guard"],
    &["proxy"],
    &["connections"],
    &["metrics"],
    &["cursor"],
    &["start"],
    &["access"],
    &["files", "hub", "outbound"],
    &["schedule", "writer"],
    &["tail"],
    &["log"],
    &["message", "patterns"],
    &["audit"],
    &["rights", "templates"],
    &["visitors"],
    &["alarm", "clock", "counters", "inherited", "limits", "process", "stop", "web"],
];

/// Modules that read and publish through an access only, and what is behind it.
const BEFORE_THE_GATE: &[&str] = &["datagram", "http", "lab", "line", "relay", "session"];
const BEHIND_THE_GATE: &[&str] = &["hub", "log", "tail"];

/// Names of types and functions that the field calls otherwise, and the folder in which they do not
/// occur.
const NAMES_BANNED: &[(&str, &[&str])] = &[
    ("", &["Entrance", "Guest", "Happening", "Manners", "Patience", "Wishes", "turn_away"]),
    (
        "server/src",
        &[
            "Asked",
            "Begun",
            "Bell",
            "Condition",
            "Desk",
            "Door",
            "Endless",
            "Mail",
            "Open",
            "Polled",
            "Post",
            "Question",
            "Turn",
        ],
    ),
    ("lab/compare", &["Lab", "crowd", "road", "unit"]),
];

/// Words that are nowhere, whatever their case.
const WORDS_BANNED: &[&str] = &["manners", "turn_away", "wishes"];

/// Characters of a line with a comment.
const COMMENT_COLUMNS_MAX: usize = 100;

/// A file that people read.
struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    text: String,
}

#[test]
fn the_sources_are_tidy() {
    let sources = sources();
    assert!(sources.len() > 200, "only {} files were found", sources.len());
    let mut breaches = BTreeSet::new();
    for source in &sources {
        breaches.extend(heads(source));
        breaches.extend(wide_comments(source));
        breaches.extend(banned_words(source));
    }
    breaches.extend(crates_up());
    for (folder, files) in crates(&sources) {
        breaches.extend(types_of_one_name(&folder, &files));
        let imports = imports(&files);
        if folder == "server/src" {
            breaches.extend(modules_up(&imports));
            breaches.extend(through_the_gate(&files));
        }
        breaches.extend(circles(&imports, &files));
    }
    let breaches: Vec<String> = breaches.into_iter().collect();
    assert!(breaches.is_empty(), "to be mended:\n{}", breaches.join("\n"));
}

/// The README's first command names no program: there must be one alone to run.
#[test]
fn cargo_run_starts_the_server() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.lines().any(|line| line == r#"default-members = ["server"]"#));
}

// --- Reading ---

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All Rust and JavaScript files, in the order of their paths.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&root(), &mut paths);
    paths.retain(|path| has_ending(path, "rs") || has_ending(path, "js"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| Source { text: fs::read_to_string(&path).unwrap(), path: name(&path) })
        .collect()
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|own| own == ending)
}

/// A path from the root of the repository.
fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/")
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // Not ours: what was built, what tests leave behind, what git keeps.
        if name.starts_with('.') || name == "target" || name == "artefacts" {
            continue;
        }
        if path.is_dir() {
            walk(&path, paths);
        } else {
            paths.push(path);
        }
    }
}

/// The files of each crate's `src` by that folder.
fn crates(sources: &[Source]) -> BTreeMap<String, Vec<&Source>> {
    let mut crates: BTreeMap<String, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        if let Some((folder, _)) = source.path.split_once("/src/") {
            crates.entry(format!("{folder}/src")).or_default().push(source);
        }
    }
    crates
}

impl Source {
    fn is_rust(&self) -> bool {
        has_ending(Path::new(&self.path), "rs")
    }

    /// Its comments, the lines of each joined by spaces.
    fn comments(&self) -> Vec<String> {
        let mut comments: Vec<String> = Vec::new();
        let mut goes_on = false;
        for line in self.text.lines() {
            match comment(line) {
                Some(text) if goes_on && !text.is_empty() => {
                    let last = comments.last_mut().unwrap();
                    last.push(' ');
                    last.push_str(text);
                }
                Some(text) => comments.push(text.to_owned()),
                None => {}
            }
            goes_on = comment(line).is_some_and(|text| !text.is_empty());
        }
        comments
    }

    /// It without comments and without the tests within.
    fn code(&self) -> String {
        let text = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
    }
}

/// The text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim();
    let marks = ["///", "//!", "//", "/**", "/*", "*/", "*"];
    let mark = marks.iter().find(|mark| line.starts_with(**mark))?;
    // An asterisk may also begin an expression.
    let is_prose = mark.starts_with('/') || line == "*" || line.starts_with("* ") || line == "*/";
    is_prose.then(|| line[mark.len()..].trim())
}

// --- Words ---

/// Every file says in its first line what it is.
fn heads(source: &Source) -> Option<String> {
    let mark = if source.is_rust() { "//! " } else { "// " };
    (!source.text.starts_with(mark)).then(|| format!("{}: no head", source.path))
}

fn wide_comments(source: &Source) -> Option<String> {
    let is_wide =
        |line: &&str| line.chars().count() > COMMENT_COLUMNS_MAX && comment(line).is_some();
    source.text.lines().find(is_wide).map(|_| format!("{}: wide comments", source.path))
}

fn banned_words(source: &Source) -> Vec<String> {
    if source.path == "tests/tidy.rs" {
        return Vec::new();
    }
    let mut found: BTreeSet<String> = BTreeSet::new();
    let words = source.text.split(|c: char| !c.is_alphanumeric() && c != '_');
    for word in words {
        let word = word.to_lowercase();
        if WORDS_BANNED.contains(&word.as_str()) {
            found.insert(word);
        }
    }
    let names = NAMES_BANNED.iter().filter(|(folder, _)| source.path.starts_with(folder));
    let names: BTreeSet<&str> = names.flat_map(|(_, names)| names.iter().copied()).collect();
    found.extend(declared(source).into_iter().filter(|name| names.contains(name.as_str())));
    found
        .extend(source.comments().iter().any(|text| has_bare_who(text)).then(|| "bare who".into()));
    found.into_iter().map(|word| format!("{}: {word}", source.path)).collect()
}

/// Whether `who` stands for a reader, a client or whatever it is that does something: at the
/// beginning of a sentence that asks nothing, or behind a preposition.
fn has_bare_who(comment: &str) -> bool {
    let begins = |at: usize| {
        let before = comment[..at].trim_end();
        before.is_empty() || before.ends_with(['.', '?', '!', ';'])
    };
    let asks = |at: usize| {
        comment[at..].find(['.', '?', '!']).is_some_and(|end| comment[at + end..].starts_with('?'))
    };
    let sentences = comment.match_indices("Who ").any(|(at, _)| begins(at) && !asks(at));
    let clauses = comment.match_indices("; who ").next().is_some();
    let prepositions = ["by", "for", "from", "of", "than", "to", "with"];
    let objects = prepositions.iter().any(|word| comment.contains(&format!(" {word} who ")));
    sentences || clauses || objects
}

/// The names of the types and functions that a Rust file declares.
fn declared(source: &Source) -> Vec<String> {
    let code = if source.is_rust() { source.code() } else { String::new() };
    code.lines().filter_map(declaration).map(|(_, name)| name).collect()
}

/// What a line declares: whether it is public, and its name.
fn declaration(line: &str) -> Option<(bool, String)> {
    let mut words = line.split_whitespace().peekable();
    let is_public = words.next_if(|word| word.starts_with("pub")).is_some();
    while words.next_if(|word| matches!(*word, "async" | "const" | "unsafe")).is_some() {}
    words.next_if(|word| matches!(*word, "enum" | "fn" | "struct" | "trait" | "type" | "union"))?;
    let name: String =
        words.next()?.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    Some((is_public, name))
}

/// A name means one type in a crate, wherever more than one file can see it.
fn types_of_one_name(folder: &str, files: &[&Source]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for source in files {
        let code = source.code();
        let public = code.lines().filter_map(declaration).filter(|(is_public, _)| *is_public);
        for (_, name) in public.filter(|(_, name)| name.starts_with(char::is_uppercase)) {
            *counts.entry(name).or_default() += 1;
        }
    }
    let twice = counts.into_iter().filter(|(_, count)| *count > 1);
    twice.map(|(name, count)| format!("{folder}: {count} types named {name}")).collect()
}

// --- Imports ---

/// Dependencies on our crates that the table does not allow.
fn crates_up() -> Vec<String> {
    let mut manifests = Vec::new();
    walk(&root(), &mut manifests);
    manifests.retain(|path| path.ends_with("Cargo.toml") && path != &root().join("Cargo.toml"));
    assert!(manifests.len() >= 6, "{manifests:?}");
    let mut breaches = Vec::new();
    for manifest in manifests {
        let text = fs::read_to_string(&manifest).unwrap();
        let package = text.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap();
        let package = package.trim_end_matches('"');
        let row = CRATES.iter().find(|(name, _)| *name == package);
        let (_, allowed) = row.unwrap_or_else(|| panic!("{package} is not in the table CRATES"));
        // Tests may lean on more than what they test does.
        let tables =
            if package == "doorbell-tests" { "[dev-dependencies]" } else { "[dependencies]" };
        let dependencies = text.split("\n[").find(|table| table.starts_with(&tables[1..]));
        let ours = dependencies
            .into_iter()
            .flat_map(str::lines)
            .filter_map(|line| line.split(['.', ' ']).next());
        let ours = ours.filter(|name| CRATES.iter().any(|(known, _)| known == name));
        let up = ours.filter(|name| !allowed.contains(name));
        breaches.extend(up.map(|name| format!("{package}: depends on {name}")));
    }
    breaches
}

/// What each module of a crate imports from other files, by names such as `http::connection`.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The module that a file is; the root of its crate has no name.
fn module(source: &Source) -> String {
    let (_, path) = source.path.split_once("/src/").unwrap();
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" { String::new() } else { path.replace('/', "::") }
}

/// A file may use what the modules around it declare, so those imports are not counted, nor are
/// those of tests.
fn imports(files: &[&Source]) -> Imports {
    let modules: BTreeSet<String> = files.iter().map(|source| module(source)).collect();
    let mut imports = Imports::new();
    for source in files {
        let own = module(source);
        let is_test = own.split("::").any(|part| ["contract", "handover", "tests"].contains(&part));
        let paths = if is_test { Vec::new() } else { paths(&source.code()) };
        let used = paths.iter().filter_map(|path| resolve(&own, path, &modules));
        let used = used.filter(|used| !is_around(used, &own)).collect();
        imports.insert(own, used);
    }
    imports
}

/// Whether a module holds another, or is it.
fn is_around(outer: &str, inner: &str) -> bool {
    let rest = inner.strip_prefix(outer);
    outer.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The file of the crate to which a path leads from a module; none where it leads out of the crate.
fn resolve(own: &str, path: &[String], modules: &BTreeSet<String>) -> Option<String> {
    let mut full: Vec<&str> = own.split("::").filter(|part| !part.is_empty()).collect();
    let ups = path.iter().take_while(|part| *part == "super").count();
    let mut rest = &path[ups..];
    full.truncate(full.len().saturating_sub(ups));
    match path[0].as_str() {
        "crate" => {
            full.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {}
        // Else a module that the file declares, or another crate.
        child => {
            full.push(child);
            modules.get(&full.join("::"))?;
            rest = &path[1..];
        }
    }
    full.extend(rest.iter().map(String::as_str));
    (0..=full.len()).rev().find_map(|length| modules.get(&full[..length].join("::")).cloned())
}

/// All paths of more than one part in a piece of code, those in braces spelt out.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    read_paths(&mut code.chars().peekable(), &[], &mut found);
    found
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Reads paths up to the end of the braces whose prefix is given, or of the text.
fn read_paths(code: &mut Characters, prefix: &[String], found: &mut Vec<Vec<String>>) {
    while let Some(&next) = code.peek() {
        if next.is_alphanumeric() || next == '_' {
            read_path(code, prefix, found);
        } else {
            code.next();
            if next == '}' && !prefix.is_empty() {
                return;
            }
        }
    }
}

fn read_path(code: &mut Characters, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    loop {
        let mut part = String::new();
        while let Some(c) = code.next_if(|c| c.is_alphanumeric() || *c == '_') {
            part.push(c);
        }
        if !part.is_empty() && part != "self" || path.is_empty() {
            path.push(part);
        }
        if code.next_if_eq(&':').is_none() || code.next_if_eq(&':').is_none() {
            break;
        }
        if code.next_if_eq(&'{').is_some() {
            return read_paths(code, &path, found);
        }
    }
    if path.len() > 1 {
        found.push(path);
    }
}

/// Imports of the server that do not go down.
fn modules_up(imports: &Imports) -> BTreeSet<String> {
    let row = |module: &str| {
        let found = SERVER.iter().position(|row| row.contains(&module));
        found.unwrap_or_else(|| panic!("{module} is not in the table SERVER"))
    };
    let top = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let mut breaches = BTreeSet::new();
    for (from, to) in imports {
        let own = top(from);
        // What holds all modules together may import any of them.
        if own.is_empty() || own == "main" {
            continue;
        }
        let others = to.iter().map(|to| top(to)).filter(|other| *other != own);
        let is_past = |other: &str| {
            BEFORE_THE_GATE.contains(&own.as_str()) && BEHIND_THE_GATE.contains(&other)
        };
        let up = others.filter(|other| row(other) <= row(&own) || is_past(other));
        breaches.extend(up.map(|other| format!("server/src: {own} imports {other}")));
    }
    breaches
}

/// Modules before the gate that take the hub out of their access, where only a cursor may.
fn through_the_gate(files: &[&Source]) -> BTreeSet<String> {
    let is_before = |source: &&&Source| {
        BEFORE_THE_GATE
            .iter()
            .any(|module| source.path.starts_with(&format!("server/src/{module}")))
    };
    let takes = |source: &&&Source| source.text.contains(".hub()");
    let breaches = files.iter().filter(is_before).filter(takes);
    breaches.map(|source| format!("{}: takes the hub out of its access", source.path)).collect()
}

/// Files that import each other, or in a ring.
fn circles(imports: &Imports, files: &[&Source]) -> BTreeSet<String> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|from| (from.as_str(), reach(from, imports))).collect();
    let mut breaches = BTreeSet::new();
    for (from, to) in &reached {
        let back = |to: &&str| reached[to].contains(from);
        let ring: BTreeSet<&str> = to.iter().copied().filter(back).collect();
        if ring.is_empty() {
            continue;
        }
        let files = files.iter().filter(|source| ring.contains(module(source).as_str()));
        let paths: Vec<&str> = files.map(|source| source.path.as_str()).collect();
        breaches.insert(format!("circle: {}", paths.join(" ")));
    }
    breaches
}

/// Every module to which imports lead from one.
fn reach<'a>(from: &str, imports: &'a Imports) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left = vec![from];
    while let Some(next) = left.pop() {
        for to in &imports[next] {
            if reached.insert(to.as_str()) {
                left.push(to);
            }
        }
    }
    reached
}
