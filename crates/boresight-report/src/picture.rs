//! Colour pictures, and how they reach the disk.

use crate::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A colour picture of 8 bits a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Red, green and blue of each pixel, `[height, width, 3]`.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A picture of one colour.
    pub fn filled([height, width]: [usize; 2], colour: [u8; 3]) -> Self {
        Self { height, width, pixels: colour.repeat(height * width) }
    }

    /// The colour of a pixel; `None` outside the picture.
    pub fn at(&self, y: usize, x: usize) -> Option<[u8; 3]> {
        let start = self.start(y, x)?;
        Some([self.pixels[start], self.pixels[start + 1], self.pixels[start + 2]])
    }

    /// Paints a pixel; what lies outside the picture is cut off.
    pub fn paint(&mut self, y: usize, x: usize, colour: [u8; 3]) {
        if let Some(start) = self.start(y, x) {
            self.pixels[start..start + 3].copy_from_slice(&colour);
        }
    }

    fn start(&self, y: usize, x: usize) -> Option<usize> {
        let start = 3 * (y * self.width + x);
        (y < self.height && x < self.width && start + 3 <= self.pixels.len()).then_some(start)
    }
}

/// Writes a picture as PNG; the file appears whole or not at all.
///
/// # Errors
/// When the picture's buffer does not fit its size, or the file cannot be written.
pub fn write_png(path: &Path, picture: &Picture) -> Result<(), Error> {
    let Picture { height, width, pixels } = picture;
    let (height, width, expected, found) = (*height, *width, height * width * 3, pixels.len());
    if expected != found {
        return Err(Error::Length { what: "pictures", height, width, expected, found });
    }
    let write = |source| Error::Write { path: path.to_owned(), source };
    let bytes = encode(picture).map_err(|error| write(io::Error::from(error)))?;
    write_whole(path, &bytes).map_err(write)
}

fn encode(picture: &Picture) -> Result<Vec<u8>, png::EncodingError> {
    let side = |length| u32::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(picture.width)?, side(picture.height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.pixels)?;
    writer.finish()?;
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_written_whole() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("p.png");
        let mut picture = Picture::filled([2, 3], [1, 2, 3]);
        picture.paint(1, 2, [9, 8, 7]);
        picture.paint(2, 0, [0; 3]);
        write_png(&path, &picture).unwrap();
        let decoder = png::Decoder::new(io::Cursor::new(fs::read(&path).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, picture.pixels);
        assert_eq!(pixels[15..], [9, 8, 7]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let torn = Picture { height: 2, width: 2, pixels: vec![0; 5] };
        let error = write_png(&folder.path().join("p.png"), &torn).unwrap_err();
        assert_eq!(error.to_string(), "pictures of 2 x 2 pixels need 12 values, 5 are given");
        let missing = folder.path().join("no/p.png");
        let error = write_png(&missing, &Picture::filled([1, 1], [0; 3])).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{} cannot be written: ", missing.display())));
        assert!(write_png(&folder.path().join("p.png"), &Picture::filled([0, 3], [0; 3])).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
