//! The roles that researchers swap: space, strategy, evaluator, trainer, cost model.

use crate::{Context, Joules, Objective, Observer, Outcome, Proposal, Seconds, Seed, Trial, TrialId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::hash::Hash;

/// What a strategy varies: a plain value that can be compared, hashed, printed and stored.
pub trait Genotype: Clone + Eq + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Clone + Eq + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static> Genotype for T {}

/// A set of candidates. A space that nothing can satisfy is refused when it is built, so sampling cannot fail.
pub trait SearchSpace: Send + Sync {
    /// What is varied.
    type Genotype: Genotype;
    /// What is evaluated.
    type Phenotype: Send + Sync;
    /// Why a genotype has no phenotype.
    type Error: std::error::Error + Send + Sync + 'static;

    /// A member of the space; equal seeds give equal members.
    fn sample(&self, seed: Seed) -> Self::Genotype;

    /// The phenotype of a member.
    ///
    /// # Errors
    /// When `genotype` is not a member of this space.
    fn decode(&self, genotype: &Self::Genotype) -> Result<Self::Phenotype, Self::Error>;
}

/// A space closed under variation: children of members are members.
pub trait Evolvable: SearchSpace {
    /// A neighbour of `genotype`.
    fn mutate(&self, genotype: &Self::Genotype, seed: Seed) -> Self::Genotype;

    /// A child of two members; neither parent changes.
    fn crossover(&self, first: &Self::Genotype, second: &Self::Genotype, seed: Seed) -> Self::Genotype;
}

/// Why a strategy refused a verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TellError {
    /// The trial was never asked for, or was told before.
    #[error("trial {} was not waiting for a verdict", .0.0)]
    NotPending(TrialId),
    /// The verdict has another number of objectives than the strategy optimises.
    #[error("trial {} has {found} objective values, the strategy optimises {expected}", .trial.0)]
    ObjectiveCount {
        /// The trial.
        trial: TrialId,
        /// How many the strategy optimises.
        expected: usize,
        /// How many the verdict has.
        found: usize,
    },
    /// An objective value is NaN or infinite.
    #[error("trial {} has the value {value} for objective {index}, which is not finite", .trial.0)]
    NotFinite {
        /// The trial.
        trial: TrialId,
        /// Which objective.
        index: usize,
        /// The value as text, since NaN equals nothing.
        value: String,
    },
}

/// Proposes candidates and learns from verdicts; it never calls an evaluator.
///
/// Trials are numbered from 0 in the order in which they are asked for. A strategy is a function of its seed and of
/// what it was told, in that order: replaying both restores it.
pub trait Strategy: Send {
    /// What it varies.
    type Genotype: Genotype;

    /// Up to `limit` further proposals. An empty answer while trials are pending means: tell me those first; an
    /// empty answer with none pending means that the strategy has ended.
    fn ask(&mut self, limit: usize) -> Vec<Proposal<Self::Genotype>>;

    /// Takes the verdict on a trial that was asked for.
    ///
    /// # Errors
    /// When the trial is not pending or its objectives do not fit; the strategy is then unchanged.
    fn tell(&mut self, trial: Trial<Self::Genotype>) -> Result<(), TellError>;
}

/// Gives verdicts.
pub trait Evaluator<P: ?Sized>: Send + Sync {
    /// Why there is no verdict; the search stops.
    type Error;

    /// What is measured, in the order of [`Outcome::Measured`]'s objectives.
    fn objectives(&self) -> &[Objective];

    /// The verdict on `phenotype`; equal contexts give equal verdicts.
    ///
    /// # Errors
    /// When no verdict can be had, such as a full disk. A candidate that breaks is a verdict, not an error.
    fn evaluate(&self, phenotype: &P, context: &Context) -> Result<Outcome, Self::Error>;
}

/// The end of a training.
#[derive(Clone, Debug, PartialEq)]
pub enum Fit<M> {
    /// A trained model.
    Trained(M),
    /// Training left the finite numbers.
    Diverged {
        /// What was seen, in one sentence.
        reason: String,
    },
    /// The observer broke it off.
    Interrupted,
}

/// What a trainer tells while it works.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrainEvent {
    /// A step ended.
    Step {
        /// Steps done, counted from 1 over all epochs.
        step: usize,
        /// Steps planned in all.
        steps: usize,
    },
    /// An epoch ended.
    Epoch {
        /// Epochs done, counted from 1.
        epoch: usize,
        /// Epochs planned.
        epochs: usize,
        /// Mean training loss of the epoch.
        loss: f64,
        /// Validation score, where the trainer has one.
        validation: Option<f64>,
    },
}

