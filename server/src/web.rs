//! The files of `web/`, inside the binary; and the first view as one file, in which a server is
//! simulated. It answers nobody: `http::page` does.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rust_embed::RustEmbed;

/// A file, by its name below `web/`.
#[derive(RustEmbed)]
#[folder = "../web"]
pub(crate) struct WebFile;

/// What runs in the file that needs no server, in this order: modules that the page has, between
/// the simulated server and what says that it is one.
const SIMULATION: [&str; 4] =
    ["simulation/server.js", "words/document.js", "main.js", "simulation/label.js"];

/// How a document and a module name another file.
const STYLE: &str = "<link rel=\"stylesheet\" href=\"static/";
const SCRIPT: &str = "<script type=\"module\" src=\"static/";
const IMPORTS: [&str; 2] = ["from \".", "import \"."];

/// The first view as one file. Its modules are those of the page, under names that do not depend on
/// where the file is.
pub(crate) fn simulation() -> Result<String, String> {
    let mut modules = BTreeMap::new();
    for name in SIMULATION {
        collect(name.to_owned(), &mut modules)?;
    }
    let mut page = String::new();
    for line in text("index.html")?.lines() {
        if let Some(name) = line.trim().strip_prefix(STYLE).and_then(|rest| rest.split('"').next())
        {
            page.extend(["<style>\n", &text(name)?, "</style>\n"]);
        } else if line == "</head>" {
            page += &scripts(&modules);
            page += "</head>\n";
        } else if !line.contains(SCRIPT) && !line.contains("static/") {
            page += line;
            page.push('\n');
        }
    }
    Ok(page)
}

/// The modules, and what begins them.
fn scripts(modules: &BTreeMap<String, String>) -> String {
    let address = |text: &String| format!("data:text/javascript;base64,{}", STANDARD.encode(text));
    let imports: BTreeMap<String, String> =
        modules.iter().map(|(name, text)| (format!("doorbell/{name}"), address(text))).collect();
    let map = serde_json::json!({ "imports": imports });
    let begun = SIMULATION
        .map(|name| format!("<script type=\"module\">import \"doorbell/{name}\";</script>\n"));
    format!("<script type=\"importmap\">{map}</script>\n{}", begun.concat())
}

/// A module and all that it imports, each under its own name and naming others by theirs.
fn collect(name: String, modules: &mut BTreeMap<String, String>) -> Result<(), String> {
    if modules.contains_key(&name) {
        return Ok(());
    }
    modules.insert(name.clone(), String::new());
    let mut named = String::new();
    let mut rest = &*text(&name)?;
    while let Some(at) = IMPORTS.iter().filter_map(|sign| Some(rest.find(sign)? + sign.len())).min()
    {
        let (before, from) = rest.split_at(at - 1);
        let (target, after) = from.split_once('"').ok_or("an import without an end")?;
        let target = beside(&name, target);
        named.extend([before, "doorbell/", &target]);
        collect(target, modules)?;
        rest = &from[from.len() - after.len() - 1..];
    }
    modules.insert(name, named + rest);
    Ok(())
}

/// The name of a file that another one names from where it is.
fn beside(name: &str, target: &str) -> String {
    let mut path = PathBuf::new();
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    for part in folder.join(target).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => drop(path.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path.to_string_lossy().into_owned()
}

fn text(name: &str) -> Result<String, String> {
    let file = WebFile::get(name).ok_or_else(|| format!("the page has no {name}"))?;
    String::from_utf8(file.data.into_owned()).map_err(|_| format!("{name} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_build_reads_the_page_from_disk_each_time() {
        let file = WebFile::get("main.js").unwrap();
        let is_read = matches!(file.data, std::borrow::Cow::Owned(_));
        assert_eq!(is_read, cfg!(debug_assertions), "a release build has it inside");
    }

    #[test]
    fn a_file_is_named_from_where_another_one_is() {
        for (name, target, expected) in [
            ("main.js", "./net.js", "net.js"),
            ("lane/list.js", "../words/say.js", "words/say.js"),
            ("lane/list.js", "./chips.js", "lane/chips.js"),
        ] {
            assert_eq!(beside(name, target), expected);
        }
    }
}
