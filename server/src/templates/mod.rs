//! Named templates: what stands in a file of theirs, and where the files are. Some come with the
//! server; those of its folder are read when they are asked for, so that a change counts at once.
//! Filling them in is `http/templated`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use doorbell_protocol::code::{quoted, said};
use doorbell_protocol::{Code, Error};
use serde::Deserialize;

use crate::limits::{TEMPLATE_FILE_BYTES_MAX, TEMPLATE_NAME_BYTES_MAX};

/// Those that come with the server, by their names.
const BUILT_IN: [(&str, &str); 3] = [
    ("alertmanager", include_str!("alertmanager.yml")),
    ("github", include_str!("github.yml")),
    ("grafana", include_str!("grafana.yml")),
];

/// What stands in the file of a template. What it does not have is left to the parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateFile {
    /// The template of the title.
    pub title: Option<String>,
    /// The template of the text.
    pub message: Option<String>,
    /// The template of the priority.
    pub priority: Option<String>,
}

/// Where named templates are.
#[derive(Debug, Default)]
pub struct Templates {
    folder: Option<PathBuf>,
}

impl Templates {
    /// Those of a folder, and those that come with the server.
    ///
    /// # Errors
    ///
    /// That the folder cannot be read.
    pub fn open(folder: Option<&Path>) -> io::Result<Self> {
        if let Some(folder) = folder {
            std::fs::read_dir(folder)?;
        }
        Ok(Self { folder: folder.map(Path::to_owned) })
    }

    /// The template of that name. One of the folder goes before one that comes with the server.
    ///
    /// # Errors
    ///
    /// That there is none, or that its file is malformed.
    pub fn named(&self, name: &str) -> Result<TemplateFile, Error> {
        let own = is_name(name).then(|| self.own(name)).transpose();
        let own = own.map_err(|error| {
            tracing::warn!(name, %error, "a template cannot be read");
            let text = format!("template {} cannot be read", quoted(name));
            Error::new(Code::TemplateFileInvalid, text)
        })?;
        let built_in = || BUILT_IN.iter().find(|(known, _)| *known == name);
        let text = match own.flatten() {
            Some(text) => text,
            None => match built_in() {
                Some((_, text)) => (*text).to_owned(),
                None => {
                    let text = format!("there is no template {}", quoted(name));
                    return Err(Error::new(Code::TemplateUnknown, text));
                }
            },
        };
        serde_saphyr::from_str(&text).map_err(|error| {
            let error = error.to_string();
            let line = error.lines().next().unwrap_or_default();
            let line = said(line.strip_prefix("error: ").unwrap_or(line));
            let text = format!("template {} is malformed: {line}", quoted(name));
            Error::new(Code::TemplateFileInvalid, text)
        })
    }

    /// The text of a file in the folder; none if it is not there, or is empty.
    fn own(&self, name: &str) -> io::Result<Option<String>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let path = folder.join(format!("{name}.yml"));
        // What is no file might be waited for without an end.
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(io::Error::other("it is no file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut text = String::new();
        File::open(&path)?.take(TEMPLATE_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > TEMPLATE_FILE_BYTES_MAX {
            let text = format!("it is longer than {TEMPLATE_FILE_BYTES_MAX} bytes");
            return Err(io::Error::other(text));
        }
        Ok((!text.is_empty()).then_some(text))
    }
}

/// Whether a template may be called so: a name is no path.
fn is_name(name: &str) -> bool {
    (1..=TEMPLATE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests;
