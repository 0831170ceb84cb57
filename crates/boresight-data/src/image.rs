//! Grey images: PNG and TIFF in, PNG out.

use crate::{Error, MAX_COUNT};
use std::fs;
use std::io::{self, Cursor, Write as _};
use std::path::{Path, PathBuf};

/// The most pixels of one image: a whole Sentinel-2 granule (10,980 x 10,980) fits.
const MAX_PIXELS: u64 = 1 << 27;
/// The longest image file that is read.
const MAX_BYTES: u64 = 1 << 30;
/// The extensions of images, in the order in which they are looked for.
pub(crate) const EXTENSIONS: [&str; 3] = ["png", "tif", "tiff"];

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const TIFF_SIGNATURES: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];
const GREY_RULE: &str = "bands and masks are greyscale images of one channel";

/// Sensor counts of an image without labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Sensor counts `[bands, height, width]`.
    pub counts: Vec<u16>,
    /// Whether all of the images had 8 bits, so that the full scale decided about the counts.
    pub eight_bit: bool,
}

/// Reads one image a band.
///
/// An 8-bit value `v` becomes the count `round(v / 255 * full_scale)`. A 16-bit value is a count as it stands; what
/// lies above [`MAX_COUNT`] is a saturated sensor and becomes [`MAX_COUNT`].
///
/// # Errors
/// When there is no path, a file is no greyscale PNG or TIFF, or the images have different sizes.
pub fn read_bands(paths: &[PathBuf], full_scale: f64) -> Result<Raster, Error> {
    let mut raster = Raster { height: 0, width: 0, counts: Vec::new(), eight_bit: true };
    let mut first: Option<&PathBuf> = None;
    for path in paths {
        let image = read_image(path)?;
        let size = [image.height, image.width];
        let reference = *first.get_or_insert(path);
        if reference == path {
            [raster.height, raster.width] = size;
        }
        let expected = [raster.height, raster.width];
        same_size(path, size, reference, expected)?;
        raster.eight_bit &= matches!(image.samples, Samples::Eight(_));
        image.append_counts(path, full_scale, &mut raster.counts)?;
    }
    if first.is_none() { Err(Error::NoBands) } else { Ok(raster) }
}

/// Whether an image has the size of the reference.
pub(crate) fn same_size(
    path: &Path,
    size: [usize; 2],
    reference: &Path,
    expected: [usize; 2],
) -> Result<(), Error> {
    if size == expected {
        return Ok(());
    }
    Err(Error::SizeMismatch { path: path.to_owned(), size, reference: reference.to_owned(), expected })
}

/// The images `<stem>_<band>.png` (or `.tif`, `.tiff`) that exist beside each other.
///
/// # Errors
/// When one of them does not exist.
pub fn band_paths(stem: &Path, bands: &[String]) -> Result<Vec<PathBuf>, Error> {
    bands.iter().map(|band| find_image(stem, band)).collect()
}

/// The image `<stem>_<suffix>` with the first extension that exists.
pub(crate) fn find_image(stem: &Path, suffix: &str) -> Result<PathBuf, Error> {
    let named = |extension: &str| {
        let mut name = stem.as_os_str().to_owned();
        name.push(format!("_{suffix}.{extension}"));
        PathBuf::from(name)
    };
    let found = EXTENSIONS.into_iter().map(named).find(|path| path.is_file());
    found.ok_or_else(|| Error::MissingImage { path: named(EXTENSIONS[0]) })
}

/// The bytes of a file that has at most `limit` of them.
pub(crate) fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(read)?.len();
    if bytes > limit {
        return Err(Error::TooLong { path: path.to_owned(), bytes, limit });
    }
    fs::read(path).map_err(read)
}

/// One grey image as it is stored.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) samples: Samples,
}

/// The values of an image.
#[derive(Debug)]
pub(crate) enum Samples {
    /// Palette indices, or grey values of fewer than 8 bits: good for masks alone. With the bits a pixel.
    Small(u8, Vec<u8>),
    /// 8-bit grey values.
    Eight(Vec<u8>),
    /// 16-bit grey values.
    Sixteen(Vec<u16>),
}

