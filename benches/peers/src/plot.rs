//! The plot: processor time of a response from memory, with the time in user space in a darker colour.

use std::fmt::Write as _;

use crate::rounds::Row;

const LEFT: f64 = 200.0;
const WIDTH: f64 = 480.0;
const STEP: f64 = 30.0;

/// A plot of the rows; `None` without any.
pub(crate) fn of(rows: &[Row]) -> Option<String> {
    let most = rows.iter().map(Row::cpu).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let scale = WIDTH / most;
    let mut bars = String::new();
    let mut top = 44.0;
    for row in rows {
        let (name, cpu, user) = (row.name, row.cpu(), row.user());
        let (all, dark, baseline) = (cpu * scale, user * scale, top + 15.0);
        let (label, end) = (LEFT - 8.0, LEFT + all + 6.0);
        let _ = writeln!(
            bars,
            "  <text x=\"{label}\" y=\"{baseline}\" text-anchor=\"end\">{name}</text>\n  \
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{all:.1}\" height=\"20\" fill=\"#9ecae1\"/>\n  \
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{dark:.1}\" height=\"20\" fill=\"#3182bd\"/>\n  \
             <text x=\"{end:.1}\" y=\"{baseline}\">{cpu:.1} ({user:.1})</text>"
        );
        top += STEP;
    }
    let (width, height) = (LEFT + WIDTH + 100.0, top + 6.0);
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n  <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n  \
         <text x=\"12\" y=\"24\" font-size=\"15\">Processor time for an answer from memory, µs (of it in user \
         space)</text>\n{bars}</svg>\n"
    ))
}
