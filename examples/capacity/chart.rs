//! The plot: for each setting the sessions per second that one key supports, and the calls of a session by endpoint.

use std::fmt::Write;

use crate::{engage::GROUPS, report::Report};

const WIDTH: f64 = 960.0;
const ROW: f64 = 36.0;
const BAR: f64 = 20.0;
/// The top of the first row.
const TOP: f64 = 84.0;
/// The two panels: left edge and width.
const SESSIONS: Panel = Panel {
    left: 300.0,
    width: 280.0,
};
const CALLS: Panel = Panel {
    left: 640.0,
    width: 280.0,
};
/// Distinguishable with any form of colour blindness (Okabe and Ito), in the order of [`GROUPS`].
const COLOURS: [&str; GROUPS.len()] = ["#0072b2", "#999999", "#e69f00", "#009e73", "#cc79a7"];
const BLUE: &str = "#0072b2";

#[derive(Clone, Copy)]
struct Panel {
    left: f64,
    width: f64,
}

/// A drawing under construction.
struct Drawing {
    svg: String,
    bottom: f64,
}

/// The plot of a report, as SVG.
pub(crate) fn draw(report: &Report) -> String {
    let rows: Vec<_> = report
        .settings
        .iter()
        .map(|(setting, finding, _)| (setting.name, finding))
        .collect();
    let bottom = rows.iter().fold(TOP, |bottom, _| bottom + ROW);
    let mut drawing = Drawing::new(bottom);
    let greatest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let most = greatest(&mut rows.iter().map(|(_, finding)| finding.carried));
    let dearest = greatest(
        &mut rows
            .iter()
            .map(|(_, finding)| finding.wanted.calls_per_session()),
    );
    let sessions = drawing.axis(SESSIONS, "sessions per second that one key supports", most);
    let calls = drawing.axis(CALLS, "calls to Engage per session", dearest);
    let mut y = TOP;
    for (name, finding) in &rows {
        let middle = y + ROW / 2.0;
        drawing.text(SESSIONS.left - 10.0, middle, "end", name);
        let length = finding.carried * sessions;
        drawing.bar(SESSIONS.left, middle, length, BLUE);
        let label = format!("{:.1}", finding.carried);
        drawing.text(SESSIONS.left + length + 5.0, middle, "start", &label);
        let mut left = CALLS.left;
        for (part, colour) in finding.wanted.calls_by_group().iter().zip(COLOURS) {
            drawing.bar(left, middle, part * calls, colour);
            left += part * calls;
        }
        let label = format!("{:.1}", finding.wanted.calls_per_session());
        drawing.text(left + 5.0, middle, "start", &label);
        y += ROW;
    }
    drawing.legend();
    drawing.svg + "</svg>\n"
}

impl Drawing {
    fn new(bottom: f64) -> Self {
        let height = bottom + 70.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n"
        );
        svg += "<title>Shop sessions per second that one Engage API key supports</title>\n";
        svg += "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
        let mut drawing = Self { svg, bottom };
        let title = "What one Engage API key (50 calls per second) supports, by cache setting";
        drawing.write(&format!(
            "<text x=\"20\" y=\"28\" font-size=\"16\" font-weight=\"bold\" fill=\"#222222\">{title}</text>"
        ));
        drawing
    }

    /// Draws heading, grid and figures of a panel; returns the pixels per unit.
    fn axis(&mut self, panel: Panel, heading: &str, most: f64) -> f64 {
        let step = step(most);
        let steps = (most / step).ceil();
        let scale = panel.width / (steps * step);
        self.text(panel.left, TOP - 26.0, "start", heading);
        let mut value = 0.0;
        while value <= steps * step {
            let x = panel.left + value * scale;
            let bottom = self.bottom;
            self.write(&format!(
                "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#d0d0d0\"/>"
            ));
            self.text(x, bottom + 14.0, "middle", &format!("{value}"));
            value += step;
        }
        scale
    }

    fn bar(&mut self, left: f64, middle: f64, length: f64, colour: &str) {
        let top = middle - BAR / 2.0;
        self.write(&format!(
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
        ));
    }

    fn text(&mut self, x: f64, middle: f64, anchor: &str, text: &str) {
        self.write(&format!(
            "<text x=\"{x:.1}\" y=\"{middle:.1}\" text-anchor=\"{anchor}\" dy=\"0.35em\" fill=\"#222222\">{text}</text>"
        ));
    }

    fn legend(&mut self) {
        let middle = self.bottom + 46.0;
        let mut left = SESSIONS.left + 60.0;
        self.text(left - 10.0, middle, "end", "calls by endpoint:");
        for (group, colour) in GROUPS.into_iter().zip(COLOURS) {
            let top = middle - 6.0;
            self.write(&format!(
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"
            ));
            self.text(left + 18.0, middle, "start", group.as_str());
            left += 110.0;
        }
    }

    fn write(&mut self, line: &str) {
        writeln!(self.svg, "{line}").expect("writing to memory does not fail");
    }
}

/// A round distance between grid lines that gives about five of them.
fn step(most: f64) -> f64 {
    let rounds = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0];
    let is_few = |step: &f64| most / step <= 7.0;
    rounds.into_iter().find(is_few).unwrap_or(100.0)
}
