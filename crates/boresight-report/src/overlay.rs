//! A scene with its labels and a prediction laid over it.

use crate::font::{ADVANCE, write};
use crate::{Error, Picture};

/// The longest side of a picture that is enlarged on its own account, in pixels.
const LONGEST_SIDE: usize = 3200;
/// The most that a scene is enlarged on its own account.
const LARGEST_SCALE: usize = 4;
/// The shares of pixels that are drawn black and white at most.
const STRETCH: [f64; 2] = [0.02, 0.98];
/// Below 1: lifts dark water.
const GAMMA: f64 = 0.7;

const FOUND: [u8; 3] = [86, 180, 233];
const FALSE_ALARM: [u8; 3] = [230, 120, 0];
const MISSED: [u8; 3] = [240, 228, 66];
const CONFUSED: [u8; 3] = [204, 121, 167];
const OUTLINE: [u8; 3] = [255, 255, 255];
const PAPER: [u8; 3] = [24, 26, 30];
const INK: [u8; 3] = [225, 228, 232];

/// Whether the picture explains itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Legend {
    /// A strip below the scene with the title and the meaning of each colour.
    #[default]
    Strip,
    /// The scene alone.
    None,
}

/// What to draw; class 0 is background.
#[derive(Clone, Debug)]
pub struct Overlay<'data> {
    /// Height and width of the scene.
    pub size: [usize; 2],
    /// Sensor counts `[bands, height, width]`.
    pub counts: &'data [u16],
    /// The names of the bands; they choose the composite. Without names the first band is drawn grey.
    pub bands: &'data [String],
    /// The class of each pixel `[height, width]`.
    pub labels: Option<&'data [u8]>,
    /// The class that was predicted for each pixel `[height, width]`.
    pub prediction: Option<&'data [u8]>,
    /// The label of pixels that count for nothing; they are darkened.
    pub ignore: Option<u8>,
    /// The title in the legend.
    pub title: &'data str,
    /// Whether there is a legend.
    pub legend: Legend,
    /// The side of a scene's pixel in the picture; `None`: 1 to 4, so that the picture stays below 3200 pixels a side.
    pub scale: Option<usize>,
}

impl<'data> Overlay<'data> {
    /// The scene alone, with the first band in grey and an empty title.
    pub const fn new(size: [usize; 2], counts: &'data [u16]) -> Self {
        Self {
            size,
            counts,
            bands: &[],
            labels: None,
            prediction: None,
            ignore: None,
            title: "",
            legend: Legend::Strip,
            scale: None,
        }
    }

    /// The picture.
    ///
    /// # Errors
    /// When a buffer does not have the length that the size and the bands ask for.
    pub fn draw(&self) -> Result<Picture, Error> {
        self.check()?;
        let mut scene = self.composite();
        let fates: Vec<Fate> = (0..self.size[0] * self.size[1]).map(|pixel| self.fate(pixel)).collect();
        let scale = self.scale.unwrap_or_else(|| fitting_scale(self.size)).max(1);
        // Where pixels are drawn small, thin veils cannot be seen.
        let share = if scale == 1 { 0.85 } else { 0.65 };
        for (colour, fate) in scene.iter_mut().zip(&fates) {
            *colour = fate.veil(*colour, share);
        }
        let strip =
            if self.legend == Legend::Strip { Strip::new(self, &fates, scale) } else { Strip::default() };
        let [height, width] = self.size.map(|side| side * scale);
        let mut picture = Picture::filled([height + strip.height, width], PAPER);
        enlarge(&scene, self.size[1], scale, &mut picture.pixels);
        if scale >= 3 {
            self.outline(&mut picture, scale);
        }
        strip.draw(&mut picture, height);
        Ok(picture)
    }

    fn check(&self) -> Result<(), Error> {
        let [height, width] = self.size;
        let pixels = height * width;
        let length = |what, expected: usize, found: usize| {
            if expected == found {
                Ok(())
            } else {
                Err(Error::Length { what, height, width, expected, found })
            }
        };
        let bands = if self.bands.is_empty() { self.counts.len() / pixels.max(1) } else { self.bands.len() };
        length("counts", pixels * bands.max(1), self.counts.len())?;
        length("labels", pixels, self.labels.map_or(pixels, <[u8]>::len))?;
        length("predictions", pixels, self.prediction.map_or(pixels, <[u8]>::len))
    }

    /// The colours of the scene, stretched.
    fn composite(&self) -> Vec<[u8; 3]> {
        let pixels = self.size[0] * self.size[1];
        let plane = |band: usize| stretched(&self.counts[band * pixels..(band + 1) * pixels]);
        let [red, green, blue] = channels(self.bands).map(|channel| match channel {
            Channel::Band(band) => plane(band),
            Channel::Mixed(most, rest) => plane(most).iter().zip(plane(rest)).map(mixed).collect(),
        });
        red.iter().zip(green).zip(blue).map(|((&red, green), blue)| [red, green, blue]).collect()
    }

