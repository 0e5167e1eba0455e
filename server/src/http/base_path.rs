//! The path under which a proxy offers the server, where that proxy leaves it in the requests.

use std::str::FromStr;

/// Such a path, which is not part of any address here; by itself empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl FromStr for BasePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let is_name = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(is_plain);
        let mut parts = path.split('/');
        if path.is_empty() || parts.next() == Some("") && parts.all(is_name) {
            return Ok(Self(path.to_owned()));
        }
        Err("a path looks like /bell or /tools/bell".to_owned())
    }
}

impl BasePath {
    /// What is left of a path without it. Addresses without it are understood as well, for those
    /// who do not come by the proxy.
    pub(super) fn strip<'a>(&self, path: &'a str) -> &'a str {
        if self.is(path) {
            return "/";
        }
        path.strip_prefix(&self.0).filter(|rest| rest.starts_with('/')).unwrap_or(path)
    }

    /// Whether a path is this one without a slash at its end. The page's parts would not be found
    /// from there.
    pub(super) fn is(&self, path: &str) -> bool {
        !path.is_empty() && path == self.0
    }

    /// It, without a slash at its end.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the page is.
    pub(super) fn page(&self, query: Option<&str>) -> String {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}/{query}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_taken_from_the_beginning_of_whole_segments() {
        let base: BasePath = "/tools/bell/".parse().unwrap();
        assert_eq!(base.strip("/tools/bell/demo/json"), "/demo/json");
        assert_eq!(base.strip("/tools/bell/"), "/");
        assert_eq!(base.strip("/tools/bell"), "/");
        assert_eq!(base.page(Some("demo=off")), "/tools/bell/?demo=off");
        for other in ["/demo/json", "/tools/bells/x", "/", "/tools"] {
            assert_eq!((base.strip(other), base.is(other)), (other, false));
        }
        let none = BasePath::default();
        assert_eq!((none.strip("/demo"), none.is("/demo"), none.is("")), ("/demo", false, false));
        for wrong in ["bell", "/a//b", "/a/../b", "/a b", "https://x/bell", "//", "/b?x"] {
            assert!(wrong.parse::<BasePath>().is_err(), "{wrong}");
        }
    }
}
