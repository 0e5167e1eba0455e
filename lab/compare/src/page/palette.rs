//! One colour for each way of receiving: polls blue, long polls violet, push warm and green.

use plotters::style::RGBColor;

use crate::way::Way;

/// A colour on a light ground, and what stands for it on a dark one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ink {
    pub(super) light: &'static str,
    pub(super) dark: &'static str,
}

/// Words, lines and fills of a chart.
pub(super) const TEXT: Ink = Ink { light: "#46535E", dark: "#A9B6C1" };
pub(super) const STRONG: Ink = Ink { light: "#16202A", dark: "#E6ECF1" };
pub(super) const RULE: Ink = Ink { light: "#E1E7EB", dark: "#2A3640" };
pub(super) const AXIS: Ink = Ink { light: "#9AA7B1", dark: "#566572" };
/// What is worked out and not measured.
pub(super) const MODEL: Ink = Ink { light: "#7C8894", dark: "#8996A2" };

const WAYS: [(Way, Ink); 10] = [
    (Way::PollNew, Ink { light: "#7FA9E0", dark: "#5D8AC4" }),
    (Way::PollPlain, Ink { light: "#3F7FD0", dark: "#79ABEE" }),
    (Way::Poll, Ink { light: "#17468C", dark: "#A9CBFA" }),
    (Way::Longpoll, Ink { light: "#7B4FB5", dark: "#B794E6" }),
    (Way::Ndjson, Ink { light: "#C9A227", dark: "#E3C35A" }),
    (Way::Sse, Ink { light: "#D9822B", dark: "#F0A55C" }),
    (Way::Ws, Ink { light: "#C2452D", dark: "#F08A72" }),
    (Way::Tcp, Ink { light: "#1F7A4D", dark: "#5CC48F" }),
    (Way::Unix, Ink { light: "#6BA84F", dark: "#9AD37F" }),
    (Way::Udp, Ink { light: "#148A8A", dark: "#55C7C7" }),
];

/// The colour of a way by its name in `--via`.
pub(super) fn of(via: &str) -> Ink {
    WAYS.iter().find(|(way, _)| way.name() == via).map_or(MODEL, |(_, ink)| *ink)
}

/// Rules that turn the colours of charts around on a dark ground.
pub(super) fn dark_rules() -> String {
    let base = [TEXT, STRONG, RULE, AXIS, MODEL];
    let inks = base.into_iter().chain(WAYS.map(|(_, ink)| ink));
    let rule = |ink: Ink| {
        let Ink { light, dark } = ink;
        format!(
            "svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}\
             .chip[data-ink=\"{light}\"]{{background:{dark}!important}}"
        )
    };
    inks.map(rule).collect()
}

impl Ink {
    /// For the library that draws charts.
    pub(super) fn rgb(self) -> RGBColor {
        let part = |at| u8::from_str_radix(&self.light[at..at + 2], 16).unwrap_or(0);
        RGBColor(part(1), part(3), part(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_a_colour_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for way in Way::ALL {
            assert!(seen.insert(of(&way.name()).light), "{way:?}");
        }
        assert_eq!(of("tcp").rgb(), RGBColor(0x1f, 0x7a, 0x4d));
    }
}
