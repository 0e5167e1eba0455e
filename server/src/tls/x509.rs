//! What stands in a certificate.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The names of whom a certificate is for: the alternative ones, then the common one. Those that
/// are no text have none here.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Some(certificate) = parse(certificate) else { return Vec::new() };
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.iter().flat_map(|names| &names.value.general_names);
    let mut names: Vec<String> = alternatives.filter_map(alternative).collect();
    let common = certificate.subject().iter_common_name();
    names.extend(common.filter_map(|name| name.as_str().ok().map(str::to_owned)));
    names
}

fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    let v6 = <[u8; 16]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    v4.or(v6).ok()
}

/// When a certificate ends, in unix seconds.
pub(super) fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    Some(parse(certificate)?.validity().not_after.timestamp())
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(certificate).ok().map(|(_, certificate)| certificate)
}
