//! The access file: who there is and what each may do, as TOML.
//!
//! ```toml
//! [[token]]
//! name = "backup"
//! sha256 = "9f86d081…"              # of the whole token, tk_ and all
//! allow = ["pub backup.>", "sub orders.>"]
//! deny = ["sub orders.secret.>"]
//! expires = 2027-01-01T00:00:00Z
//!
//! [[user]]
//! name = "phil"
//! argon2id = "$argon2id$v=19$m=19456,t=2,p=1$…"
//! allow = ["pubsub >"]
//! admin = true
//!
//! [anonymous]                       # who brings no credential
//! allow = ["sub news.>"]
//!
//! [uid.1000]                        # who comes over the Unix socket
//! [certificate."laptop.example"]    # who brings a client certificate of this name
//!
//! [jwt]                             # who brings a token that somebody else has signed
//! issuer = "https://id.example"
//! audience = "doorbell"
//! jwks_file = "keys.json"
//! algorithms = ["ES256"]
//! max_age = "1h"
//! allow = ["sub orders.>"]          # no token gives more
//! revoked = ["3f2a…"]               # by its claim jti
//! not_before = 2027-01-01T00:00:00Z # by its claim iat
//! ```
//!
//! It is read as a whole or not at all. Errors name the entry, the rule and the bound, and never
//! repeat what may be a secret.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use doorbell_protocol::code::{quoted, said};
use doorbell_protocol::since::parse_duration;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use toml::value::Datetime;

use super::jwt::{JwtSettings, KeyFile};
use super::{PasswordHash, Rights, Rule, TokenHash};
use crate::limits::{ACCESS_NAME_BYTES_MAX, ACCESS_RULES_MAX};

/// Algorithms of signatures that anybody can verify, and of those that take the issuer's secret.
const SIGNATURES: [Algorithm; 3] = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];
const SECRETS: [Algorithm; 1] = [Algorithm::HS256];

/// What an access file says, checked.
#[derive(Debug, Default)]
pub struct AccessFile {
    /// Everybody with a name of his own.
    pub entries: Vec<AccessEntry>,
    /// What may be done without a credential.
    pub anonymous: WrittenRules,
    /// What tokens that others sign may give.
    pub jwt: Option<JwtSettings>,
}

/// The rules of one identity, as they are written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WrittenRules {
    /// What is allowed.
    pub allow: Vec<Rule>,
    /// What is not, whatever allows it.
    pub deny: Vec<Rule>,
    /// Whether it may see what the server says of itself and of others.
    pub admin: bool,
}

impl WrittenRules {
    /// What they come to.
    pub fn rights(&self) -> Rights {
        Rights::new(&self.allow, &self.deny, self.admin)
    }
}

/// One identity of the file.
#[derive(Debug)]
pub struct AccessEntry {
    /// By what it is known.
    pub credentials: Credentials,
    /// Its name. Names are unlike within a kind of credentials.
    pub name: String,
    /// What it may do.
    pub rules: WrittenRules,
    /// When it ends, in unix seconds.
    pub expires: Option<u64>,
}

/// By what an identity is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token with this hash.
    Token(TokenHash),
    /// The name, and a password with this hash.
    Password(PasswordHash),
    /// The user of a process that connects to the Unix socket.
    Uid(u32),
    /// A client certificate for the name.
    Certificate,
}

