//! Data folders, good and bad: every error of the reader is one sentence that names the culprit and the rule.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use boresight_data::{
    Dataset, Error, FolderOptions, MaskStyle, band_paths, read_bands, read_folder, write_mask_png,
};
use proptest::prelude::*;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use tempfile::TempDir;

const TABLE: &str = "scene,split,bands\na,train,B03 B08\nb,val,B03 B08\nc,test,B03 B08\n";

fn png_bytes(width: u32, height: u32, format: (png::ColorType, png::BitDepth), data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(format.0);
    encoder.set_depth(format.1);
    if format.0 == png::ColorType::Indexed {
        encoder.set_palette(vec![0; 3 * 16]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

const GREY: (png::ColorType, png::BitDepth) = (png::ColorType::Grayscale, png::BitDepth::Eight);

/// A folder of three scenes of 3 x 2 pixels with two bands.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("scenes")).unwrap();
    fs::write(folder.path().join("scenes.csv"), TABLE).unwrap();
    for (at, scene) in (0_u8..).zip(["a", "b", "c"]) {
        put(&folder, &format!("{scene}_B03.png"), &png_bytes(3, 2, GREY, &[at, 1, 2, 3, 4, 255]));
        put(&folder, &format!("{scene}_B08.png"), &png_bytes(3, 2, GREY, &[9, 9, 9, 9, 9, at]));
        put(&folder, &format!("{scene}_mask.png"), &png_bytes(3, 2, GREY, &[0, 255, 0, 0, 0, 255]));
    }
    folder
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) {
    fs::write(folder.path().join("scenes").join(name), bytes).unwrap();
}

fn read(folder: &TempDir) -> Result<Dataset, Error> {
    read_folder(folder.path(), &FolderOptions::default())
}

fn read_bands_named(folder: &TempDir, bands: &[&str]) -> Result<Dataset, Error> {
    let bands = Some(bands.iter().map(|&band| band.to_owned()).collect());
    read_folder(folder.path(), &FolderOptions { bands, ..FolderOptions::default() })
}

/// The sentence about a folder after `spoil`, without the path of the folder.
fn sentence(spoil: impl Fn(&TempDir)) -> String {
    let folder = folder();
    spoil(&folder);
    let text = read(&folder).unwrap_err().to_string();
    assert!(!text.contains('\n'), "one sentence: {text}");
    text.replace(&format!("{}/", folder.path().display()), "")
}

fn table(folder: &TempDir, text: &str) {
    fs::write(folder.path().join("scenes.csv"), text).unwrap();
}

fn settings(folder: &TempDir, text: &str) {
    fs::write(folder.path().join("dataset.toml"), text).unwrap();
}

#[test]
fn eight_bit_values_become_counts_and_255_becomes_class_one() {
    let dataset = read(&folder()).unwrap();
    assert_eq!(dataset.bands, ["B03", "B08"]);
    assert_eq!((dataset.classes, dataset.ignore), (2, None));
    let scene = &dataset.train[0];
    // 26214 / 255 is 102.8.
    assert_eq!(scene.counts, [0, 103, 206, 308, 411, 26_214, 925, 925, 925, 925, 925, 0]);
    assert_eq!(scene.mask, [0, 1, 0, 0, 0, 1]);
    assert_eq!((scene.height, scene.width), (2, 3));
    assert_eq!((dataset.val[0].name.as_str(), dataset.test[0].name.as_str()), ("b", "c"));
    assert_eq!(dataset.fingerprint, read(&folder()).unwrap().fingerprint);
}

#[test]
fn bands_come_in_the_order_asked_for() {
    let dataset = read_bands_named(&folder(), &["B08", "B03"]).unwrap();
    assert_eq!(dataset.train[0].counts[..2], [925, 925]);
    assert_eq!(dataset.bands, ["B08", "B03"]);
}

#[test]
fn without_a_column_of_bands_the_files_tell_them() {
    let folder = folder();
    table(&folder, "split,scene\r\ntrain,a\r\nval,b\r\n\r\ntest,c\r\n");
    put(&folder, "a_B02.png", b"in one scene only, so never read");
    put(&folder, "a_b_B02.png", b"another scene's");
    assert_eq!(read(&folder).unwrap().bands, ["B03", "B08"]);
}

#[test]
fn another_full_scale_can_be_asked_for_and_is_that_of_8_bit_images_alone() {
    let folder = folder();
    let read = |full_scale| {
        let options = FolderOptions { full_scale: Some(full_scale), ..FolderOptions::default() };
        read_folder(folder.path(), &options).unwrap()
    };
    let values = read(255.0);
    assert!(values.eight_bit && values.full_scale.to_bits() == 255.0_f64.to_bits());
    let scaled = read(25_500.0);
    let expected: Vec<u16> = values.train[0].counts.iter().map(|value| value * 100).collect();
    assert_eq!(scaled.train[0].counts, expected);
    let format = (png::ColorType::Grayscale, png::BitDepth::Sixteen);
    put(&folder, "a_B03.png", &png_bytes(3, 2, format, &[1; 12]));
    let mixed = read(255.0);
    assert!(!mixed.eight_bit && mixed.train[0].counts[..6] == [257; 6]);
    let refused = FolderOptions { full_scale: Some(0.0), ..FolderOptions::default() };
    assert!(read_folder(folder.path(), &refused).unwrap_err().to_string().contains("1..=65504"));
}

#[test]
fn sixteen_bit_values_are_counts_and_saturate() {
    let folder = folder();
    let values: Vec<u8> =
        [0_u16, 1, 300, 65_504, 65_505, 65_535].iter().flat_map(|v| v.to_be_bytes()).collect();
    let format = (png::ColorType::Grayscale, png::BitDepth::Sixteen);
    put(&folder, "a_B03.png", &png_bytes(3, 2, format, &values));
    assert_eq!(read(&folder).unwrap().train[0].counts[..6], [0, 1, 300, 65_504, 65_504, 65_504]);
}

fn tiff_bytes<C: tiff::encoder::colortype::ColorType>(data: &[C::Inner]) -> Vec<u8>
where
    [C::Inner]: tiff::encoder::TiffValue,
{
    let mut bytes = Cursor::new(Vec::new());
    tiff::encoder::TiffEncoder::new(&mut bytes).unwrap().write_image::<C>(3, 2, data).unwrap();
    bytes.into_inner()
}

#[test]
fn a_tiff_of_one_channel_does_as_well() {
    use tiff::encoder::colortype::{Gray8, Gray16};
    let folder = folder();
    fs::remove_file(folder.path().join("scenes/a_B03.png")).unwrap();
    put(&folder, "a_B03.tif", &tiff_bytes::<Gray16>(&[0, 1, 2, 3, 4, 65_535]));
    fs::remove_file(folder.path().join("scenes/a_mask.png")).unwrap();
    put(&folder, "a_mask.tiff", &tiff_bytes::<Gray8>(&[255, 0, 0, 0, 0, 0]));
    let scene = read(&folder).unwrap().train.remove(0);
    assert_eq!(scene.counts[..6], [0, 1, 2, 3, 4, 65_504]);
    assert_eq!(scene.mask, [1, 0, 0, 0, 0, 0]);
}

#[test]
fn other_tiffs_are_refused() {
    use tiff::encoder::colortype::{Gray32Float, GrayI16, RGB16};
    let of = |bytes: Vec<u8>| {
        sentence(|folder| {
            fs::remove_file(folder.path().join("scenes/a_B03.png")).unwrap();
            put(folder, "a_B03.tif", &bytes);
        })
    };
    assert!(of(tiff_bytes::<RGB16>(&[0; 18])).starts_with("scenes/a_B03.tif is a TIFF (3 channels"));
    let text = of(tiff_bytes::<Gray32Float>(&[0.0; 6]));
    assert!(text.contains("is a floating-point TIFF image; samples are unsigned"), "{text}");
    let text = of(tiff_bytes::<GrayI16>(&[0; 6]));
    assert!(text.contains("is a signed TIFF image"), "{text}");
}

#[test]
fn settings_name_classes_ignored_pixels_and_mask_values() {
    let folder = folder();
    let text = "full_scale = 255.0\nbands = [\"B08\"]\nclasses = [\"sea\", \"ship\", \"rig\"]\nignore = 200\n\
                [mask]\n0 = 0\n255 = 2\n7 = 200\n";
    settings(&folder, text);
    put(&folder, "a_mask.png", &png_bytes(3, 2, GREY, &[0, 7, 255, 0, 0, 0]));
    let dataset = read(&folder).unwrap();
    assert_eq!((dataset.classes, dataset.ignore), (3, Some(200)));
    assert_eq!(dataset.class_names, ["sea", "ship", "rig"]);
    assert_eq!(dataset.train[0].mask, [0, 200, 2, 0, 0, 0]);
    assert_eq!(dataset.train[0].counts, [9, 9, 9, 9, 9, 0]);
}

#[test]
fn named_classes_are_read_as_they_stand() {
    let folder = folder();
    settings(&folder, "classes = [\"sea\", \"ship\"]\nignore = 9");
    put(&folder, "a_mask.png", &png_bytes(3, 2, GREY, &[0, 1, 9, 0, 0, 0]));
    put(&folder, "b_mask.png", &png_bytes(3, 2, GREY, &[0, 255, 9, 0, 0, 0]));
    let dataset = read(&folder).unwrap();
    assert_eq!(dataset.train[0].mask, [0, 1, 9, 0, 0, 0]);
    assert_eq!(dataset.val[0].mask, [0, 1, 9, 0, 0, 0]);
    put(&folder, "c_mask.png", &png_bytes(3, 2, GREY, &[0, 1, 0, 255, 0, 0]));
    let text = read(&folder).unwrap_err().to_string();
    assert!(
        text.ends_with("c_mask.png has the value 255 in row 1, column 0; allowed are 0, 9, 255 or 0, 1, 9"),
        "{text}"
    );
}

#[test]
fn masks_of_few_bits_and_palettes_hold_classes() {
    let folder = folder();
    settings(&folder, "classes = [\"sea\", \"ship\", \"rig\", \"buoy\"]");
    let two_bits = (png::ColorType::Grayscale, png::BitDepth::Two);
    put(&folder, "a_mask.png", &png_bytes(3, 2, two_bits, &[0b0001_1000, 0b1101_0000]));
    let palette = (png::ColorType::Indexed, png::BitDepth::Four);
    put(&folder, "b_mask.png", &png_bytes(3, 2, palette, &[0x01, 0x20, 0x30, 0x10]));
    for scene in ["a", "c"] {
        let values = if scene == "a" { continue } else { [3, 2, 1, 0, 0, 0] };
        put(&folder, &format!("{scene}_mask.png"), &png_bytes(3, 2, GREY, &values));
    }
    let dataset = read(&folder).unwrap();
    assert_eq!(dataset.train[0].mask, [0, 1, 2, 3, 1, 0]);
    assert_eq!(dataset.val[0].mask, [0, 1, 2, 3, 0, 1]);
    assert_eq!(dataset.test[0].mask, [3, 2, 1, 0, 0, 0]);
}

#[test]
fn missing_parts_are_named() {
    let error = read_folder(Path::new("/nowhere/at/all"), &FolderOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "data folder /nowhere/at/all does not exist or is no folder");
    let remove =
        |name: &'static str| sentence(move |folder| fs::remove_file(folder.path().join(name)).unwrap());
    assert_eq!(
        remove("scenes.csv"),
        "scenes.csv is missing; a data folder lists its scenes and their splits there"
    );
    assert_eq!(remove("scenes/b_B08.png"), "scenes/b_B08.png is missing (.tif and .tiff would do as well)");
    assert_eq!(remove("scenes/c_mask.png"), "scenes/c_mask.png is missing (.tif and .tiff would do as well)");
    let without_folder = sentence(|folder| {
        table(folder, "scene,split\na,train");
        fs::remove_dir_all(folder.path().join("scenes")).unwrap();
    });
    assert!(without_folder.contains("cannot be read: "), "{without_folder}");
}

#[test]
fn the_table_must_be_sound() {
    let with = |text: &'static str| sentence(move |folder| table(folder, text));
    assert_eq!(with(""), "scenes.csv has no column 'scene' in its first line");
    assert_eq!(with("scene;split\n"), "scenes.csv has no column 'scene' in its first line");
    assert_eq!(with("scene,part\n"), "scenes.csv has no column 'split' in its first line");
    assert_eq!(with("scene,split\na\n"), "scenes.csv line 2 has 1 columns, its first line names 2");
    assert_eq!(
        with("scene,split\na,train\nb,dev\n"),
        "scenes.csv line 3 has the split 'dev'; splits are train, val and test"
    );
    assert_eq!(with("scene,split\na,train\na,val\n"), "scenes.csv line 3 lists the scene 'a' a second time");
    assert_eq!(
        with("scene,split\na,train\nc,test\n"),
        "the val split has no scene; train, val and test need one each"
    );
    assert_eq!(
        with("scene,split\n"),
        "no band is left: a data set needs at least one band that every scene has"
    );
    for name in ["../a", "..", ".a", "a/b", "a\\b", "", "a..b", "a\u{0}"] {
        let text = sentence(|folder| table(folder, &format!("scene,split\n{name},train\n")));
        assert!(text.starts_with("scenes.csv line 2 names the scene '"), "{text}");
    }
    assert!(
        with("scene,split,bands\na,train,../B03\n").starts_with("scenes.csv line 2 names the band '../B03'")
    );
}

#[test]
fn unknown_bands_are_listed_with_those_that_exist() {
    let folder = folder();
    let text = read_bands_named(&folder, &["B03", "B99"]).unwrap_err().to_string();
    assert_eq!(text, "band 'B99' is unknown; available are B03, B08");
    table(&folder, "scene,split,bands\na,train,B02 B03 B08\nb,val,B03 B08\nc,test,B03 B08\n");
    let text = read_bands_named(&folder, &["B02"]).unwrap_err().to_string();
    assert_eq!(text, "band 'B02' is missing in scene 'b'; every scene has B03, B08");
    let text = read_bands_named(&folder, &["B03", "B03"]).unwrap_err().to_string();
    assert_eq!(text, "band 'B03' is named twice");
    assert!(matches!(read_bands_named(&folder, &[]), Err(Error::NoBands)));
}

#[test]
fn images_of_a_scene_have_one_size() {
    let larger = png_bytes(4, 2, GREY, &[0; 8]);
    assert_eq!(
        sentence(|folder| put(folder, "b_mask.png", &larger)),
        "scenes/b_mask.png is 4 x 2 pixels, but scenes/b_B03.png is 3 x 2; bands and mask of a scene have one size"
    );
    assert!(
        sentence(|folder| put(folder, "b_B08.png", &larger))
            .starts_with("scenes/b_B08.png is 4 x 2 pixels, but")
    );
}

#[test]
fn unknown_mask_values_are_named_with_their_place() {
    assert_eq!(
        sentence(|folder| put(folder, "c_mask.png", &png_bytes(3, 2, GREY, &[0, 255, 0, 0, 7, 0]))),
        "scenes/c_mask.png has the value 7 in row 1, column 1; allowed are 0, 255"
    );
}

#[test]
fn images_that_are_no_grey_images_are_refused() {
    let rgb = png_bytes(3, 2, (png::ColorType::Rgb, png::BitDepth::Eight), &[0; 18]);
    assert_eq!(
        sentence(|folder| put(folder, "a_B03.png", &rgb)),
        "scenes/a_B03.png is a Rgb image; bands and masks are greyscale images of one channel"
    );
    let palette = png_bytes(3, 2, (png::ColorType::Indexed, png::BitDepth::Eight), &[0; 6]);
    assert_eq!(
        sentence(|folder| put(folder, "a_B03.png", &palette)),
        "scenes/a_B03.png has 8 bits a pixel; bands have 8 or 16 bits and no palette"
    );
    let deep = png_bytes(3, 2, (png::ColorType::Grayscale, png::BitDepth::Sixteen), &[0; 12]);
    assert_eq!(
        sentence(|folder| put(folder, "a_mask.png", &deep)),
        "scenes/a_mask.png has 16 bits a pixel; masks have at most 8 bits"
    );
    assert_eq!(
        sentence(|folder| put(folder, "a_B03.png", b"GIF89a")),
        "scenes/a_B03.png is neither a PNG nor a TIFF image"
    );
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_taken() {
    let mut bytes = png_bytes(3, 2, GREY, &[0; 6]);
    bytes[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    // The header's check sum, so that only the size is wrong.
    let sum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    let text = sentence(|folder| put(folder, "a_B03.png", &bytes));
    assert!(text.contains("2147483647 x 2147483647 pixels"), "{text}");
}

/// The check sum of PNG chunks, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[test]
fn broken_settings_are_named() {
    let with = |text: &'static str| sentence(move |folder| settings(folder, text));
    assert!(with("bands = [").starts_with("dataset.toml: line 1: "));
    assert!(
        with("full_scale = 10.0\ncolour = 1").starts_with("dataset.toml: line 2: unknown field `colour`")
    );
    assert_eq!(with("full_scale = 0.0"), "dataset.toml: 'full_scale' is 0; it must lie in 1..=65504");
    assert_eq!(with("full_scale = nan"), "dataset.toml: 'full_scale' is NaN; it must lie in 1..=65504");
    assert_eq!(
        with("classes = [\"one\"]"),
        "dataset.toml: 'classes' names 1 classes; 2 to 255 can be told apart"
    );
    assert_eq!(with("ignore = 1"), "dataset.toml: 'ignore' is 1, which is a class; it must be at least 2");
    assert_eq!(with("[mask]\n256 = 1"), "dataset.toml: 'mask' maps '256'; mask values are 0 to 255");
    assert_eq!(
        with("[mask]\n0 = 0\n255 = 2"),
        "dataset.toml: 'mask' maps 255 to 2, which is neither one of 2 classes nor 'ignore'"
    );
}

#[test]
fn a_tile_larger_than_a_scene_is_refused() {
    let options = FolderOptions { tile: Some(3), ..FolderOptions::default() };
    let text = read_folder(folder().path(), &options).unwrap_err().to_string();
    assert_eq!(text, "tiles of 3 x 3 pixels do not fit scene 'a' of 3 x 2");
}

#[test]
fn every_truncation_of_an_image_is_an_error() {
    let folder = folder();
    let whole = png_bytes(3, 2, GREY, &[0; 6]);
    for length in 0..whole.len() {
        put(&folder, "a_B03.png", &whole[..length]);
        let text = read(&folder).unwrap_err().to_string();
        assert!(text.contains("a_B03.png is ") && !text.contains('\n'), "{length}: {text}");
    }
    fs::remove_file(folder.path().join("scenes/a_B03.png")).unwrap();
    let whole = tiff_bytes::<tiff::encoder::colortype::Gray16>(&[500; 6]);
    for length in 0..whole.len() - 4 {
        put(&folder, "a_B03.tif", &whole[..length]);
        assert!(read(&folder).is_err(), "{length}");
    }
}

#[test]
fn a_mask_survives_being_written_and_read() {
    let folder = folder();
    settings(&folder, "classes = [\"sea\", \"ship\", \"rig\"]\nignore = 255");
    let mask = [0, 1, 2, 255, 0, 1];
    let at = |scene: &str| folder.path().join(format!("scenes/{scene}_mask.png"));
    write_mask_png(&at("a"), [2, 3], &mask, MaskStyle::Grey).unwrap();
    write_mask_png(&at("b"), [2, 3], &mask, MaskStyle::Indexed).unwrap();
    write_mask_png(&at("c"), [2, 3], &[0; 6], MaskStyle::Binary).unwrap();
    let dataset = read(&folder).unwrap();
    assert_eq!(dataset.train[0].mask, mask);
    assert_eq!(dataset.val[0].mask, mask);
    assert_eq!(fs::read_dir(folder.path().join("scenes")).unwrap().count(), 9, "no part is left behind");
    fs::remove_file(folder.path().join("dataset.toml")).unwrap();
    for scene in ["a", "b", "c"] {
        write_mask_png(&at(scene), [2, 3], &[0, 1, 1, 0, 0, 3], MaskStyle::Binary).unwrap();
    }
    assert_eq!(read(&folder).unwrap().train[0].mask, [0, 1, 1, 0, 0, 1]);
}

#[test]
fn a_mask_that_cannot_be_written_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mask.png");
    assert!(matches!(write_mask_png(&path, [2, 2], &[0; 3], MaskStyle::Grey), Err(Error::Write { .. })));
    assert!(write_mask_png(&path, [0, 2], &[], MaskStyle::Grey).is_err());
    assert!(write_mask_png(&folder.path().join("no/mask.png"), [1, 1], &[0], MaskStyle::Grey).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn bands_beside_each_other_are_read_without_labels() {
    let folder = folder();
    let stem = folder.path().join("scenes/b");
    let paths = band_paths(&stem, &["B08".into(), "B03".into()]).unwrap();
    let raster = read_bands(&paths, 255.0).unwrap();
    assert_eq!((raster.height, raster.width), (2, 3));
    assert_eq!(raster.counts, [9, 9, 9, 9, 9, 1, 1, 1, 2, 3, 4, 255]);
    assert!(band_paths(&stem, &["B04".into()]).unwrap_err().to_string().contains("b_B04.png is missing"));
    assert!(matches!(read_bands(&[], 255.0), Err(Error::NoBands)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_images_never_panic(at in 0_usize..200, bytes in prop::collection::vec(any::<u8>(), 1..20), tiff: bool) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("image");
        let mut image = if tiff {
            tiff_bytes::<tiff::encoder::colortype::Gray16>(&[1, 2, 3, 4, 5, 6])
        } else {
            png_bytes(3, 2, GREY, &[1, 2, 3, 4, 5, 6])
        };
        let at = at % image.len();
        let end = (at + bytes.len()).min(image.len());
        image[at..end].copy_from_slice(&bytes[..end - at]);
        fs::write(&path, &image).unwrap();
        if let Ok(raster) = read_bands(&[path], 26_214.0) {
            prop_assert_eq!(raster.counts.len(), raster.height * raster.width);
            prop_assert!(raster.counts.iter().all(|&count| count <= 65_504));
        }
    }

    #[test]
    fn garbage_tables_and_settings_never_panic(table in "\\PC{0,60}", settings in "[a-z_=\\[\\]0-9\", .\n]{0,60}") {
        let folder = folder();
        fs::write(folder.path().join("scenes.csv"), format!("scene,split\n{table}")).unwrap();
        prop_assert!(read(&folder).is_err());
        fs::write(folder.path().join("scenes.csv"), TABLE).unwrap();
        fs::write(folder.path().join("dataset.toml"), settings).unwrap();
        if let Err(error) = read(&folder) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }
}