impl Image {
    fn append_counts(&self, path: &Path, full_scale: f64, counts: &mut Vec<u16>) -> Result<(), Error> {
        match &self.samples {
            Samples::Eight(values) => {
                let table = scale_table(full_scale);
                counts.extend(values.iter().map(|&value| table[usize::from(value)]));
            }
            Samples::Sixteen(values) => counts.extend(values.iter().map(|&value| value.min(MAX_COUNT))),
            Samples::Small(bits, _) => {
                let rule = "bands have 8 or 16 bits and no palette";
                return Err(Error::Depth { path: path.to_owned(), bits: *bits, rule });
            }
        }
        Ok(())
    }

    /// The values of a mask.
    pub(crate) fn into_labels(self, path: &Path) -> Result<Vec<u8>, Error> {
        match self.samples {
            Samples::Small(_, values) | Samples::Eight(values) => Ok(values),
            Samples::Sixteen(_) => {
                Err(Error::Depth { path: path.to_owned(), bits: 16, rule: "masks have at most 8 bits" })
            }
        }
    }
}

/// The count of each 8-bit value.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the range is that of counts"
)]
fn scale_table(full_scale: f64) -> [u16; 256] {
    std::array::from_fn(|value| ((value as f64 / 255.0 * full_scale).round() as u16).min(MAX_COUNT))
}

/// Reads one grey image.
pub(crate) fn read_image(path: &Path) -> Result<Image, Error> {
    decode(path, &read_bytes(path, MAX_BYTES)?)
}

/// The image in `bytes`; `path` is for errors alone.
pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Image, Error> {
    if bytes.starts_with(PNG_SIGNATURE) {
        decode_png(path, bytes)
    } else if TIFF_SIGNATURES.iter().any(|signature| bytes.starts_with(signature)) {
        decode_tiff(path, bytes)
    } else {
        Err(Error::UnknownFormat { path: path.to_owned() })
    }
}

fn damaged<E>(path: &Path) -> impl Fn(E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| Error::Decode { path: path.to_owned(), source: Box::new(source) }
}

fn dimensions(path: &Path, width: u32, height: u32) -> Result<[usize; 2], Error> {
    let pixels = u64::from(width) * u64::from(height);
    match (usize::try_from(height), usize::try_from(width)) {
        (Ok(rows), Ok(columns)) if (1..=MAX_PIXELS).contains(&pixels) => Ok([rows, columns]),
        _ => Err(Error::Dimensions { path: path.to_owned(), width, height, limit: MAX_PIXELS }),
    }
}

fn decode_png(path: &Path, bytes: &[u8]) -> Result<Image, Error> {
    let limit = png::Limits { bytes: usize::try_from(MAX_PIXELS * 4).unwrap_or(usize::MAX) };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limit);
    decoder.set_transformations(png::Transformations::IDENTITY);
    let info = decoder.read_header_info().map_err(damaged(path))?;
    let [height, width] = dimensions(path, info.width, info.height)?;
    let (colour, depth) = (info.color_type, info.bit_depth);
    if !matches!(colour, png::ColorType::Grayscale | png::ColorType::Indexed) {
        return Err(Error::ColourType {
            path: path.to_owned(),
            found: format!("{colour:?}"),
            rule: GREY_RULE,
        });
    }
    let mut reader = decoder.read_info().map_err(damaged(path))?;
    let mut raw = vec![0; reader.output_buffer_size().unwrap_or(0)];
    reader.next_frame(&mut raw).map_err(damaged(path))?;
    reader.finish().map_err(damaged(path))?;
    let samples = match (colour, depth) {
        (png::ColorType::Grayscale, png::BitDepth::Eight) => Samples::Eight(raw),
        (_, png::BitDepth::Sixteen) => {
            Samples::Sixteen(raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
        }
        (_, png::BitDepth::Eight) => Samples::Small(8, raw),
        (_, bits) => Samples::Small(bits as u8, unpack(&raw, width, bits as u8)),
    };
    Ok(Image { height, width, samples })
}

/// The values of rows that hold several pixels a byte, the first in the highest bits.
fn unpack(raw: &[u8], width: usize, bits: u8) -> Vec<u8> {
    let each = usize::from(8 / bits);
    let low = u8::MAX >> (8 - bits);
    let value = |row: &[u8], x: usize| {
        let shift = 8 - usize::from(bits) * (x % each + 1);
        (row[x / each] >> shift) & low
    };
    raw.chunks_exact(width.div_ceil(each)).flat_map(|row| (0..width).map(move |x| value(row, x))).collect()
}

