//! A network with batch normalisations, trained as what it will be when they are folded.

use crate::{Error, Projection};
use boresight_ir::{InputForm, Network, Role, Weights, fold_batch_norm, separate_batch_norm};
use boresight_kernels::Planes;
use boresight_numerics::{BatchNorm, NumericProfile};
use std::ops::Range;

/// The map from master values of a network with batch normalisations to constants for it that are as wrong as those of the
/// folded network will be.
///
/// In each step the network is folded with its running statistics, its constants are converted, and each constant of the
/// folded network tells by which factor (weights) or addend (biases) the conversion moved it. The same factors and addends
/// move the constants of the network that is trained. There, a normalisation has the statistics of the batch: behind a
/// convolution with folded weights it multiplies by the running deviation and divides by that of the batch, in one pass.
#[derive(Clone, Debug)]
pub struct FoldingSimulation {
    network: Network,
    folded: Projection,
    batch_norm: BatchNorm,
    pairs: Vec<Pair>,
}

/// A constant tensor of the folded network and the one that it moves.
#[derive(Clone, Debug)]
struct Pair {
    folded: Range<usize>,
    master: Range<usize>,
    multiplies: bool,
}

impl FoldingSimulation {
    /// The simulation for `network` under `profile`, as for [`Projection::new`].
    ///
    /// # Errors
    /// As [`Projection::new`] for the folded network.
    pub fn new(
        network: &Network,
        profile: &NumericProfile,
        input: InputForm,
        mean: &[f32],
        deviation: &[f32],
    ) -> Result<Self, Error> {
        let zeros = Weights::from_values(network, vec![0.0; network.layout().len()])?;
        let (folded, _) = fold(network, &zeros, profile.batch_norm)?;
        let projection = Projection::new(&folded, profile, input, mean, deviation)?;
        let pairs =
            folded.layout().slots().iter().filter(|slot| slot.role.is_trainable()).filter_map(|slot| {
                let node = folded.node(slot.node).name.as_str();
                let (id, own) = network.iter().find(|(_, other)| other.name == node)?;
                // A bias belongs to the normalisation that was folded into its convolution, where there is one.
                let taken_in = network.consumers(id).next().filter(|&reader| {
                    let reader_is_gone =
                        folded.iter().all(|(_, other)| other.name != network.node(reader).name);
                    reader_is_gone && own.op.name() == "conv2d"
                });
                let master = match (slot.role, taken_in) {
                    (Role::Bias, Some(norm)) => network.layout().range(norm, Role::Shift),
                    (role, _) => network.layout().range(id, role),
                };
                let multiplies = matches!(slot.role, Role::Weight | Role::Scale);
                Some(Pair { folded: slot.range.clone(), master: master?, multiplies })
            });
        let pairs = pairs.collect();
        Ok(Self { network: network.clone(), folded: projection, batch_norm: profile.batch_norm, pairs })
    }

    /// The projection of the folded network.
    pub const fn folded(&self) -> &Projection {
        &self.folded
    }

    /// Writes into `constants` what the network is to compute with; `master` has its running statistics.
    ///
    /// # Errors
    /// When `master` is not of this network.
    ///
    /// # Panics
    /// When `constants` has another length than the network's layout.
    pub fn constants(&self, master: &Weights, constants: &mut [f32]) -> Result<(), Error> {
        let (_, folded) = fold(&self.network, master, self.batch_norm)?;
        let mut before = vec![0.0; folded.values().len()];
        let mut after = before.clone();
        self.folded.fold_into(folded.values(), &mut before);
        self.folded.constants(folded.values(), &mut after);
        constants.copy_from_slice(master.values());
        // Weights first; what they make of the mean of the input is part of the biases.
        let mut moved = folded.values().to_vec();
        for pair in self.pairs.iter().filter(|pair| pair.multiplies) {
            let factors = before[pair.folded.clone()].iter().zip(&after[pair.folded.clone()]);
            let factors =
                factors.map(|(&before, &after)| if before.abs() > 0.0 { after / before } else { 1.0 });
            let values = constants[pair.master.clone()].iter_mut().zip(&mut moved[pair.folded.clone()]);
            for (factor, (constant, moved)) in factors.zip(values) {
                *constant *= factor;
                *moved *= factor;
            }
        }
        self.folded.fold_into(&moved, &mut before);
        for pair in self.pairs.iter().filter(|pair| !pair.multiplies) {
            let addends = before[pair.folded.clone()].iter().zip(&after[pair.folded.clone()]);
            for (constant, (before, after)) in constants[pair.master.clone()].iter_mut().zip(addends) {
                *constant += after - before;
            }
        }
        Ok(())
    }

    /// Turns counts `[batch, bands, height, width]` in place into what the network reads: normalised, but as coarse as the
    /// device's input.
    pub fn images(&self, planes: Planes, counts: &mut [f32]) {
        self.folded.master_images(planes, counts);
    }
}

fn fold(network: &Network, weights: &Weights, norm: BatchNorm) -> Result<(Network, Weights), Error> {
    Ok(match norm {
        BatchNorm::Folded => fold_batch_norm(network, weights)?,
        BatchNorm::Separate => separate_batch_norm(network, weights)?,
    })
}
