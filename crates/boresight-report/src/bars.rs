//! Bars in groups, with intervals, as an SVG file.

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What it stands for; bars of one name have one colour.
    pub name: String,
    /// Its height, in the unit of the chart.
    pub value: f64,
    /// Ends of an interval around it.
    pub interval: Option<[f64; 2]>,
}

/// Bars beside each other.
#[derive(Clone, Debug, PartialEq)]
pub struct BarGroup {
    /// What stands below them.
    pub name: String,
    /// The bars, from the left.
    pub bars: Vec<Bar>,
}

/// A chart of bars from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct BarChart {
    /// What stands above.
    pub title: String,
    /// What the height means.
    pub axis: String,
    /// Groups, from the left.
    pub groups: Vec<BarGroup>,
}

const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 44.0;
const BAR: f64 = 16.0;
/// About the width of a letter.
const LETTER: f64 = 6.0;

impl BarChart {
    /// The chart as an SVG file, which needs nothing else to be shown.
    pub fn svg(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for bar in self.groups.iter().flat_map(|group| &group.bars) {
            if !names.contains(&bar.name.as_str()) {
                names.push(&bar.name);
            }
        }
        let mut body: Vec<String> = Vec::new();
        let mut x = LEFT + BAR;
        for group in &self.groups {
            let bars = BAR * group.bars.len() as f64;
            // What stands below may be wider than the bars.
            let width = bars.max(LETTER * group.name.len() as f64);
            let first = x + (width - bars) / 2.0;
            for (at, bar) in group.bars.iter().enumerate() {
                let colour = names.iter().position(|name| *name == bar.name).unwrap_or(0);
                body.push(bar_svg(bar, first + BAR * at as f64, &fill(colour)));
            }
            let (middle, below) = (x + width / 2.0, TOP + HEIGHT + 16.0);
            body.push(text(middle, below, "middle", &group.name));
            x += width + 3.0 * BAR;
        }
        let width = x.max(2.0 * LEFT + LETTER * self.title.len() as f64);
        for (at, name) in names.iter().enumerate() {
            let y = TOP + HEIGHT + 40.0 + 16.0 * at as f64;
            let colour = fill(at);
            body.push(format!(
                "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\n",
                y - 9.0
            ));
            body.push(text(LEFT + 16.0, y, "start", name));
        }
        let height = TOP + HEIGHT + 50.0 + 16.0 * names.len() as f64;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" \
             font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}{}{}{}</svg>\n",
            text(8.0, 14.0, "start", &self.title),
            text(8.0, 29.0, "start", &self.axis),
            grid(width),
            body.concat()
        )
    }
}

/// The colour of the bars of one name: hues a golden angle apart, which keeps any number of them apart.
fn fill(at: usize) -> String {
    let hue = (215.0 + 137.508 * at as f64) % 360.0;
    let lightness = [40, 62, 50][at % 3];
    format!("hsl({hue:.0}, 45%, {lightness}%)")
}

/// Lines across at every tenth.
fn grid(width: f64) -> String {
    let mut lines: Vec<String> = Vec::new();
    for tenth in 0..=10_u8 {
        let y = place(f64::from(tenth) / 10.0);
        lines.push(format!(
            "<line x1=\"{LEFT}\" x2=\"{width:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>\n"
        ));
        lines.push(text(LEFT - 6.0, y + 4.0, "end", &format!("{:.1}", f64::from(tenth) / 10.0)));
    }
    lines.concat()
}

/// How far down a value stands.
fn place(value: f64) -> f64 {
    TOP + HEIGHT * (1.0 - value.clamp(0.0, 1.0))
}

fn bar_svg(bar: &Bar, x: f64, colour: &str) -> String {
    let top = place(bar.value);
    let mut svg = vec![format!(
        "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"><title>{} {:.4}</title></rect>\n",
        BAR - 2.0,
        TOP + HEIGHT - top,
        escaped(&bar.name),
        bar.value
    )];
    if let Some([low, high]) = bar.interval {
        let middle = x + BAR / 2.0 - 1.0;
        let [low, high] = [place(low), place(high)];
        svg.push(format!(
            "<line x1=\"{middle:.1}\" x2=\"{middle:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\" stroke=\"black\"/>\n"
        ));
    }
    svg.concat()
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n", escaped(words))
}

fn escaped(words: &str) -> String {
    let mut text = String::new();
    for letter in words.chars() {
        match letter {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(value: f64) -> BarChart {
        let bar = |name: &str, value| Bar { name: name.to_owned(), value, interval: Some([0.25, 0.75]) };
        let group =
            |name: &str| BarGroup { name: name.to_owned(), bars: vec![bar("a<b", value), bar("c", 1.0)] };
        BarChart { title: "t".to_owned(), axis: "mIoU".to_owned(), groups: vec![group("one"), group("two")] }
    }

    #[test]
    fn a_bar_is_as_high_as_its_value() {
        let svg = chart(0.5).svg();
        assert_eq!(svg.matches("height=\"150.0\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("height=\"300.0\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("y1=\"269.0\" y2=\"119.0\"").count(), 4, "{svg}");
    }

    #[test]
    fn no_two_of_many_names_share_a_colour() {
        let colours: std::collections::BTreeSet<String> = (0..40).map(fill).collect();
        assert_eq!(colours.len(), 40);
    }

    #[test]
    fn each_name_stands_once_in_the_legend_and_is_escaped() {
        let svg = chart(2.0).svg();
        assert_eq!(svg.matches(">a&lt;b</text>").count(), 1);
        assert!(!svg.contains("a<b") && svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