/// Turns a network into a model.
pub trait Trainer<N: ?Sized>: Send + Sync {
    /// What it makes.
    type Model;
    /// Why there is no result at all.
    type Error;

    /// Trains `network`; equal contexts give bit-equal models.
    ///
    /// # Errors
    /// When training cannot take place. Divergence is a [`Fit`], not an error.
    fn train(
        &self,
        network: &N,
        context: &Context,
        observer: &mut dyn Observer<TrainEvent>,
    ) -> Result<Fit<Self::Model>, Self::Error>;
}

/// What a network costs on a device; predictions, not measurements.
///
/// These are the terms by which a search compares thousands of networks; where the time of one of them goes, its cost
/// model tells in words of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// From input at the host to output at the host, for one image.
    pub latency: Seconds,
    /// Images a second with the device's default number of streams.
    pub fps: f64,
    /// Streams that `fps` assumes.
    pub streams: u32,
    /// Energy for one image, where the device file knows its power.
    pub energy: Option<Joules>,
    /// The largest on-chip memory that any stage needs, in bytes.
    pub peak_memory: u64,
    /// Bytes that one image moves to and from external memory, where the model knows.
    #[serde(default)]
    pub memory_traffic: Option<u64>,
    /// Multiply-accumulates of the network over those that the device could do in the same time, in `[0, 1]`, where the
    /// model knows.
    #[serde(default)]
    pub utilisation: Option<f64>,
}

/// Predicts what a network costs on one device.
pub trait CostModel<N: ?Sized>: Send + Sync {
    /// Why the device cannot run the network.
    type Error;

    /// The device's name, such as `myriad-x`.
    fn device(&self) -> &str;

    /// The cost of `network`.
    ///
    /// # Errors
    /// When the device cannot run it: the error names the node and the rule.
    fn estimate(&self, network: &N) -> Result<Cost, Self::Error>;
}

/// Forwards a role through references and boxes, so that `dyn` and generic code mix freely.
macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<P: ?Sized, T: Evaluator<P> + ?Sized> Evaluator<P> for $pointer {
            type Error = T::Error;

            fn objectives(&self) -> &[Objective] {
                (**self).objectives()
            }

            fn evaluate(&self, phenotype: &P, context: &Context) -> Result<Outcome, Self::Error> {
                (**self).evaluate(phenotype, context)
            }
        }

        impl<N: ?Sized, T: CostModel<N> + ?Sized> CostModel<N> for $pointer {
            type Error = T::Error;

            fn device(&self) -> &str {
                (**self).device()
            }

            fn estimate(&self, network: &N) -> Result<Cost, Self::Error> {
                (**self).estimate(network)
            }
        }

        impl<N: ?Sized, T: Trainer<N> + ?Sized> Trainer<N> for $pointer {
            type Model = T::Model;
            type Error = T::Error;

            fn train(
                &self,
                network: &N,
                context: &Context,
                observer: &mut dyn Observer<TrainEvent>,
            ) -> Result<Fit<Self::Model>, Self::Error> {
                (**self).train(network, context, observer)
            }
        }

        impl<T: SearchSpace + ?Sized> SearchSpace for $pointer {
            type Genotype = T::Genotype;
            type Phenotype = T::Phenotype;
            type Error = T::Error;

            fn sample(&self, seed: Seed) -> Self::Genotype {
                (**self).sample(seed)
            }

            fn decode(&self, genotype: &Self::Genotype) -> Result<Self::Phenotype, Self::Error> {
                (**self).decode(genotype)
            }
        }

        impl<T: Evolvable + ?Sized> Evolvable for $pointer {
            fn mutate(&self, genotype: &Self::Genotype, seed: Seed) -> Self::Genotype {
                (**self).mutate(genotype, seed)
            }

            fn crossover(&self, first: &Self::Genotype, second: &Self::Genotype, seed: Seed) -> Self::Genotype {
                (**self).crossover(first, second, seed)
            }
        }
    )*};
}

forward!(&T, Box<T>, std::sync::Arc<T>);

macro_rules! forward_strategy {
    ($($pointer:ty),*) => {$(
        impl<T: Strategy + ?Sized> Strategy for $pointer {
            type Genotype = T::Genotype;

            fn ask(&mut self, limit: usize) -> Vec<Proposal<Self::Genotype>> {
                (**self).ask(limit)
            }

            fn tell(&mut self, trial: Trial<Self::Genotype>) -> Result<(), TellError> {
                (**self).tell(trial)
            }
        }
    )*};
}

forward_strategy!(&mut T, Box<T>);
