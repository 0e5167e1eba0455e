//! Growth as a picture: what a delivery costs against each thing that can grow, on logarithmic
//! axes. On a light card, whatever is around it, like the pictures of `doorbell compare`.

use std::fmt::Write;

use crate::statistics::Curves;

const WIDTH: f64 = 960.0;
const EDGE: f64 = 28.0;
/// Where the panels begin, and how high they are.
const TOP: f64 = 136.0;
const HEIGHT: f64 = 250.0;
/// Left of the first panel, and between two.
const LEFT: f64 = 74.0;
const BETWEEN: f64 = 34.0;
/// From one line below to the next.
const FOOT: f64 = 19.0;

const TEXT: &str = "#46535E";
const STRONG: &str = "#16202A";
const RULE: &str = "#E1E7EB";
const AXIS: &str = "#9AA7B1";
const STYLE: &str = "text{font:13.5px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',\
    sans-serif}.title{font-size:23px;font-weight:700;letter-spacing:-.3px}.lead{font-size:14.5px}\
    .small{font-size:12.5px}.part{font-size:14px;font-weight:650}.end{text-anchor:end}\
    .middle{text-anchor:middle}";

/// What grows along one panel.
pub(crate) struct Panel {
    pub(crate) name: &'static str,
    /// By contender, the least important first.
    pub(crate) drawn: Vec<Drawn>,
}

/// One contender in a panel.
pub(crate) struct Drawn {
    pub(crate) color: &'static str,
    pub(crate) lines: Curves,
}

impl Drawn {
    /// Whether there is a line.
    pub(crate) fn is_there(&self) -> bool {
        self.lines.iter().next().is_some()
    }
}

/// A contender's name in its colour.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) color: &'static str,
}

/// The picture; nothing if there is no line in it.
pub(crate) fn draw(panels: &[Panel], keys: &[Key], notes: &[String]) -> Option<String> {
    let points = || panels.iter().flat_map(|panel| &panel.drawn).flat_map(|one| one.lines.points());
    let up = Scale::of(points().map(|point| point.1), (TOP + HEIGHT, TOP))?;
    let height = TOP + HEIGHT + 64.0 + FOOT * notes.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title\">\n\
         <style>{STYLE}</style>\n<rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"14\" \
         fill=\"#fff\" stroke=\"{RULE}\"/>\n<text id=\"title\" class=\"title\" x=\"{EDGE}\" y=\"46\" \
         fill=\"{STRONG}\">What a delivery costs as things grow</text>\n",
        WIDTH - 1.0,
        height - 1.0,
    );
    let lead =
        "Processor time of the server for one delivery. Along each line everything else stays.";
    text(&mut svg, (EDGE, 72.0), "lead", TEXT, lead);
    let mut right = WIDTH - EDGE;
    for key in keys.iter().rev() {
        text(&mut svg, (right, 46.0), "part end", key.color, key.name);
        right -= 9.0 * key.name.len() as f64 + 16.0;
    }
    let width = (WIDTH - LEFT - EDGE + BETWEEN) / panels.len() as f64 - BETWEEN;
    for (index, panel) in panels.iter().enumerate() {
        let left = LEFT + index as f64 * (width + BETWEEN);
        let places = panel.drawn.iter().flat_map(|one| one.lines.points());
        let across = Scale::of(places.map(|point| point.0), (left, left + width))?;
        text(&mut svg, (left, TOP - 18.0), "part", STRONG, panel.name);
        for tick in up.ticks() {
            let y = up.at(tick);
            line(&mut svg, &[(left, y), (left + width, y)], RULE);
            if index == 0 {
                text(&mut svg, (left - 10.0, y + 4.0), "small end", TEXT, &micros(tick));
            }
        }
        for tick in across.ticks() {
            let x = across.at(tick);
            line(&mut svg, &[(x, TOP), (x, TOP + HEIGHT)], RULE);
            text(&mut svg, (x, TOP + HEIGHT + 20.0), "small middle", TEXT, &short(tick));
        }
        line(&mut svg, &[(left, TOP + HEIGHT), (left + width, TOP + HEIGHT)], AXIS);
        for one in &panel.drawn {
            for points in one.lines.iter() {
                let places: Vec<_> =
                    points.iter().map(|(x, y)| (across.at(*x), up.at(*y))).collect();
                line(&mut svg, &places, one.color);
                for (x, y) in places {
                    let color = one.color;
                    let _ = writeln!(
                        svg,
                        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{color}\"/>"
                    );
                }
            }
        }
    }
    for (index, note) in notes.iter().enumerate() {
        let y = TOP + HEIGHT + 58.0 + FOOT * index as f64;
        text(&mut svg, (EDGE, y), "small", TEXT, note);
    }
    svg += "</svg>\n";
    Some(svg)
}

/// A logarithmic axis over whole decades.
struct Scale {
    low: f64,
    high: f64,
    /// Where they are.
    ends: (f64, f64),
}

impl Scale {
    fn of(values: impl Iterator<Item = f64> + Clone, ends: (f64, f64)) -> Option<Self> {
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let low = logs.clone().min_by(f64::total_cmp)?.floor();
        let high = logs.max_by(f64::total_cmp)?.ceil().max(low + 1.0);
        Some(Self { low, high, ends })
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.log10() - self.low) / (self.high - self.low);
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|decade| 10_f64.powi(decade))
    }
}

fn micros(value: f64) -> String {
    if value < 1000.0 { format!("{value} µs") } else { format!("{} ms", value / 1000.0) }
}

fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", value / 1e6),
        1e3.. => format!("{} k", value / 1e3),
        _ => format!("{value}"),
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, color: &str, words: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{color}\">{words}</text>"
    );
}

fn line(svg: &mut String, points: &[(f64, f64)], color: &str) {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{}\"/>",
        points.join(" "),
        if color == RULE { 1.0 } else { 1.6 }
    );
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "powers of ten are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_all_values_and_has_a_tick_at_each_decade() {
        let scale = Scale::of([3.0, 70.0, 0.0].into_iter(), (0.0, 100.0)).unwrap();
        assert_eq!(scale.ticks().collect::<Vec<_>>(), [1.0, 10.0, 100.0]);
        assert_eq!((scale.at(1.0), scale.at(10.0), scale.at(100.0)), (0.0, 50.0, 100.0));
        assert!(Scale::of([0.0].into_iter(), (0.0, 1.0)).is_none());
    }

    #[test]
    fn every_point_is_drawn_inside_its_panel() {
        let lines =
            Curves::new([vec![(1.0, 200.0), (1000.0, 9.0)], vec![(1.0, 30.0), (10.0, 20.0)]]);
        let panel = Panel { name: "topics", drawn: vec![Drawn { color: "#1F7A4D", lines }] };
        let svg = draw(&[panel], &[Key { name: "doorbell-tcp", color: "#1F7A4D" }], &[]).unwrap();
        let places =
            svg.lines().filter_map(|line| line.strip_prefix("<circle cx=\"")).map(|rest| {
                let (x, rest) = rest.split_once('"').unwrap();
                let y = rest.split('"').nth(1).unwrap();
                (x.parse::<f64>().unwrap(), y.parse::<f64>().unwrap())
            });
        let places: Vec<_> = places.collect();
        assert_eq!(places.len(), 4, "{svg}");
        for (x, y) in places {
            assert!(
                (LEFT..=WIDTH - EDGE).contains(&x) && (TOP..=TOP + HEIGHT).contains(&y),
                "{svg}"
            );
        }
        assert!(draw(&[], &[], &[]).is_none());
    }
}