/// Why a file is not taken: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FileError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    #[serde(default)]
    token: Vec<WrittenToken>,
    #[serde(default)]
    user: Vec<WrittenUser>,
    #[serde(default)]
    anonymous: WrittenRights,
    #[serde(default)]
    uid: BTreeMap<String, WrittenRights>,
    #[serde(default)]
    certificate: BTreeMap<String, WrittenRights>,
    jwt: Option<WrittenJwt>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenToken {
    name: String,
    sha256: String,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
    #[serde(default)]
    admin: bool,
    expires: Option<Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUser {
    name: String,
    argon2id: String,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
    #[serde(default)]
    admin: bool,
    expires: Option<Datetime>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct WrittenRights {
    allow: Vec<String>,
    deny: Vec<String>,
    admin: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenJwt {
    issuer: String,
    audience: String,
    jwks_file: Option<PathBuf>,
    secret_file: Option<PathBuf>,
    algorithms: Vec<String>,
    max_age: Option<String>,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
    #[serde(default)]
    revoked: HashSet<String>,
    not_before: Option<Datetime>,
}

impl WrittenJwt {
    fn settings(self) -> Result<JwtSettings, FileError> {
        let wrong = |why: &str| wrong("jwt", why);
        let (keys, known) = match (self.jwks_file, self.secret_file) {
            (Some(path), None) => (KeyFile::Jwks(path), &SIGNATURES[..]),
            (None, Some(path)) => (KeyFile::Secret(path), &SECRETS[..]),
            _ => return Err(wrong("it has one of jwks_file and secret_file")),
        };
        let mut algorithms = Vec::new();
        for name in self.algorithms {
            let found = known.iter().find(|known| format!("{known:?}") == name);
            let why = format!("algorithm {} is none of {known:?}", quoted(&name));
            algorithms.push(*found.ok_or_else(|| wrong(&why))?);
        }
        if self.issuer.is_empty() || self.audience.is_empty() || algorithms.is_empty() {
            return Err(wrong("issuer, audience and algorithms are not to be empty"));
        }
        let max_age = self.max_age.map(|text| {
            let why = format!("max_age {} is no duration such as 1h", quoted(&text));
            parse_duration(&text).ok_or_else(|| wrong(&why))
        });
        let not_before = self.not_before.map(|time| unix_seconds("jwt", "not_before", time));
        let rights = WrittenRights { allow: self.allow, deny: self.deny, admin: false };
        Ok(JwtSettings {
            issuer: self.issuer,
            audience: self.audience,
            keys,
            algorithms,
            max_age: max_age.transpose()?,
            rules: rights.rules("jwt")?,
            revoked: self.revoked,
            not_before: not_before.transpose()?,
        })
    }
}

impl AccessFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// The first thing in it that is wrong.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let written: WrittenFile =
            toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        let mut file = Self { anonymous: written.anonymous.rules("anonymous")?, ..Self::default() };
        for token in written.token {
            let what = format!("token {}", quoted(&token.name));
            let hash: TokenHash = token.sha256.parse().map_err(|why| wrong(&what, why))?;
            let expires =
                token.expires.map(|time| unix_seconds(&what, "expires", time)).transpose()?;
            let rights = WrittenRights { allow: token.allow, deny: token.deny, admin: token.admin };
            file.add(&what, Credentials::Token(hash), token.name, &rights, expires)?;
        }
        for user in written.user {
            let what = format!("user {}", quoted(&user.name));
            let hash: PasswordHash = user.argon2id.parse().map_err(|why| wrong(&what, why))?;
            let expires =
                user.expires.map(|time| unix_seconds(&what, "expires", time)).transpose()?;
            let rights = WrittenRights { allow: user.allow, deny: user.deny, admin: user.admin };
            if user.name.contains(':') {
                return Err(wrong(&what, "a user's name has no colon"));
            }
            file.add(&what, Credentials::Password(hash), user.name, &rights, expires)?;
        }
        for (name, rights) in written.uid {
            let what = format!("uid {}", quoted(&name));
            let number = name.parse().map_err(|_| wrong(&what, "it is no number"))?;
            file.add(&what, Credentials::Uid(number), name, &rights, None)?;
        }
        for (name, rights) in written.certificate {
            let what = format!("certificate {}", quoted(&name));
            file.add(&what, Credentials::Certificate, name, &rights, None)?;
        }
        file.jwt = written.jwt.map(WrittenJwt::settings).transpose()?;
        file.check_repeats()?;
        Ok(file)
    }

    fn add(
        &mut self,
        what: &str,
        credentials: Credentials,
        name: String,
        rights: &WrittenRights,
        expires: Option<u64>,
    ) -> Result<(), FileError> {
        if name.is_empty() || name.len() > ACCESS_NAME_BYTES_MAX || name.contains(char::is_control)
        {
            let why =
                format!("a name has 1 to {ACCESS_NAME_BYTES_MAX} bytes and no control character");
            return Err(wrong(what, &why));
        }
        let rules = rights.rules(what)?;
        self.entries.push(AccessEntry { credentials, name, rules, expires });
        Ok(())
    }

    fn check_repeats(&self) -> Result<(), FileError> {
        let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
        for AccessEntry { credentials, name, .. } in &self.entries {
            let kind = credentials.kind();
            if !names.insert((kind, name)) {
                return Err(FileError(format!("there are two of {kind} '{name}'")));
            }
            if let Credentials::Token(hash) = credentials
                && !hashes.insert(hash)
            {
                return Err(wrong(&format!("token '{name}'"), "another token has the same sha256"));
            }
        }
        Ok(())
    }
}

impl Credentials {
    /// What the entries of a file are called.
    pub const KINDS: [&str; 4] = ["token", "user", "uid", "certificate"];

    /// Whether there is the same secret behind two of one name, and nothing of it: empty where
    /// there is none.
    pub fn proof(&self) -> String {
        let secret = match self {
            Self::Token(hash) => hash.to_string(),
            Self::Password(hash) => hash.as_str().to_owned(),
            Self::Uid(_) | Self::Certificate => return String::new(),
        };
        TokenHash::of(&secret).to_string()
    }

    /// What such an entry is called in a file.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Password(_) => "user",
            Self::Uid(_) => "uid",
            Self::Certificate => "certificate",
        }
    }
}

