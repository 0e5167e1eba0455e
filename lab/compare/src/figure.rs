//! Figures as people read them: three digits and a unit.

/// A count as a number to reckon with.
#[allow(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// A number of things as a number to reckon with.
pub(crate) fn float_of(count: usize) -> f64 {
    float(count as u64)
}

/// A quotient, if there is something to divide by.
pub(crate) fn per(value: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| value / float(count))
}

/// Microseconds in the unit that suits them.
pub(crate) fn time(micros: f64) -> String {
    scaled(micros, &["µs", "ms", "s"])
}

/// As [`time`] without zeros behind the point, as people write what they ask for.
pub(crate) fn short_time(micros: f64) -> String {
    let text = time(micros);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

/// Bytes in the unit that suits them, a kB being 1000 bytes.
pub(crate) fn bytes(count: f64) -> String {
    scaled(count, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// A count without a unit of its own.
pub(crate) fn count(value: f64) -> String {
    scaled(value, &["", "k", "M", "G", "T"])
}

/// A figure in a range; a unit that all have is written once.
pub(crate) fn within(median: &str, least: &str, most: &str) -> String {
    let unit = |text: &str| text.rsplit_once(' ').map(|(_, unit)| unit.to_owned());
    if unit(median) == unit(most) && unit(least) == unit(most) {
        let number = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        return format!("{}, {}–{most}", number(median), number(least));
    }
    format!("{median}, {least}–{most}")
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.095 {
        return "<0.1 %".to_owned();
    }
    format!("{percent:.1} %")
}

/// Three digits and a unit, each a thousand times the one before it.
fn scaled(value: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 999.5 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    let whole = (value - value.round()).abs() < 1e-9 && unit == 0;
    let decimals = match value.abs() {
        _ if whole => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", units[unit]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        let cases = [
            (0.0, "0 µs"),
            (999.0, "999 µs"),
            (1000.0, "1.00 ms"),
            (9_994.0, "9.99 ms"),
            (9_995.0, "10.0 ms"),
            (99_949.0, "99.9 ms"),
            (999_499.0, "999 ms"),
            (999_500.0, "1.00 s"),
            (2_470_000.0, "2.47 s"),
            (3_600e6, "3600 s"),
        ];
        for (micros, expected) in cases {
            assert_eq!(time(micros), expected, "{micros}");
        }
        let short = [5e6, 1.5e6, 3_600e6, 250e3, 1e5, 100.0].map(short_time);
        assert_eq!(short, ["5 s", "1.5 s", "3600 s", "250 ms", "100 ms", "100 µs"]);
        assert_eq!(bytes(105.5), "106 B");
        assert_eq!(bytes(1_234_567_890_123.0), "1.23 TB");
        assert_eq!(count(1e6), "1.00 M");
        assert_eq!(time(-19_330.0), "-19.3 ms");
        assert_eq!(within("1.50 ms", "1.00 ms", "2.00 ms"), "1.50, 1.00–2.00 ms");
        assert_eq!(within("1.50 ms", "900 µs", "2.00 ms"), "1.50 ms, 900 µs–2.00 ms");
        assert_eq!(
            (percent(0.5), percent(0.0), percent(1e-5)),
            ("50.0 %".into(), "0.0 %".into(), "<0.1 %".into())
        );
    }
}