    fn fate(&self, pixel: usize) -> Fate {
        let label = self.labels.map(|labels| labels[pixel]);
        if label.is_some() && label == self.ignore {
            return Fate::Ignored;
        }
        let Some(predicted) = self.prediction.map(|prediction| prediction[pixel]) else {
            return Fate::Background;
        };
        match (label, predicted) {
            (None | Some(0), 0) => Fate::Background,
            (Some(label), predicted) if label == predicted => Fate::Found,
            (None, _) => Fate::Found,
            (Some(0), _) => Fate::FalseAlarm,
            (Some(_), 0) => Fate::Missed,
            (Some(_), _) => Fate::Confused,
        }
    }

    /// Draws the edges between a class and its neighbours, inside the class.
    fn outline(&self, picture: &mut Picture, scale: usize) {
        let Some(labels) = self.labels else { return };
        let [height, width] = self.size;
        let shown = |label: u8| label != 0 && Some(label) != self.ignore;
        for (pixel, &label) in labels.iter().enumerate().filter(|&(_, &label)| shown(label)) {
            let (y, x) = (pixel / width, pixel % width);
            let same = |y: usize, x: usize| y < height && x < width && labels[y * width + x] == label;
            let (top, left, last) = (y * scale, x * scale, scale - 1);
            for at in 0..scale {
                let sides = [
                    (same(y.wrapping_sub(1), x), [top, left + at]),
                    (same(y + 1, x), [top + last, left + at]),
                    (same(y, x.wrapping_sub(1)), [top + at, left]),
                    (same(y, x + 1), [top + at, left + last]),
                ];
                for (_, [y, x]) in sides.into_iter().filter(|side| !side.0) {
                    picture.paint(y, x, OUTLINE);
                }
            }
        }
    }
}

/// What became of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Background,
    Found,
    FalseAlarm,
    Missed,
    Confused,
    Ignored,
}

impl Fate {
    const fn colour(self) -> Option<[u8; 3]> {
        match self {
            Self::Background => None,
            Self::Found => Some(FOUND),
            Self::FalseAlarm => Some(FALSE_ALARM),
            Self::Missed => Some(MISSED),
            Self::Confused => Some(CONFUSED),
            Self::Ignored => Some([0; 3]),
        }
    }

    /// A background colour seen through a veil of this share.
    fn veil(self, below: [u8; 3], share: f64) -> [u8; 3] {
        let Some(colour) = self.colour() else { return below };
        std::array::from_fn(|channel| {
            let (below, above) = (f64::from(below[channel]), f64::from(colour[channel]));
            byte((below + share * (above - below)) / 255.0)
        })
    }
}

/// 0 to 1 as 0 to 255.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of bytes")]
fn byte(value: f64) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn fitting_scale(size: [usize; 2]) -> usize {
    (LONGEST_SIDE / size[0].max(size[1]).max(1)).clamp(1, LARGEST_SCALE)
}

/// Each colour as a square of `scale` pixels a side.
fn enlarge(scene: &[[u8; 3]], width: usize, scale: usize, pixels: &mut [u8]) {
    let rows = pixels.chunks_exact_mut((3 * width * scale * scale).max(1));
    for (colours, rows) in scene.chunks_exact(width.max(1)).zip(rows) {
        for row in rows.chunks_exact_mut(3 * width * scale) {
            for (square, colour) in row.chunks_exact_mut(3 * scale).zip(colours) {
                for pixel in square.chunks_exact_mut(3) {
                    pixel.copy_from_slice(colour);
                }
            }
        }
    }
}

/// What is drawn in one of the colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Band(usize),
    /// Two thirds of the first band, one third of the second.
    Mixed(usize, usize),
}

fn mixed((&most, rest): (&u8, u8)) -> u8 {
    byte((2.0 * f64::from(most) + f64::from(rest)) / 765.0)
}

/// What is drawn red, green and blue.
fn channels(bands: &[String]) -> [Channel; 3] {
    use Channel::{Band, Mixed};
    let find = |name: &str| bands.iter().position(|band| band == name);
    match (["B02", "B03", "B04", "B08", "B11"].map(find), bands.len()) {
        ([Some(blue), Some(green), Some(red), _, _], _) => [Band(red), Band(green), Band(blue)],
        // The green share of the near infrared paints vegetation green, as the eye expects it.
        ([_, Some(green), Some(red), Some(near), _], _) => [Band(red), Mixed(green, near), Band(green)],
        ([_, _, Some(red), Some(near), Some(short)], _) => [Band(short), Band(near), Band(red)],
        (_, 3..) => [Band(2), Band(1), Band(0)],
        _ => [Band(0); 3],
    }
}

