//! Writes SVG: a handful of shapes, numbers with one decimal, every text escaped.
//!
//! Colours and fonts are left to the style sheet through classes, so that one picture serves a
//! light page, a dark one and paper.

use std::fmt::Write;

/// A picture under construction.
#[derive(Debug, Default)]
pub(crate) struct Svg {
    body: String,
}

/// Which end of a text its position names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// A rectangle; `hint` is shown when the pointer rests on it.
    pub(crate) fn rect(&mut self, class: &str, x: f64, y: f64, w: f64, h: f64, hint: &str) {
        let (x, y, w, h) = (num(x), num(y), num(w.max(0.0)), num(h.max(0.0)));
        let _ =
            write!(self.body, r#"<rect class="{class}" x="{x}" y="{y}" width="{w}" height="{h}""#);
        if hint.is_empty() {
            self.body.push_str("/>\n");
        } else {
            let _ = writeln!(self.body, "><title>{}</title></rect>", escape(hint));
        }
    }

    /// A straight line.
    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (num(from.0), num(from.1), num(to.0), num(to.1));
        let _ = writeln!(
            self.body,
            r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#
        );
    }

    /// A text on one line.
    pub(crate) fn text(&mut self, class: &str, anchor: Anchor, at: (f64, f64), text: &str) {
        let (x, y) = (num(at.0), num(at.1));
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let _ = writeln!(
            self.body,
            r#"<text class="{class}"{anchor} x="{x}" y="{y}">{}</text>"#,
            escape(text)
        );
    }

    /// A line through all points; nothing for fewer than two.
    pub(crate) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() > 1 {
            let path = path(points);
            let _ = writeln!(self.body, r#"<path class="{class}" d="{path}"/>"#);
        }
    }

    /// A filled area between two lines, each from left to right.
    pub(crate) fn area(&mut self, class: &str, upper: &[(f64, f64)], lower: &[(f64, f64)]) {
        let points: Vec<_> = upper.iter().chain(lower.iter().rev()).copied().collect();
        if points.len() > 2 {
            let path = path(&points);
            let _ = writeln!(self.body, r#"<path class="{class}" d="{path}Z"/>"#);
        }
    }

    /// A circle.
    pub(crate) fn circle(&mut self, class: &str, at: (f64, f64), radius: f64) {
        let (x, y, r) = (num(at.0), num(at.1), num(radius));
        let _ = writeln!(self.body, r#"<circle class="{class}" cx="{x}" cy="{y}" r="{r}"/>"#);
    }

    /// Several shapes that are one thing; `hint` is shown when the pointer rests on it.
    pub(crate) fn group(&mut self, class: &str, hint: &str, draw: impl FnOnce(&mut Self)) {
        let _ = writeln!(self.body, r#"<g class="{class}"><title>{}</title>"#, escape(hint));
        draw(self);
        self.body.push_str("</g>\n");
    }

    /// Draws another picture over this one.
    pub(crate) fn append(&mut self, over: Self) {
        self.body.push_str(&over.body);
    }

    /// The picture's element, of a class that its style names. `namespace` is needed in a file of
    /// its own and not inside HTML.
    pub(crate) fn finish(
        &self,
        class: &str,
        size: (f64, f64),
        label: &str,
        style: &str,
        namespace: bool,
    ) -> String {
        let (width, height) = (num(size.0), num(size.1));
        let xmlns = if namespace { r#" xmlns="http://www.w3.org/2000/svg""# } else { "" };
        format!(
            "<svg{xmlns} class=\"{class}\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n<style>\n{style}</style>\n{}</svg>\n",
            escape(label),
            self.body
        )
    }
}

/// About how wide a text of the small labels is, in pixels.
pub(crate) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 6.1
}

fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::with_capacity(points.len() * 12);
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(path, "{}{} {}", if i == 0 { 'M' } else { 'L' }, num(*x), num(*y));
    }
    path
}

fn num(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// The text with every character that HTML or XML gives a meaning replaced, and control
/// characters, which XML does not allow, shown as a replacement character.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