impl WrittenRights {
    fn rules(&self, what: &str) -> Result<WrittenRules, FileError> {
        let rules = |texts: &[String], which: &str| -> Result<Vec<Rule>, FileError> {
            if texts.len() > ACCESS_RULES_MAX {
                let why = format!("{which} has {} rules, limit is {ACCESS_RULES_MAX}", texts.len());
                return Err(wrong(what, &why));
            }
            let rule = |text: &String| text.parse().map_err(|why: String| wrong(what, &why));
            texts.iter().map(rule).collect()
        };
        let (allow, deny) = (rules(&self.allow, "allow")?, rules(&self.deny, "deny")?);
        Ok(WrittenRules { allow, deny, admin: self.admin })
    }
}

fn wrong(what: &str, why: &str) -> FileError {
    FileError(format!("{what}: {why}"))
}

/// The library's sentence and the line, but none of the file's text: it may hold a secret.
fn unreadable(text: &str, error: &toml::de::Error) -> FileError {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| 1 + before.matches('\n').count());
    let reason = error.message().lines().next().unwrap_or("it is no TOML");
    FileError(format!("line {line}: {}", said(reason)))
}

/// When a date and time is. One without an offset is a mistake waiting for its hour.
fn unix_seconds(what: &str, key: &str, time: Datetime) -> Result<u64, FileError> {
    let parsed: Option<jiff::Timestamp> = time.to_string().parse().ok();
    let seconds = parsed.and_then(|time| u64::try_from(time.as_second()).ok());
    seconds.ok_or_else(|| {
        let why = format!("{key} {time} is no time such as 2027-01-01T00:00:00Z");
        wrong(what, &why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights::{Action, Token, hash_password};

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_file_names_tokens_users_and_those_that_others_vouch_for() {
        let text = format!(
            r#"
            [[token]]
            name = "backup"
            sha256 = "{HASH}"
            allow = ["pub backup.>"]
            deny = ["pub backup.old"]
            expires = 2027-01-01T00:00:00+01:00
            [[user]]
            name = "phil"
            argon2id = "{}"
            allow = ["pubsub >"]
            admin = true
            [anonymous]
            allow = ["sub news"]
            [uid.1000]
            allow = ["sub >"]
            [certificate."laptop.example"]
            "#,
            hash_password("x").unwrap()
        );
        let file = AccessFile::parse(&text).unwrap();
        let names: Vec<_> = file.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["backup", "phil", "1000", "laptop.example"]);
        assert_eq!(file.entries[0].expires, Some(1_798_758_000));
        assert_eq!(file.entries[0].credentials, Credentials::Token(TokenHash::of("abc")));
        assert!(file.entries[1].rules.admin && file.entries[3].rules.rights().is_nothing());
        assert!(file.anonymous.rights().read(&"news".parse().unwrap()).is_ok());
        let any = "a".parse().unwrap();
        assert!(matches!(
            file.entries[2].rules.rights().decide(Action::Publish, &any),
            crate::rights::Decision::NotAllowed
        ));
        assert!(AccessFile::parse("").unwrap().anonymous.rights().is_nothing());
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_repeated() {
        let token = Token::generate();
        let secret = token.reveal();
        let of = |rest: &str| format!("[[token]]\nname = \"a\"\nsha256 = \"{HASH}\"\n{rest}");
        let many = vec!["\"sub a\""; ACCESS_RULES_MAX + 1].join(",");
        for (text, expected) in [
            (of("allow = [\"red x\"]"), "token 'a': rule 'red x': it is none of"),
            (of("allow = [\"sub x.>.y\"]"), "token 'a': rule 'sub x.>.y': "),
            (of(&format!("deny = [{many}]")), "token 'a': deny has 1025 rules, limit is 1024"),
            (of("expires = 2027-01-01"), "token 'a': expires 2027-01-01 is no time"),
            (of("colour = 1"), "line 4: unknown field `colour`"),
            (of(r#""a\u0000b" = 1"#), r"line 4: unknown field `a\u{0}b`"),
            (of("") + &of(""), "there are two of token 'a'"),
            (of("").replace("\"a\"", "\"b\"") + &of(""), "token 'a': another token has the same"),
            (
                format!("[[token]]\nname = \"a\"\nsha256 = \"{secret}\""),
                "token 'a': sha256 is a token",
            ),
            (
                format!("[[user]]\nname = \"a\"\nargon2id = \"{secret}\""),
                "user 'a': argon2id is to be",
            ),
            (format!("[[token]]\nname = \"a\"\nsha256 = [\"{secret}\"]"), "line 3: "),
            (format!("[[token]]\nsha256 = \"{secret}"), "line 2: "),
            ("[uid.x]".to_owned(), "uid 'x': it is no number"),
            ("[[token]]\nname = \"\"\nsha256 = \"\"".to_owned(), "token '': sha256 is to be"),
        ] {
            let error = AccessFile::parse(&text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}, not {expected}");
            assert!(!error.contains(secret) && !error.contains(char::is_control), "{error}");
        }
    }
}
