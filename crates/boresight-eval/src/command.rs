//! A device behind a command: images go out as a file, label maps and times come back as files.

use crate::{Device, DeviceRunner, Error};
use boresight_core::Seconds;
use boresight_deploy::{Deployment, onnx};
use boresight_ir::Shape;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The version of the exchange.
const VERSION: u32 = 1;
const MODEL: &str = "model.onnx";
const IMAGES: &str = "images.f32";
const LABELS: &str = "labels.u8";
const REQUEST: &str = "request.json";
const RESPONSE: &str = "response.json";

/// Values of the tiles that go out at once: 256 MiB.
const IMAGE_VALUES: usize = 1 << 26;

/// A device behind a command, by an exchange of files.
///
/// For each group of tiles `COMMAND ... FOLDER` is run with a folder that holds `request.json`:
/// `{"version":1, "model":"model.onnx", "input":{"name":"input","shape":[1,C,H,W],"layout":"NCHW","type":"f32"},
/// "images":"images.f32", "count":n, "classes":c}`. `images.f32` has what the network reads, little-endian
/// `[count, C, H, W]`. The command writes `labels.u8`, the class of the largest logit of each pixel (the first of equal ones)
/// as `[count, H, W]`, then `response.json`: `{"version":1, "device":"...", "milliseconds":[...]}` with the time of each image,
/// and ends with exit code 0. What else it does is between it and the device.
#[derive(Debug)]
pub struct CommandDevice {
    words: Vec<String>,
    folder: PathBuf,
    form: onnx::Form,
    loaded: AtomicUsize,
}

impl CommandDevice {
    /// The device that `command`, a program and its arguments parted by blanks, reaches; each network that is loaded gets a
    /// folder of its own in `folder`, with a file of `form`.
    ///
    /// # Errors
    /// When the command is empty.
    pub fn new(command: &str, folder: &Path, form: onnx::Form) -> Result<Self, Error> {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return Err(Error::Device { device: command.to_owned(), reason: "the command is empty".into() });
        }
        Ok(Self { words, folder: folder.to_owned(), form, loaded: AtomicUsize::new(0) })
    }
}

impl Device for CommandDevice {
    fn name(&self) -> &str {
        &self.words[0]
    }

    fn load(&self, deployment: &Deployment) -> Result<Box<dyn DeviceRunner>, Error> {
        let number = self.loaded.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("network-{number:05}"));
        fs::create_dir_all(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
        let weights = deployment.unconverted();
        let export = onnx::Export { form: self.form, ..onnx::Export::new(deployment.network(), &weights) };
        let model = export.write()?;
        write(&folder.join(MODEL), &model)?;
        let (tile, output) = (deployment.network().input_shape(), deployment.network().output_shape());
        let words = self.words.clone();
        Ok(Box::new(CommandRunner {
            words,
            folder,
            deployment: deployment.clone(),
            tile,
            classes: output.channels,
        }))
    }
}

struct CommandRunner {
    words: Vec<String>,
    folder: PathBuf,
    deployment: Deployment,
    tile: Shape,
    classes: usize,
}

#[derive(Serialize)]
struct Request<'a> {
    version: u32,
    model: &'a str,
    input: Input<'a>,
    images: &'a str,
    count: usize,
    classes: usize,
}

#[derive(Serialize)]
struct Input<'a> {
    name: &'a str,
    shape: [usize; 4],
    layout: &'a str,
    #[serde(rename = "type")]
    number: &'a str,
}

#[derive(Deserialize)]
struct Response {
    version: u32,
    device: String,
    milliseconds: Vec<f64>,
}

impl CommandRunner {
    fn failed(&self, reason: String) -> Error {
        Error::Device { device: self.words.join(" "), reason }
    }

    fn request(&self, count: usize) -> Result<Vec<u8>, Error> {
        let Shape { channels, height, width } = self.tile;
        let shape = [1, channels, height, width];
        let input = Input { name: "input", shape, layout: "NCHW", number: "f32" };
        let (model, images, classes) = (MODEL, IMAGES, self.classes);
        serde_json::to_vec(&Request { version: VERSION, model, input, images, count, classes })
            .map_err(|error| self.failed(error.to_string()))
    }

    /// Runs the command on what lies in the folder.
    fn call(&self) -> Result<(), Error> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).arg(&self.folder).stdin(Stdio::null()).stdout(Stdio::null());
        let Output { status, stderr, .. } =
            command.output().map_err(|error| self.failed(format!("it cannot be started: {error}")))?;
        if status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&stderr);
        let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        Err(self.failed(format!("{status}: {}", last.trim())))
    }

    /// The times that the command reports for `count` images.
    fn response(&self, count: usize) -> Result<Vec<Seconds>, Error> {
        let path = self.folder.join(RESPONSE);
        let bytes = fs::read(&path).map_err(|error| self.failed(format!("{RESPONSE}: {error}")))?;
        let response: Response =
            serde_json::from_slice(&bytes).map_err(|error| self.failed(format!("{RESPONSE}: {error}")))?;
        if response.version != VERSION {
            let version = response.version;
            return Err(self.failed(format!("{RESPONSE} has version {version}, this is version {VERSION}")));
        }
        let times = response.milliseconds;
        if times.len() != count || !times.iter().all(|time| time.is_finite() && *time >= 0.0) {
            let (device, found) = (response.device, times.len());
            let rule = format!("{count} times of at least 0 are expected, {device} gave {found}");
            return Err(self.failed(format!("{RESPONSE}: {rule}")));
        }
        Ok(times.into_iter().map(|time| Seconds(time / 1000.0)).collect())
    }

    fn read_labels(&self, labels: &mut [u8]) -> Result<(), Error> {
        let bytes =
            fs::read(self.folder.join(LABELS)).map_err(|error| self.failed(format!("{LABELS}: {error}")))?;
        if bytes.len() != labels.len() {
            let (found, expected) = (bytes.len(), labels.len());
            return Err(self.failed(format!("{LABELS} has {found} bytes, one a pixel would be {expected}")));
        }
        if let Some(label) = bytes.iter().find(|&&label| usize::from(label) >= self.classes) {
            let classes = self.classes;
            return Err(
                self.failed(format!("{LABELS} has the label {label}, but there are {classes} classes"))
            );
        }
        labels.copy_from_slice(&bytes);
        Ok(())
    }
}

impl DeviceRunner for CommandRunner {
    fn tile(&self) -> Shape {
        self.tile
    }

    fn batch(&self) -> usize {
        (IMAGE_VALUES / self.tile.len()).max(1)
    }

    fn labels(&mut self, counts: &[f32], labels: &mut [u8]) -> Result<Vec<Seconds>, Error> {
        let count = counts.len() / self.tile.len();
        let mut images = counts.to_vec();
        self.deployment.normalise(&mut images);
        let bytes: Vec<u8> = images.iter().flat_map(|value| value.to_le_bytes()).collect();
        // An answer to an earlier question must not be taken for this one's.
        for stale in [LABELS, RESPONSE] {
            match fs::remove_file(self.folder.join(stale)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(self.failed(format!("{stale}: {error}")));
                }
                _ => {}
            }
        }
        write(&self.folder.join(IMAGES), &bytes)?;
        write(&self.folder.join(REQUEST), &self.request(count)?)?;
        self.call()?;
        self.read_labels(labels)?;
        self.response(count)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| Error::File { path: path.to_owned(), source })
}
