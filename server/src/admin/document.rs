//! An access file as the text that people have written: what changes are made to its entries leaves
//! its comments and its order.

use std::fmt;

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

/// How long a token stays good beside the one that took its place, in seconds.
const ROTATED_SECONDS: u64 = 24 * 60 * 60;
/// What follows a token's name in the name of the one before it.
const OLD: &str = "-old";

/// The text of an access file, which is one.
pub(super) struct Document(DocumentMut);

/// What is to be added.
#[derive(Debug)]
pub(super) struct NewEntry {
    pub(super) name: String,
    /// The key of the hash.
    pub(super) secret: &'static str,
    pub(super) hash: String,
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
    pub(super) expires: Option<String>,
    pub(super) admin: bool,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Document {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // The library's sentence may have some of the text in it, which is nobody's to see.
        text.parse().map(Self).map_err(|_| "it is no TOML".to_owned())
    }

    /// Adds an entry to the tokens or the users.
    pub(super) fn add(&mut self, kind: &str, entry: &NewEntry) -> Result<(), String> {
        let mut table = Table::new();
        table["name"] = value(&entry.name);
        table[entry.secret] = value(&entry.hash);
        for (key, rules) in [("allow", &entry.allow), ("deny", &entry.deny)] {
            if !rules.is_empty() {
                table[key] = value(rules.iter().collect::<Array>());
            }
        }
        if entry.admin {
            table["admin"] = value(true);
        }
        if let Some(date) = &entry.expires {
            set_end(&mut table, date)?;
        }
        if !self.0.is_empty() {
            table.decor_mut().set_prefix("\n");
        }
        self.tables(kind)?.push(table);
        Ok(())
    }

    /// Takes a token away, and the one before it.
    pub(super) fn revoke(&mut self, name: &str) -> Result<(), String> {
        let tokens = self.tables("token")?;
        let index = find(tokens, name).ok_or_else(|| absent(name))?;
        tokens.remove(index);
        if let Some(index) = find(tokens, &format!("{name}{OLD}")) {
            tokens.remove(index);
        }
        if tokens.is_empty() {
            self.0.remove("token");
        }
        Ok(())
    }

    /// Gives a token another secret. The one before stays good for a day under another name, in the
    /// place of one that did so already.
    pub(super) fn rotate(&mut self, name: &str, hash: &str, now: u64) -> Result<(), String> {
        let end = date(now + ROTATED_SECONDS)?;
        let old_name = format!("{name}{OLD}");
        let tokens = self.tables("token")?;
        if let Some(index) = find(tokens, &old_name) {
            tokens.remove(index);
        }
        let index = find(tokens, name).ok_or_else(|| absent(name))?;
        let token = tokens.get_mut(index).ok_or_else(|| absent(name))?;
        let mut old = token.clone();
        token["sha256"] = value(hash);
        old["name"] = value(old_name);
        old.decor_mut().set_prefix("\n");
        match own_end(&old) {
            Some(own) if own <= now => {
                return Err(format!("token '{name}' has expired: revoke it and add another"));
            }
            Some(own) if own <= now + ROTATED_SECONDS => {}
            _ => set_end(&mut old, &end)?,
        }
        tokens.push(old);
        Ok(())
    }

    fn tables(&mut self, kind: &str) -> Result<&mut ArrayOfTables, String> {
        let item = self.0.entry(kind).or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let wrong = || format!("{kind} is not written as tables [[{kind}]], which can be changed");
        item.as_array_of_tables_mut().ok_or_else(wrong)
    }
}

fn find(tables: &ArrayOfTables, name: &str) -> Option<usize> {
    tables.iter().position(|table| table.get("name").and_then(Item::as_str) == Some(name))
}

fn absent(name: &str) -> String {
    format!("there is no token '{name}'")
}

/// When an entry ends, in unix seconds.
fn own_end(table: &Table) -> Option<u64> {
    let time: jiff::Timestamp = table.get("expires")?.as_datetime()?.to_string().parse().ok()?;
    u64::try_from(time.as_second()).ok()
}

fn set_end(table: &mut Table, date: &str) -> Result<(), String> {
    let date: toml_edit::Datetime = date.parse().map_err(|_| format!("{date} is no date"))?;
    table["expires"] = value(date);
    Ok(())
}

/// A time in unix seconds as it is written.
///
/// # Errors
///
/// That it is too far away.
pub(super) fn date(seconds: u64) -> Result<String, String> {
    let time = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    // TOML knows years of four digits.
    let text = time.map(|time| time.to_string()).filter(|text| text.len() == 20);
    text.ok_or_else(|| "the time when it expires is too far away".to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rights::{AccessFile, TokenHash};

    /// A token to be added.
    pub(in crate::admin) fn entry(name: &str) -> NewEntry {
        NewEntry {
            name: name.to_owned(),
            secret: "sha256",
            hash: TokenHash::of(name).to_string(),
            allow: vec!["sub a.>".to_owned()],
            deny: Vec::new(),
            expires: None,
            admin: false,
        }
    }

    #[test]
    fn comments_and_order_stay() {
        let mut document = Document::parse("# ours\n[anonymous] # all\nallow = []\n").unwrap();
        document.add("token", &entry("one")).unwrap();
        let alone = document.to_string();
        document.add("token", &entry("two")).unwrap();
        let both = document.to_string();
        assert!(both.starts_with("# ours\n[anonymous] # all\nallow = []\n\n[[token]]\n"), "{both}");
        document.rotate("two", &TokenHash::of("x").to_string(), 1_800_000_000).unwrap();
        let rotated = document.to_string();
        assert!(rotated.contains("name = \"two-old\""), "{rotated}");
        assert!(rotated.contains("expires = 2027-01-16T08:00:00Z"), "{rotated}");
        assert_eq!(AccessFile::parse(&rotated).unwrap().entries.len(), 3);
        document.revoke("two").unwrap();
        assert_eq!(document.to_string(), alone);
        assert!(document.revoke("two").is_err());
        document.revoke("one").unwrap();
        assert_eq!(document.to_string(), "# ours\n[anonymous] # all\nallow = []\n");
    }

    #[test]
    fn the_end_of_a_token_is_not_put_off_by_rotating_it() {
        let mut document = Document::parse("").unwrap();
        let expires = Some("2027-01-15T10:00:00Z".to_owned());
        document.add("token", &NewEntry { expires, ..entry("a") }).unwrap();
        let hash = |of: &str| TokenHash::of(of).to_string();
        document.rotate("a", &hash("b"), 1_800_000_000).unwrap();
        assert_eq!(document.to_string().matches("2027-01-15T10:00:00Z").count(), 2);
        document.rotate("a", &hash("c"), 1_800_000_001).unwrap();
        assert_eq!(document.to_string().matches("[[token]]").count(), 2);
        assert!(document.rotate("a", &hash("d"), 1_900_000_000).is_err());
    }
}
