//! The address under which everybody knows the server.

use std::str::FromStr;

use super::origin::HostName;

/// Such an address, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    url: String,
    host: HostName,
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = text.strip_suffix('/').unwrap_or(text);
        let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let host = rest.and_then(|rest| {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, "/"));
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, port),
                _ => (authority, "0"),
            };
            let fits = port.parse::<u16>().is_ok() && path.chars().all(is_plain);
            host.parse().ok().filter(|_| fits)
        });
        let host = host.ok_or("an address looks like https://push.example.com or with a path")?;
        Ok(Self { url: url.to_owned(), host })
    }
}

impl BaseUrl {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// The host that it names.
    pub fn host(&self) -> &HostName {
        &self.host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_of_the_web_a_host_and_perhaps_a_port_and_a_path() {
        for (text, url, host) in [
            ("https://push.example.com", "https://push.example.com", "push.example.com"),
            ("http://a:8080/bell/", "http://a:8080/bell", "a"),
            ("http://[::1]:80", "http://[::1]:80", "::1"),
            ("http://[::1]", "http://[::1]", "::1"),
        ] {
            let base: BaseUrl = text.parse().unwrap();
            assert_eq!((base.as_str(), base.host()), (url, &host.parse().unwrap()));
        }
        for wrong in
            ["", "a.example", "ftp://a", "https://", "https://a b", "https://a:x", "https://a/?b"]
        {
            assert!(wrong.parse::<BaseUrl>().is_err(), "{wrong}");
        }
    }
}
