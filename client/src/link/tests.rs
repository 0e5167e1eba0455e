//! The properties of a link as text.

use proptest::prelude::*;

use super::*;

#[test]
fn each_property_is_read_and_written_back() {
    for text in [
        "delay 40ms",
        "delay 40ms jitter 5ms rate 10mbit",
        "delay 2s rate 1500kbit",
        "delay 1.5ms jitter 0.1ms",
        "delay 0s loss 1% reorder 2.5% duplicate 0.1%",
        "delay 10s rate 1001bit",
    ] {
        assert_eq!(Link::parse(text).unwrap().to_string(), text);
    }
    let link = Link::parse(" rate 1gbit  delay 0 ").unwrap();
    assert_eq!((link.rate, link.delay), (Some(1_000_000_000), Duration::ZERO));
}

#[test]
fn what_cannot_be_is_refused_with_value_and_bound() {
    for (text, expected) in [
        ("", "needs a property"),
        ("delay", "'delay' has no value"),
        ("delay 40", "delay '40' is not a time up to 10s"),
        ("delay 11s", "delay '11s' is not a time up to 10s"),
        ("delay -1ms", "delay '-1ms'"),
        ("jitter 5ms", "jitter 5ms is more than the delay of 0ns"),
        ("rate 10", "rate '10' is not a rate from 1kbit to 10gbit"),
        ("rate 999bit", "rate '999bit'"),
        ("rate 11gbit", "rate '11gbit'"),
        ("rate 1.5mbit", "rate '1.5mbit'"),
        ("rate 99999999999999999999gbit", "rate '"),
        ("loss 1", "loss '1' is not a share from 0% to 100%"),
        ("loss 101%", "loss '101%'"),
        ("loss nan%", "loss 'nan%'"),
        ("loss +1%", "loss '+1%'"),
        ("latency 4ms", "'latency' is no property of a link: delay, jitter"),
        ("delay 1ms delay 2ms", "delay is given twice"),
    ] {
        let error = Link::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = Link::parse("loss 1%").unwrap().for_tcp().unwrap_err().to_string();
    assert!(error.contains("loss is for UDP"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(
        text in "((delay|jitter|rate|loss|reorder|duplicate|.{0,3}) ?[0-9.]{0,5}(ms|s|kbit|mbit|%)? ?){0,4}",
    ) {
        if let Ok(link) = Link::parse(&text) {
            let again = Link::parse(&link.to_string()).unwrap();
            prop_assert_eq!(
                (again.delay, again.jitter, again.rate),
                (link.delay, link.jitter, link.rate)
            );
            for (again, given) in [
                (again.loss, link.loss),
                (again.reorder, link.reorder),
                (again.duplicate, link.duplicate),
            ] {
                prop_assert!((again - given).abs() < 1e-7);
            }
        }
    }
}