fn decode_tiff(path: &Path, bytes: &[u8]) -> Result<Image, Error> {
    use tiff::decoder::{Decoder, DecodingResult, Limits};
    use tiff::tags::Tag;
    let mut limits = Limits::default();
    limits.decoding_buffer_size = usize::try_from(MAX_PIXELS * 2).unwrap_or(usize::MAX);
    limits.intermediate_buffer_size = limits.decoding_buffer_size;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(damaged(path))?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(damaged(path))?;
    let [height, width] = dimensions(path, width, height)?;
    let channels =
        decoder.find_tag_unsigned::<u16>(Tag::SamplesPerPixel).map_err(damaged(path))?.unwrap_or(1);
    let meaning = decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).map_err(damaged(path))?;
    if channels != 1 || meaning != Some(1) {
        let found =
            format!("TIFF ({channels} channels, photometric interpretation {})", meaning.unwrap_or(0));
        return Err(Error::ColourType { path: path.to_owned(), found, rule: GREY_RULE });
    }
    let samples = match decoder.read_image().map_err(damaged(path))? {
        DecodingResult::U8(values) => Samples::Eight(values),
        DecodingResult::U16(values) => Samples::Sixteen(values),
        other => {
            let found = format!("{} TIFF", sample_kind(&other));
            let rule = "samples are unsigned integers of 8 or 16 bits";
            return Err(Error::ColourType { path: path.to_owned(), found, rule });
        }
    };
    let found = match &samples {
        Samples::Small(_, values) | Samples::Eight(values) => values.len(),
        Samples::Sixteen(values) => values.len(),
    };
    if found != height * width {
        let source =
            io::Error::new(io::ErrorKind::UnexpectedEof, "it holds another number of pixels than it claims");
        return Err(damaged(path)(source));
    }
    Ok(Image { height, width, samples })
}

fn sample_kind(result: &tiff::decoder::DecodingResult) -> &'static str {
    use tiff::decoder::DecodingResult as Kind;
    match result {
        Kind::F16(_) | Kind::F32(_) | Kind::F64(_) => "floating-point",
        Kind::I8(_) | Kind::I16(_) | Kind::I32(_) | Kind::I64(_) => "signed",
        _ => "wide",
    }
}

/// How a mask is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskStyle {
    /// Grey values 0 (background) and 255 (everything else).
    Binary,
    /// The class itself as grey value.
    Grey,
    /// The class itself as index into a palette of well told colours: black for background, grey for 255.
    Indexed,
}

/// Writes the classes of `mask`, `[height, width]`, as an 8-bit PNG; the file appears whole or not at all.
///
/// # Errors
/// When `mask` has another length than `size` asks for, or the file cannot be written.
pub fn write_mask_png(path: &Path, size: [usize; 2], mask: &[u8], style: MaskStyle) -> Result<(), Error> {
    let write = |source| Error::Write { path: path.to_owned(), source };
    let bytes = encode_mask(size, mask, style).map_err(|error| write(io::Error::from(error)))?;
    write_whole(path, &bytes).map_err(write)
}

fn encode_mask(
    [height, width]: [usize; 2],
    mask: &[u8],
    style: MaskStyle,
) -> Result<Vec<u8>, png::EncodingError> {
    let side = |length| u32::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(width)?, side(height)?);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(png::ColorType::Grayscale);
    if style == MaskStyle::Indexed {
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette((0..=u8::MAX).flat_map(class_colour).collect::<Vec<u8>>());
    }
    let mut writer = encoder.write_header()?;
    if style == MaskStyle::Binary {
        let values: Vec<u8> = mask.iter().map(|&class| if class == 0 { 0 } else { u8::MAX }).collect();
        writer.write_image_data(&values)?;
    } else {
        writer.write_image_data(mask)?;
    }
    writer.finish()?;
    Ok(bytes)
}

/// The colour of a class (Okabe and Ito's palette, which the colour-blind tell apart, repeated).
fn class_colour(class: u8) -> [u8; 3] {
    const COLOURS: [[u8; 3]; 7] = [
        [230, 159, 0],
        [86, 180, 233],
        [0, 158, 115],
        [240, 228, 66],
        [0, 114, 178],
        [213, 94, 0],
        [204, 121, 167],
    ];
    match class {
        0 => [0, 0, 0],
        u8::MAX => [128, 128, 128],
        class => COLOURS[usize::from(class - 1) % COLOURS.len()],
    }
}

/// Writes beside `path` first and renames, so that a file of this name is always whole.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(name);
    let written = fs::File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&part, path));
    if renamed.is_err() {
        fs::remove_file(&part).ok();
    }
    renamed
}