/// A band from black to white, its 2nd percentile being black and its 98th white.
fn stretched(counts: &[u16]) -> Vec<u8> {
    let [low, high] = STRETCH.map(|share| f64::from(percentile(counts, share)));
    let shade = |count: u16| {
        if high > low {
            byte(((f64::from(count) - low) / (high - low)).clamp(0.0, 1.0).powf(GAMMA))
        } else {
            128
        }
    };
    counts.iter().map(|&count| shade(count)).collect()
}

/// The smallest count that at least this share of all counts does not exceed.
fn percentile(counts: &[u16], share: f64) -> u16 {
    let mut histogram = vec![0_usize; 1 << 16];
    for &count in counts {
        histogram[usize::from(count)] += 1;
    }
    let needed = share * counts.len() as f64;
    let mut seen = 0;
    let reached = (0..=u16::MAX).find(|&count| {
        seen += histogram[usize::from(count)];
        seen as f64 >= needed
    });
    reached.unwrap_or(u16::MAX)
}

/// The legend: a line of swatches and words, and a line for the title.
#[derive(Default)]
struct Strip {
    title: String,
    entries: Vec<(&'static str, [u8; 3])>,
    /// Pixels a point of the letters.
    scale: usize,
    /// The most points a line can hold.
    room: usize,
    height: usize,
}

/// Points from one line of text to the next.
const LINE: usize = 12;
/// Points around the text.
const MARGIN: usize = 4;

impl Strip {
    fn new(overlay: &Overlay<'_>, fates: &[Fate], scale: usize) -> Self {
        let named = [
            (if overlay.labels.is_some() { "found" } else { "predicted" }, Fate::Found),
            ("missed", Fate::Missed),
            ("false alarm", Fate::FalseAlarm),
            ("other class", Fate::Confused),
            ("ignored", Fate::Ignored),
        ];
        let occurs = |fate: Fate| fates.contains(&fate);
        let entries = named.into_iter().filter(|&(_, fate)| occurs(fate));
        let mut entries: Vec<_> =
            entries.filter_map(|(word, fate)| fate.colour().map(|colour| (word, colour))).collect();
        if overlay.labels.is_some() && scale >= 3 {
            entries.push(("label outline", OUTLINE));
        }
        let width = overlay.size[1] * scale;
        let points = if width >= 700 { 2 } else { 1 };
        let mut strip =
            Self { title: overlay.title.into(), entries, scale: points, room: width / points, height: 0 };
        let lines =
            usize::from(!strip.title.is_empty()) + strip.lines().last().map_or(0, |place| place[0] + 1);
        strip.height = if lines == 0 { 0 } else { (lines * LINE + MARGIN) * points };
        strip
    }

    /// Line and first point of each entry.
    fn lines(&self) -> Vec<[usize; 2]> {
        let mut at = [0, MARGIN];
        let place = |(word, _): &(&str, [u8; 3])| {
            let length = 10 + (word.len() + 2) * ADVANCE;
            if at[1] > MARGIN && at[1] + length > self.room {
                at = [at[0] + 1, MARGIN];
            }
            let here = at;
            at[1] += length;
            here
        };
        self.entries.iter().map(place).collect()
    }

