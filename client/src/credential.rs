//! What a client brings to show who asks.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

use crate::error::Error;

/// Bytes of the longest token or password that is taken: the server reads 8 KiB of a line from
/// somebody whom it does not know.
const SECRET_BYTES_MAX: usize = 8000;

/// A token, or a user's name and password. Nothing shows it: neither `Debug` nor an error.
///
/// It is sent over TLS, over a Unix socket and to this machine itself, and nowhere else unless
/// [`even_in_the_clear`](Self::even_in_the_clear) is said.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The value of `Authorization`.
    authorization: HeaderValue,
    /// What `AUTH` takes: a token, and no password.
    token: Option<String>,
    even_in_the_clear: bool,
}

impl Credential {
    /// A token, also a signed one.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if it cannot be one.
    pub fn token(token: &str) -> Result<Self, Error> {
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(unusable("a token is letters, digits and signs without blanks"));
        }
        Self::new("token", token, format!("Bearer {token}"), Some(token.to_owned()))
    }

    /// The name and the password of a user. Lines take no password: whoever speaks them needs a
    /// token.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if they cannot be sent.
    pub fn password(user: &str, password: &str) -> Result<Self, Error> {
        if user.is_empty() || user.contains(':') {
            return Err(unusable("the name of a user is not empty and has no colon"));
        }
        let pair = STANDARD.encode(format!("{user}:{password}"));
        Self::new("password", password, format!("Basic {pair}"), None)
    }

    fn new(
        what: &str,
        secret: &str,
        authorization: String,
        token: Option<String>,
    ) -> Result<Self, Error> {
        let length = secret.len();
        if length > SECRET_BYTES_MAX {
            let text =
                format!("a {what} of {length} bytes is too long, limit is {SECRET_BYTES_MAX}");
            return Err(unusable(&text));
        }
        let mut authorization = HeaderValue::try_from(authorization)
            .map_err(|_| unusable(&format!("the {what} cannot stand in a header")))?;
        authorization.set_sensitive(true);
        Ok(Self { authorization, token, even_in_the_clear: false })
    }

    /// May be sent to another machine without TLS, where everybody on the way can read it.
    #[must_use]
    pub fn even_in_the_clear(mut self) -> Self {
        self.even_in_the_clear = true;
        self
    }

    /// The value of `Authorization`.
    pub(crate) fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// What `AUTH` takes.
    pub(crate) fn line(&self) -> Result<&str, Error> {
        self.token.as_deref().ok_or_else(|| {
            unusable(
                "lines take no password: use a token, or go over HTTP: an http:// or https:// \
                 address and, to subscribe, --via ws, sse, longpoll or poll",
            )
        })
    }

    /// Whether everybody may read it.
    pub(crate) fn goes_in_the_clear(&self) -> bool {
        self.even_in_the_clear
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.token.is_some() { "a token" } else { "a password" })
    }
}

fn unusable(text: &str) -> Error {
    Error::Address(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_a_secret() {
        let token = Credential::token("tk_secret").unwrap();
        let password = Credential::password("phil", "tk_secret").unwrap();
        let shown = format!("{token:?} {password:?} {:?}", token.authorization);
        assert!(!shown.contains("secret") && !shown.contains("cGhpbDp0"), "{shown}");
        for (token, what) in [("", "without blanks"), ("tk_secret x", "without blanks")] {
            let error = Credential::token(token).unwrap_err().to_string();
            assert!(error.contains(what) && !error.contains("secret"), "{error}");
        }
        let long = Credential::password("phil", &"x".repeat(SECRET_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(long.to_string(), "a password of 8001 bytes is too long, limit is 8000");
        assert!(Credential::password("a:b", "x").is_err());
    }
}
