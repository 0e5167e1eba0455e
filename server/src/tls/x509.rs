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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn alternative_names_come_first_and_what_is_no_certificate_has_none() {
        let names_given = ["sensor.example", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names_given).unwrap();
        params.subject_alt_names.push(SanType::URI("spiffe://example/sensor".try_into().unwrap()));
        params.distinguished_name.push(DnType::CommonName, "sensor 7");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let expected =
            ["sensor.example", "192.0.2.1", "2001:db8::1", "spiffe://example/sensor", "sensor 7"];
        assert_eq!(names(certificate.der()), expected);
        assert!(not_after(certificate.der()).is_some());
        let nothing = CertificateDer::from(vec![0x30, 0]);
        assert!(names(&nothing).is_empty() && not_after(&nothing).is_none());
    }
}
