//! One colour for each way of receiving: polls blue, long polls violet, push warm and green.

use doorbell::Transport;
use plotters::style::RGBColor;

use crate::row::Row;
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
/// Push that gathers messages, whatever carries them.
pub(super) const GATHERED: Ink = Ink { light: "#7C8894", dark: "#8996A2" };

/// The colour of a way.
pub(super) fn of(way: Way) -> Ink {
    match way {
        Way::PollNew => Ink { light: "#7FA9E0", dark: "#5D8AC4" },
        Way::PollPlain => Ink { light: "#3F7FD0", dark: "#79ABEE" },
        Way::PollNewResumed => Ink { light: "#5E90D2", dark: "#6C9AD8" },
        Way::PollHttp2New => Ink { light: "#9DB4D6", dark: "#4A6FA5" },
        Way::PollHttp2 => Ink { light: "#0B2A5B", dark: "#C9DEFF" },
        Way::PollBackoff => Ink { light: "#2E6FBF", dark: "#8FB9F2" },
        Way::PollSteered => Ink { light: "#1C5AA8", dark: "#9CC2F5" },
        Way::SseHttp2 => Ink { light: "#A85F14", dark: "#F7BF85" },
        Way::Best(transport) => match transport {
            Transport::Poll => Ink { light: "#17468C", dark: "#A9CBFA" },
            Transport::Longpoll => Ink { light: "#7B4FB5", dark: "#B794E6" },
            Transport::Ndjson => Ink { light: "#C9A227", dark: "#E3C35A" },
            Transport::Sse => Ink { light: "#D9822B", dark: "#F0A55C" },
            Transport::Raw => Ink { light: "#8A6D3B", dark: "#C8A97A" },
            Transport::Websocket => Ink { light: "#C2452D", dark: "#F08A72" },
            Transport::Tcp => Ink { light: "#1F7A4D", dark: "#5CC48F" },
            Transport::Unix => Ink { light: "#6BA84F", dark: "#9AD37F" },
            Transport::Udp => Ink { light: "#148A8A", dark: "#55C7C7" },
        },
    }
}

/// How many contenders of the same way, and so of the same colour, stand before this one: with
/// another interval, or another window.
pub(super) fn alike_before(rows: &[&Row], index: usize) -> usize {
    let alike = |row: &&&Row| rows.get(index).is_some_and(|own| own.via == row.via);
    rows.iter().take(index).filter(alike).count()
}

/// Rules that turn the colours of charts around on a dark ground.
pub(super) fn dark_rules() -> String {
    let base = [TEXT, STRONG, RULE, AXIS, GATHERED];
    let inks = base.into_iter().chain(Way::all().map(of));
    let rule = |ink: Ink| {
        let Ink { light, dark } = ink;
        format!(
            "svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}\
             .chip[data-ink=\"{light}\"]{{color:{dark}!important}}"
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
        for way in Way::all() {
            assert!(seen.insert(of(way).light), "{way:?}");
        }
        assert_eq!(of(Way::TCP).rgb(), RGBColor(0x1f, 0x7a, 0x4d));
    }
}
