//! What a deployed network runs on: the simulated device, or whatever a command reaches.

use crate::Error;
use boresight_core::Seconds;
use boresight_deploy::{Deployment, Memory, Simulator};
use boresight_ir::Shape;

/// A device on which networks can be put.
pub trait Device: Send + Sync {
    /// Its name, for messages.
    fn name(&self) -> &str;

    /// Puts a network on it.
    ///
    /// # Errors
    /// When the device does not take the network.
    fn load(&self, deployment: &Deployment) -> Result<Box<dyn DeviceRunner>, Error>;
}

/// A network on a device.
pub trait DeviceRunner {
    /// Shape of the tiles that it reads.
    fn tile(&self) -> Shape;

    /// Tiles that it takes at once, at least one.
    fn batch(&self) -> usize;

    /// Writes the label map of each tile of `counts` into `labels`, and tells how long each took where the device
    /// measures that.
    ///
    /// `counts` is `[tiles, bands, height, width]` with at most [`DeviceRunner::batch`] tiles of raw sensor counts, `labels`
    /// is `[tiles, height, width]`.
    ///
    /// # Errors
    /// When the device fails.
    fn labels(&mut self, counts: &[f32], labels: &mut [u8]) -> Result<Vec<Seconds>, Error>;
}

/// The simulated device: what a deployment's profile says, bit by bit.
#[derive(Clone, Copy, Debug)]
pub struct Simulated;

impl Device for Simulated {
    fn name(&self) -> &'static str {
        "the simulated device"
    }

    fn load(&self, deployment: &Deployment) -> Result<Box<dyn DeviceRunner>, Error> {
        Ok(Box::new(SimulatedRunner::new(Simulator::new(deployment.clone(), 1)?)))
    }
}

/// A simulator with the memory that it works in.
#[derive(Clone, Debug)]
pub struct SimulatedRunner {
    simulator: Simulator,
    memory: Memory,
    counts: Vec<f32>,
    labels: Vec<u8>,
}

impl SimulatedRunner {
    /// A runner of `simulator`.
    pub fn new(simulator: Simulator) -> Self {
        let (input, output) = (simulator.input_planes(), simulator.output_planes());
        Self {
            memory: simulator.memory(),
            counts: vec![0.0; input.len()],
            labels: vec![0; output.batch * output.plane()],
            simulator,
        }
    }
}

impl DeviceRunner for SimulatedRunner {
    fn tile(&self) -> Shape {
        self.simulator.deployment().network().input_shape()
    }

    fn batch(&self) -> usize {
        self.simulator.input_planes().batch
    }

    fn labels(&mut self, counts: &[f32], labels: &mut [u8]) -> Result<Vec<Seconds>, Error> {
        // A batch that is not full computes what was there before, and nobody reads it.
        self.counts[..counts.len()].copy_from_slice(counts);
        self.simulator.labels(&self.counts, &mut self.memory, &mut self.labels);
        labels.copy_from_slice(&self.labels[..labels.len()]);
        Ok(Vec::new())
    }
}

/// A runner that reads counts multiplied by a factor, for a device whose counts have another full scale than the data.
#[derive(Debug)]
pub struct Scaled<R> {
    inner: R,
    factor: f32,
    counts: Vec<f32>,
}

impl<R: DeviceRunner> Scaled<R> {
    /// `inner`, reading counts times `factor`.
    pub const fn new(inner: R, factor: f32) -> Self {
        Self { inner, factor, counts: Vec::new() }
    }
}

impl<R: DeviceRunner> DeviceRunner for Scaled<R> {
    fn tile(&self) -> Shape {
        self.inner.tile()
    }

    fn batch(&self) -> usize {
        self.inner.batch()
    }

    fn labels(&mut self, counts: &[f32], labels: &mut [u8]) -> Result<Vec<Seconds>, Error> {
        self.counts.clear();
        self.counts.extend(counts.iter().map(|count| count * self.factor));
        self.inner.labels(&self.counts, labels)
    }
}

impl<R: DeviceRunner + ?Sized> DeviceRunner for Box<R> {
    fn tile(&self) -> Shape {
        (**self).tile()
    }

    fn batch(&self) -> usize {
        (**self).batch()
    }

    fn labels(&mut self, counts: &[f32], labels: &mut [u8]) -> Result<Vec<Seconds>, Error> {
        (**self).labels(counts, labels)
    }
}
