//! Texts in other codings, their hashes, and addresses and paths in parts.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::BASE32;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Brought, Call, Function, function};
use crate::value::{Members, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    function("b64enc", (1, 1), |call| {
        let text = call.text(0)?;
        call.made(STANDARD.encode(text.as_bytes()))
    }),
    function("b64dec", (1, 1), |call| {
        let text = call.text(0)?;
        let decoded = STANDARD.decode(text.as_bytes()).map_err(|error| error.to_string());
        decoded_text(call, decoded)
    }),
    function("b32enc", (1, 1), |call| {
        let text = call.text(0)?;
        call.made(BASE32.encode(text.as_bytes()))
    }),
    function("b32dec", (1, 1), |call| {
        let text = call.text(0)?;
        let decoded = BASE32.decode(text.as_bytes()).map_err(|error| error.to_string());
        decoded_text(call, decoded)
    }),
    function("sha1sum", (1, 1), hash::<Sha1>),
    function("sha256sum", (1, 1), hash::<Sha256>),
    function("sha512sum", (1, 1), hash::<Sha512>),
    function("adler32sum", (1, 1), |call| {
        const MODULUS: u32 = 65_521;
        let text = call.text(0)?;
        call.work.bytes(8 * text.len())?;
        let (low, high) = text.bytes().fold((1_u32, 0_u32), |(low, high), byte| {
            let low = (low + u32::from(byte)) % MODULUS;
            (low, (high + low) % MODULUS)
        });
        call.made(((high << 16) | low).to_string())
    }),
    function("base", (1, 1), |call| in_path(call, base)),
    function("osBase", (1, 1), |call| in_path(call, base)),
    function("dir", (1, 1), |call| in_path(call, dir)),
    function("osDir", (1, 1), |call| in_path(call, dir)),
    function("clean", (1, 1), |call| in_path(call, clean)),
    function("osClean", (1, 1), |call| in_path(call, clean)),
    function("ext", (1, 1), |call| in_path(call, extension)),
    function("osExt", (1, 1), |call| in_path(call, extension)),
    function("isAbs", (1, 1), |call| Ok(Value::Bool(call.text(0)?.starts_with('/')))),
    function("osIsAbs", (1, 1), |call| Ok(Value::Bool(call.text(0)?.starts_with('/')))),
    function("urlParse", (1, 1), url_parts),
    function("urlJoin", (1, 1), url_of),
];

/// What was coded, as text. What is wrong with it is said in its place.
fn decoded_text(call: &mut Call<'_>, decoded: Result<Vec<u8>, String>) -> Brought {
    let text =
        decoded.map_or_else(|error| error, |bytes| String::from_utf8_lossy(&bytes).into_owned());
    call.made(text)
}

fn hash<H: Digest>(call: &mut Call<'_>) -> Brought {
    let text = call.text(0)?;
    call.work.bytes(8 * text.len())?;
    let mut digits = String::new();
    for byte in H::digest(text.as_bytes()) {
        let _ = write!(digits, "{byte:02x}");
    }
    call.made(digits)
}

fn in_path(call: &mut Call<'_>, part: impl Fn(&str) -> String) -> Brought {
    let path = call.text(0)?;
    call.work.bytes(8 * path.len())?;
    call.made(part(&path))
}

fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return "/".to_owned();
    }
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn dir(path: &str) -> String {
    clean(&path[..path.rfind('/').map_or(0, |at| at + 1)])
}

fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rfind('.').map(|at| name[at..].to_owned()).unwrap_or_default()
}

fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if is_absolute => {}
            _ => parts.push(part),
        }
    }
    match (is_absolute, parts.join("/")) {
        (true, parts) => format!("/{parts}"),
        (false, parts) if parts.is_empty() => ".".to_owned(),
        (false, parts) => parts,
    }
}

/// The names of the parts of an address.
const PARTS: [&str; 8] =
    ["scheme", "userinfo", "host", "hostname", "path", "query", "opaque", "fragment"];

fn url_parts(call: &mut Call<'_>) -> Brought {
    let url = call.text(0)?;
    let (rest, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (authority, path, opaque) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (&rest[..end], &rest[end..], "")
        }
        None if !scheme.is_empty() && !rest.starts_with('/') => ("", "", rest),
        None => ("", rest, ""),
    };
    let (userinfo, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let hostname = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let parts = [&scheme, userinfo, host, hostname, path, query, opaque, fragment];
    let members = PARTS.iter().zip(parts);
    Value::map(members.map(|(name, part)| ((*name).into(), Value::text(part))).collect())
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// An address of its parts.
fn url_of(call: &mut Call<'_>) -> Brought {
    let Value::Map(parts) = call.value(0) else { return Err(call.wrong(0, "a map")) };
    let part = |members: &Members, name: &str| match members.get(name) {
        Some(Value::Text(text)) => text.to_string(),
        _ => String::new(),
    };
    let [scheme, userinfo, host, _, path, query, opaque, fragment] =
        PARTS.map(|name| part(&parts.inside, name));
    let mut url = String::new();
    if !scheme.is_empty() {
        url += &scheme;
        url.push(':');
    }
    if opaque.is_empty() {
        if !(scheme.is_empty() && host.is_empty() && userinfo.is_empty()) {
            url += "//";
        }
        if !userinfo.is_empty() {
            url += &userinfo;
            url.push('@');
        }
        url += &host;
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            url.push('/');
        }
        url += &path;
    } else {
        url += &opaque;
    }
    for (sign, part) in [('?', query), ('#', fragment)] {
        if !part.is_empty() {
            url.push(sign);
            url += &part;
        }
    }
    call.made(url)
}