    fn draw(&self, picture: &mut Picture, top: usize) {
        let scale = self.scale;
        let titles = usize::from(!self.title.is_empty());
        write(picture, &self.title, [top + MARGIN * scale, MARGIN * scale], scale, INK);
        for (&(word, colour), [line, x]) in self.entries.iter().zip(self.lines()) {
            let y = top + (MARGIN + (line + titles) * LINE) * scale;
            for point in 0..49 * scale * scale {
                picture.paint(y + point / (7 * scale), x * scale + point % (7 * scale), colour);
            }
            write(picture, word, [y, (x + 10) * scale], scale, INK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: [u16; 6] = [0, 100, 200, 300, 400, 500];

    fn plain<'data>(labels: &'data [u8], prediction: &'data [u8]) -> Overlay<'data> {
        Overlay {
            labels: Some(labels),
            prediction: Some(prediction),
            legend: Legend::None,
            scale: Some(1),
            ignore: Some(255),
            ..Overlay::new([2, 3], &COUNTS)
        }
    }

    #[test]
    fn each_fate_has_its_colour() {
        let (labels, prediction) = ([0, 1, 1, 0, 1, 255], [0, 1, 0, 1, 2, 1]);
        let picture = plain(&labels, &prediction).draw().unwrap();
        let grey = Overlay { labels: None, prediction: None, ..plain(&labels, &prediction) }.draw().unwrap();
        let fates =
            [Fate::Background, Fate::Found, Fate::Missed, Fate::FalseAlarm, Fate::Confused, Fate::Ignored];
        for (pixel, fate) in fates.into_iter().enumerate() {
            let below = grey.at(pixel / 3, pixel % 3).unwrap();
            assert_eq!(picture.at(pixel / 3, pixel % 3).unwrap(), fate.veil(below, 0.85), "{fate:?}");
        }
    }

    #[test]
    fn without_labels_every_prediction_is_shown_alike() {
        let (labels, prediction) = ([0; 6], [0, 1, 2, 0, 0, 0]);
        let overlay = Overlay { labels: None, ..plain(&labels, &prediction) };
        assert_eq!([0, 1, 2].map(|pixel| overlay.fate(pixel)), [Fate::Background, Fate::Found, Fate::Found]);
    }

    #[test]
    fn labels_are_outlined_where_pixels_are_drawn_large() {
        let labels = [1, 1, 0, 1, 1, 0];
        let picture = Overlay { scale: Some(3), prediction: None, ..plain(&labels, &labels) }.draw().unwrap();
        assert_eq!((picture.height, picture.width), (6, 9));
        let white = |y: usize, x: usize| picture.at(y, x) == Some(OUTLINE);
        assert!(white(0, 0) && white(0, 4) && white(5, 2) && white(3, 5));
        assert!(!white(1, 1) && !white(2, 2) && !white(3, 3) && !white(1, 6));
    }

    #[test]
    fn the_stretch_goes_from_the_second_to_the_last_but_second_percentile() {
        let counts: Vec<u16> = (1..=100).collect();
        assert_eq!((percentile(&counts, 0.02), percentile(&counts, 0.98)), (2, 98));
        let shades = stretched(&counts);
        assert_eq!((shades[0], shades[1], shades[97], shades[99]), (0, 0, 255, 255));
        // The middle, (50 - 2) / 96 = 0.5, lifted to 0.5 ^ 0.7 = 0.6156.
        assert_eq!(shades[49], 157);
        assert_eq!(stretched(&[7, 7]), [128, 128]);
    }

    #[test]
    fn bands_are_shown_in_natural_colours_where_they_can_be() {
        use Channel::{Band, Mixed};
        let of = |bands: &[&str]| channels(&bands.iter().map(|&band| band.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["B02", "B03", "B04", "B08"]), [Band(2), Band(1), Band(0)]);
        assert_eq!(of(&["B03", "B04", "B08", "B11"]), [Band(1), Mixed(0, 2), Band(0)]);
        assert_eq!(of(&["B11", "B08", "B04"]), [Band(0), Band(1), Band(2)]);
        assert_eq!(of(&["x", "y", "z"]), [Band(2), Band(1), Band(0)]);
        assert_eq!(of(&["x", "y"]), [Band(0); 3]);
        assert_eq!(mixed((&30, 90)), 50);
    }

    #[test]
    fn the_legend_lies_below_the_scene() {
        let (labels, prediction) = ([0, 1, 1, 0, 1, 255], [0, 1, 0, 1, 2, 1]);
        let bare = plain(&labels, &prediction).draw().unwrap();
        let overlay = Overlay { legend: Legend::Strip, title: "a", ..plain(&labels, &prediction) };
        let picture = overlay.draw().unwrap();
        assert_eq!(picture.pixels[..bare.pixels.len()], bare.pixels);
        // Too narrow for two entries a line: a title and five lines.
        assert_eq!(picture.height, 2 + 6 * LINE + MARGIN);
    }

    #[test]
    fn buffers_of_other_lengths_are_refused() {
        let of = |overlay: Overlay<'_>| overlay.draw().unwrap_err().to_string();
        let good = plain(&[0; 6], &[0; 6]);
        assert_eq!(
            of(Overlay { labels: Some(&[0; 5]), ..good.clone() }),
            "labels of 3 x 2 pixels need 6 values, 5 are given"
        );
        assert!(of(Overlay { prediction: Some(&[0; 7]), ..good.clone() }).starts_with("predictions of"));
        assert!(of(Overlay { counts: &COUNTS[..5], ..good.clone() }).starts_with("counts of"));
        assert!(of(Overlay { bands: &["a".into(), "b".into()], ..good }).contains("need 12 values, 6"));
    }

    #[test]
    fn small_scenes_are_enlarged_and_large_ones_are_not() {
        assert_eq!(fitting_scale([10, 320]), 4);
        assert_eq!(fitting_scale([1573, 900]), 2);
        assert_eq!(fitting_scale([5000, 20]), 1);
    }
}
