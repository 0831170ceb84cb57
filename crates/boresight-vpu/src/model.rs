//! The cost model: what compiles, what it costs, for one network or many.

use crate::compile::{Refusal, compile, runs};
use crate::predict::cost;
use crate::support::{check, unsupported};
use crate::{Device, Error, Prediction, StageRow, Unit, Work};
use boresight_core::{Cost, CostModel};
use boresight_ir::{Hash, Network, Op};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Predicts what a network costs on one device.
///
/// # Examples
/// ```
/// use boresight_core::CostModel;
/// use boresight_ir::{Builder, Conv2d, Op, Shape};
/// use boresight_vpu::{Device, Vpu};
///
/// let mut builder = Builder::new(Shape::new(8, 128, 128))?;
/// let conv = builder.add("conv", Op::Conv2d(Conv2d::same(32, 3)), &[builder.input()])?;
/// let network = builder.finish(conv)?;
/// let vpu = Vpu::new(Device::named("myriad-x")?);
/// let cost = vpu.estimate(&network)?;
/// assert!(cost.latency.0 > 0.0 && cost.fps > 1.0 / cost.latency.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Vpu {
    device: Device,
}

impl Vpu {
    /// The model of this device.
    pub const fn new(device: Device) -> Self {
        Self { device }
    }

    /// The device.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Whether the device runs the network.
    ///
    /// # Errors
    /// When a feature map is too large, its compiler refuses an operator, or what a stage needs does not fit the on-chip
    /// memory; the error names the node.
    pub fn supports(&self, network: &Network) -> Result<(), Error> {
        check(network, &self.device)?;
        runs(network, &self.device).map_err(|refusal| self.refused(network, refusal))
    }

    fn refused(&self, network: &Network, Refusal { node, limit }: Refusal) -> Error {
        unsupported(&self.device, &network.nodes()[node], limit)
    }

    /// Everything that the model says about a network.
    ///
    /// # Errors
    /// As [`Vpu::supports`].
    pub fn predict(&self, network: &Network) -> Result<Prediction, Error> {
        check(network, &self.device)?;
        compile(network, &self.device, |compiled| Prediction::new(network, &self.device, compiled))
            .map_err(|refusal| self.refused(network, refusal))
    }

    /// The same for many networks, on `threads` threads of which this one is one; in the order of `networks`.
    pub fn predict_all(&self, networks: &[Network], threads: NonZeroUsize) -> Vec<Result<Prediction, Error>> {
        let next = AtomicUsize::new(0);
        let found = Mutex::new(BTreeMap::new());
        let work = || {
            while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&at| at < networks.len())
            {
                let prediction = self.predict(&networks[at]);
                found.lock().unwrap_or_else(PoisonError::into_inner).insert(at, prediction);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.get().min(networks.len()) {
                scope.spawn(work);
            }
            work();
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    /// Where the time goes, stage by stage in the order of execution.
    ///
    /// # Errors
    /// As [`Vpu::supports`].
    pub fn explain(&self, network: &Network) -> Result<Vec<StageRow>, Error> {
        Ok(self.predict(network)?.stages)
    }

    /// Most input channels of a part, for each convolution that is cut over them, by the name of its node.
    ///
    /// # Errors
    /// As [`Vpu::supports`].
    pub fn channel_parts(&self, network: &Network) -> Result<BTreeMap<String, usize>, Error> {
        let cut = self.explain(network)?.into_iter().filter(|row| row.unit == Unit::Nce && row.tiles[2] > 1);
        let parts = cut.filter_map(|row| {
            let node = &network.nodes()[row.node];
            let Op::Conv2d(conv) = node.op else { return None };
            let channels = network.node(*node.inputs.first()?).shape.channels / conv.groups;
            Some((node.name.clone(), channels.div_ceil(row.tiles[2])))
        });
        Ok(parts.collect())
    }

    /// Convolutions that run on the SHAVEs, whose constants the compiler does not scale, by the names of their nodes.
    ///
    /// # Errors
    /// As [`Vpu::supports`].
    pub fn convolutions_on_shaves(&self, network: &Network) -> Result<BTreeSet<String>, Error> {
        let rows = self.explain(network)?.into_iter().filter(|row| row.work == Work::Multiplying);
        Ok(rows.map(|row| network.nodes()[row.node].name.clone()).collect())
    }

    /// Cycles of the NCE in all convolutions, as the compiler's own dump gives them.
    ///
    /// # Errors
    /// As [`Vpu::supports`].
    pub fn nce_cycles(&self, network: &Network) -> Result<u64, Error> {
        Ok(self.predict(network)?.nce_cycles)
    }
}

impl CostModel<Network> for Vpu {
    type Error = Error;

    fn device(&self) -> &str {
        &self.device.description().name
    }

    fn estimate(&self, network: &Network) -> Result<Cost, Error> {
        check(network, &self.device)?;
        compile(network, &self.device, |compiled| cost(network, &self.device, compiled))
            .map_err(|refusal| self.refused(network, refusal))
    }
}

/// A cost model that remembers what it said of networks of equal structure.
///
/// Names of nodes are no part of the structure, though the compiler may take readers of one map in another order where
/// their names sort otherwise; names that follow from the structure, as in the networks of a space, never do.
#[derive(Debug)]
pub struct Remembering<M> {
    model: M,
    known: Mutex<BTreeMap<Hash, Cost>>,
}

impl<M> Remembering<M> {
    /// `model`, with nothing remembered.
    pub const fn new(model: M) -> Self {
        Self { model, known: Mutex::new(BTreeMap::new()) }
    }

    /// Networks that are remembered.
    pub fn len(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<M: CostModel<Network>> CostModel<Network> for Remembering<M> {
    type Error = M::Error;

    fn device(&self) -> &str {
        self.model.device()
    }

    fn estimate(&self, network: &Network) -> Result<Cost, M::Error> {
        let hash = network.hash();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        if let Some(cost) = known {
            return Ok(cost);
        }
        // The lock is not held while the model works.
        let cost = self.model.estimate(network)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, cost.clone());
        Ok(cost)
    }
}
