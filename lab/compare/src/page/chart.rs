//! What all charts share: size, axes, marks, and the SVG of it.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::element::{Circle, PathElement, Text};
use plotters::prelude::{
    Cartesian2d, ChartContext, Color, DashedLineSeries, DrawingArea, IntoDrawingArea, IntoLogRange,
    LineSeries, LogCoord, SVGBackend, ShapeStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont, TextStyle};

use super::palette::{AXIS, Ink, RULE, TEXT};

/// Width of every picture.
pub(super) const WIDTH: u32 = 960;
/// The library places everything on whole pixels. So it draws in pixels of a quarter's size, and
/// curves are smooth.
const FINE: u32 = 4;
const FONT: &str = "sans-serif";
const FONT_SIZE: u32 = 17;
/// Twice the length of the longest dash of a curve.
const DASH: u32 = 24;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type LogX<'a> =
    ChartContext<'a, SVGBackend<'a>, Cartesian2d<LogCoord<f64>, RangedCoordf64>>;
pub(super) type LogXY<'a> =
    ChartContext<'a, SVGBackend<'a>, Cartesian2d<LogCoord<f64>, LogCoord<f64>>>;
pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A length in the pixels of the drawing.
pub(super) const fn fine(pixels: u32) -> u32 {
    pixels * FINE
}

/// A distance in the pixels of the drawing.
pub(super) const fn px(pixels: i32) -> i32 {
    pixels * FINE.cast_signed()
}

/// Draws a picture; one that fails is left out, with a comment that says why.
pub(super) fn svg(height: u32, label: &str, draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut text = String::new();
    let drawn = {
        let area =
            SVGBackend::with_string(&mut text, (fine(WIDTH), fine(height))).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?))
    };
    if let Err(error) = drawn {
        return format!(
            "<p>The picture could not be drawn: {}</p>",
            super::html::escape(&error.to_string())
        );
    }
    let size = format!("width=\"{}\" height=\"{}\"", fine(WIDTH), fine(height));
    text.replacen(&size, &format!("role=\"img\" aria-label=\"{label}\""), 1)
}

pub(super) fn words(ink: Ink) -> TextStyle<'static> {
    (FONT, fine(FONT_SIZE)).into_font().color(&ink.rgb())
}

/// Words that hang at a point: `LEFT` begins there, `RIGHT` ends there.
pub(super) fn words_at(ink: Ink, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    words(ink).pos(Pos::new(horizontal, vertical))
}

pub(super) fn line(ink: Ink, width: u32) -> ShapeStyle {
    ink.rgb().stroke_width(fine(width))
}

/// Ticks at 1, 10, 100 … between two bounds; with `halves` at 2 and 5 as well.
pub(super) fn decades(low: f64, high: f64, halves: bool) -> Vec<f64> {
    let mut ticks = Vec::new();
    let mut decade = 10_f64.powf(low.log10().floor());
    while decade <= high * 1.000_001 {
        let steps: &[f64] = if halves { &[1.0, 2.0, 5.0] } else { &[1.0] };
        ticks.extend(steps.iter().map(|step| step * decade));
        decade *= 10.0;
    }
    ticks.retain(|tick| *tick >= low * 0.999_999 && *tick <= high * 1.000_001);
    ticks
}

/// Bounds of a logarithmic axis that hold all values, with some room.
pub(super) fn bounds(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let positive = values.filter(|value| *value > 0.0 && value.is_finite());
    let low = positive.clone().min_by(f64::total_cmp)?;
    let high = positive.max_by(f64::total_cmp)?;
    Some((low / 1.3, high * 1.3))
}

pub(super) fn log(range: (f64, f64)) -> LogCoord<f64> {
    (range.0..range.1).log_scale().into()
}

/// One axis by hand: the library's own ticks on logarithmic axes are too many and too small.
pub(super) struct Axis<'a> {
    pub(super) ticks: &'a [f64],
    pub(super) show: &'a dyn Fn(f64) -> String,
    pub(super) name: &'a str,
}

/// Rules and labels of both axes. `place` turns a point into pixels.
pub(super) fn axes(
    area: &Area<'_>,
    place: &dyn Fn(f64, f64) -> (i32, i32),
    (x, y): (&Axis<'_>, &Axis<'_>),
    (low, high): ((f64, f64), (f64, f64)),
) -> Drawn {
    let (left, bottom) = place(low.0, low.1);
    let (right, top) = place(high.0, high.1);
    for tick in x.ticks {
        let (at, _) = place(*tick, low.1);
        area.draw(&PathElement::new(vec![(at, top), (at, bottom)], line(RULE, 1)))?;
        let style = words_at(TEXT, HPos::Center, VPos::Top);
        area.draw(&Text::new((x.show)(*tick), (at, bottom + px(8)), style))?;
    }
    for tick in y.ticks {
        let (_, at) = place(low.0, *tick);
        area.draw(&PathElement::new(vec![(left, at), (right, at)], line(RULE, 1)))?;
        let style = words_at(TEXT, HPos::Right, VPos::Center);
        area.draw(&Text::new((y.show)(*tick), (left - px(8), at), style))?;
    }
    area.draw(&PathElement::new(vec![(left, bottom), (right, bottom)], line(AXIS, 1)))?;
    let style = words_at(TEXT, HPos::Right, VPos::Top);
    area.draw(&Text::new(x.name.to_owned(), (right, bottom + px(30)), style))?;
    let style = words_at(TEXT, HPos::Left, VPos::Bottom);
    area.draw(&Text::new(y.name.to_owned(), (left, top - px(10)), style))?;
    Ok(())
}

/// A measured point, with a rim that parts it from what is behind it.
pub(super) fn point(at: (f64, f64), ink: Ink) -> Circle<(f64, f64), i32> {
    Circle::new(at, px(5), ink.rgb().filled())
}

/// A curve.
pub(super) fn curve(
    points: Vec<(f64, f64)>,
    ink: Ink,
    width: u32,
) -> LineSeries<SVGBackend<'static>, (f64, f64)> {
    LineSeries::new(points, line(ink, width))
}

/// A curve in dashes, shorter ones for each that has the same colour.
pub(super) fn dashes(
    points: Vec<(f64, f64)>,
    ink: Ink,
    width: u32,
    alike: usize,
) -> DashedLineSeries<std::vec::IntoIter<(f64, f64)>, u32> {
    let length = DASH >> alike.min(3);
    DashedLineSeries::new(points, fine(length), fine(DASH / 3), line(ink, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_bounds() {
        assert_eq!(decades(0.4, 30.0, false), [1.0, 10.0]);
        assert_eq!(decades(2.0, 20.0, true), [2.0, 5.0, 10.0, 20.0]);
    }

    #[test]
    fn bounds_hold_what_can_be_shown() {
        let (low, high) = bounds([0.0, 2.0, f64::INFINITY, 8.0].into_iter()).unwrap();
        assert!(low < 2.0 && high > 8.0 && high < 11.0);
        assert!(bounds([0.0].into_iter()).is_none());
    }
}
