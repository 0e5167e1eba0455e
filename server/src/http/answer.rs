//! HTTP answers that every handler gives: errors in the shape of the dialect.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use doorbell_protocol::{Code, Error};

use crate::limits::RETRY_AFTER_SECONDS;

/// An error on its way to an HTTP client.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = StatusCode::from_u16(error.code().status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(error.body())).into_response();
        if error.code().is_retryable() {
            let seconds = HeaderValue::from(RETRY_AFTER_SECONDS);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// There is nothing at this address.
pub(crate) async fn not_found() -> Refusal {
    Refusal(Error::new(Code::NotFound, "page not found"))
}

/// The address exists, the method does not.
pub(crate) async fn method_not_allowed() -> Refusal {
    Refusal(Error::new(Code::MethodNotAllowed, "method not allowed"))
}
