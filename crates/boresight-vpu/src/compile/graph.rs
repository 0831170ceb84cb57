//! The device's own graph: stages, the values between them, and the order of execution.

use super::flow::Concerned;
use super::memory::BLOCK_BYTES;
use crate::nce::NceCost;
use boresight_ir::Shape;
use smallvec::SmallVec;

/// A stage by its place in [`Graph::stages`]; later stages have larger numbers.
pub(crate) type StageId = u32;
/// A value by its place in [`Graph::values`].
pub(crate) type ValueId = u32;
/// Stages or values, in place where they are few: most stages and values have one or two.
pub(crate) type Ids = SmallVec<[u32; 4]>;
/// The parts of one value.
pub(crate) type Parts = SmallVec<[ValueId; 16]>;

/// Rows of a feature map that the convolution engine touches start at multiples of this many bytes.
pub(crate) const ROW_ALIGNMENT: usize = 16;

/// Where a value comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// The image, in the host's buffer.
    Input,
    /// The result, in the host's buffer.
    Output,
    /// In the device's memory.
    Intermediate,
}

/// What a stage demands of the strides of a map that it reads or writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each stride is demanded or not, by itself")]
pub(crate) struct Demand {
    /// Rows start at multiples of [`ROW_ALIGNMENT`].
    pub(crate) aligned: bool,
    /// Rows follow each other without a gap.
    pub(crate) dense_rows: bool,
    /// Planes follow each other without a gap.
    pub(crate) dense_planes: bool,
    /// All channels of the buffer are those of the map.
    pub(crate) dense_channels: bool,
}

/// A value that is a part of another one's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) of: ValueId,
    /// The stage of no work that makes the part or takes it in.
    pub(crate) through: StageId,
    /// Whether the whole is written by writing its parts.
    pub(crate) writes: bool,
}

/// A feature map.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) shape: Shape,
    /// Bytes of a number.
    pub(crate) width: usize,
    pub(crate) usage: Usage,
    pub(crate) producer: Option<StageId>,
    /// A stage that reads it twice is listed twice.
    pub(crate) consumers: Ids,
    pub(crate) part: Option<Part>,
    pub(crate) demand: Demand,
    /// Whether it shall be in on-chip memory.
    pub(crate) on_chip: bool,
}

impl Value {
    /// Bytes from one row to the next of a buffer of its own.
    fn row(&self) -> usize {
        let row = self.shape.width * self.width;
        if self.demand.aligned { row.next_multiple_of(ROW_ALIGNMENT) } else { row }
    }

    /// Bytes of a buffer of its own.
    pub(crate) fn bytes(&self) -> usize {
        (self.row() * self.shape.height * self.shape.channels).next_multiple_of(BLOCK_BYTES)
    }
}

/// Vector cores that a stage wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cores {
    None,
    /// Two, or one where there are no more.
    Two,
    /// All that are free, but two beside the convolution engine.
    Limited,
    /// All of the inference's.
    All,
}

/// What a stage does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A convolution or pooling that is not yet given to a unit, by its place among the [`super::stubs::Stubs`].
    Stub(u32),
    /// A convolution, pooled in the same stage or not.
    Conv { pooled: bool },
    /// Pooling on the convolution engine.
    Pool,
    /// A copy; an optional one may be left out, a spill moves a value out of on-chip memory.
    Copy { optional: bool, spill: bool },
    /// Work of the vector cores.
    Shave(Shave),
    /// Parts written into one value; costs nothing by itself.
    Join,
    /// Parts of one value; costs nothing by itself.
    Take,
}

/// What the vector cores do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shave {
    /// One number at a time.
    Elementwise(&'static str),
    /// Two maps into one.
    Pair(&'static str),
    /// Another stage, by name, with the cores that it wants.
    Other(&'static str, Cores),
    /// Between formats of numbers.
    Convert,
    /// A convolution, by the compiler's word.
    Conv(&'static str),
    /// Upsampling with zeros, before the convolution of a transposed one.
    Stuff,
}

impl Shave {
    /// The compiler's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            // Which of them the engine may take in is told apart here alone.
            Self::Elementwise("FusedLeakyRelu") => "LeakyRelu",
            Self::Elementwise("FreeClamp") => "Clamp",
            Self::Elementwise(word) | Self::Pair(word) | Self::Other(word, _) | Self::Conv(word) => word,
            Self::Convert => "Convert",
            Self::Stuff => "Upsampling",
        }
    }
}

/// A stage.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) kind: Kind,
    pub(crate) inputs: Ids,
    pub(crate) outputs: Ids,
    pub(crate) removed: bool,
    /// Whether its result was wanted on chip when the order was settled.
    pub(crate) expects_chip: bool,
    /// The stage of vector cores or memory engine that runs beside it.
    pub(crate) injected: Option<StageId>,
}

/// What a stage is called and how much it does, which no pass asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detail {
    /// The node that it comes from, by its place in the network.
    pub(crate) node: u32,
    /// What is added to the node's name.
    pub(crate) suffix: &'static str,
    /// Parts of width, height and channels of the operator that it belongs to.
    pub(crate) grid: [u16; 3],
    /// Numbers of coefficients that it reads.
    pub(crate) coefficients: u32,
    /// What a convolution costs on the engine.
    pub(crate) nce: Option<NceCost>,
    /// Multiplications of a convolution on the vector cores.
    pub(crate) macs: u64,
}

impl Kind {
    pub(crate) const fn is_nce(&self) -> bool {
        matches!(self, Self::Conv { .. } | Self::Pool)
    }

    /// Whether it takes no time.
    pub(crate) const fn is_special(&self) -> bool {
        matches!(self, Self::Join | Self::Take)
    }

    pub(crate) const fn cores(&self) -> Cores {
        match self {
            Self::Shave(Shave::Elementwise(_) | Shave::Stuff) => Cores::Two,
            Self::Shave(Shave::Pair(_)) => Cores::Limited,
            Self::Shave(Shave::Other(_, cores)) => *cores,
            Self::Shave(Shave::Convert | Shave::Conv(..)) => Cores::All,
            _ => Cores::None,
        }
    }

    /// What it demands of the maps that it reads.
    pub(crate) fn reads(&self) -> Demand {
        self.demands(false)
    }

    /// What it demands of the maps that it writes.
    pub(crate) fn writes(&self) -> Demand {
        self.demands(true)
    }

    fn demands(&self, writing: bool) -> Demand {
        const NONE: Demand =
            Demand { aligned: false, dense_rows: false, dense_planes: false, dense_channels: false };
        match self {
            Self::Conv { .. } | Self::Pool => Demand { aligned: true, ..NONE },
            Self::Shave(Shave::Stuff) => Demand { aligned: writing, ..NONE },
            Self::Shave(Shave::Elementwise(_)) => Demand { dense_planes: true, ..NONE },
            Self::Shave(Shave::Convert) => Demand { dense_planes: true, dense_channels: true, ..NONE },
            Self::Shave(Shave::Conv("Conv")) => {
                Demand { aligned: false, dense_rows: true, dense_planes: true, dense_channels: true }
            }
            _ => NONE,
        }
    }
}

/// Stages and values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) stages: Vec<Stage>,
    /// Of each stage.
    details: Vec<Detail>,
    pub(crate) values: Vec<Value>,
    /// For each value, those that are parts of it.
    parts: Vec<Ids>,
    /// Values with their copies outside of on-chip memory, where they have one.
    spilled: Vec<(ValueId, ValueId)>,
    /// Whether stages or their connections changed since [`super::flow::Flow::renew`] put them in order.
    pub(crate) changed: bool,
}

impl Graph {
    /// Takes everything away.
    pub(crate) fn clear(&mut self) {
        self.stages.clear();
        self.details.clear();
        self.values.clear();
        self.parts.clear();
        self.spilled.clear();
        self.changed = true;
    }

    pub(crate) fn value(&mut self, shape: Shape) -> ValueId {
        self.values.push(Value {
            shape,
            width: 2,
            usage: Usage::Intermediate,
            producer: None,
            consumers: Ids::new(),
            part: None,
            demand: Demand::default(),
            on_chip: false,
        });
        self.parts.push(Ids::new());
        index(self.values.len() - 1)
    }

    pub(crate) fn stage(
        &mut self,
        kind: Kind,
        node: u32,
        inputs: &[ValueId],
        outputs: &[ValueId],
    ) -> StageId {
        let id = index(self.stages.len());
        self.changed = true;
        for &input in inputs {
            self.values[input as usize].consumers.push(id);
        }
        for &output in outputs {
            self.values[output as usize].producer = Some(id);
        }
        self.stages.push(Stage {
            kind,
            inputs: Ids::from_slice(inputs),
            outputs: Ids::from_slice(outputs),
            removed: false,
            expects_chip: false,
            injected: None,
        });
        self.details.push(Detail { node, suffix: "", grid: [1; 3], coefficients: 0, nce: None, macs: 0 });
        id
    }

    pub(crate) fn at(&self, stage: StageId) -> &Stage {
        &self.stages[stage as usize]
    }

    pub(crate) fn at_mut(&mut self, stage: StageId) -> &mut Stage {
        &mut self.stages[stage as usize]
    }

    pub(crate) fn detail(&self, stage: StageId) -> &Detail {
        &self.details[stage as usize]
    }

    pub(crate) fn detail_mut(&mut self, stage: StageId) -> &mut Detail {
        &mut self.details[stage as usize]
    }

    pub(crate) fn of(&self, value: ValueId) -> &Value {
        &self.values[value as usize]
    }

    pub(crate) fn of_mut(&mut self, value: ValueId) -> &mut Value {
        &mut self.values[value as usize]
    }

    /// A copy of `from` to `to`.
    pub(crate) fn copy(&mut self, node: u32, suffix: &'static str, from: ValueId, to: ValueId) -> StageId {
        let id = self.stage(Kind::Copy { optional: false, spill: false }, node, &[from], &[to]);
        self.detail_mut(id).suffix = suffix;
        id
    }

    /// Lets input `port` of `stage` read `value` instead.
    pub(crate) fn reread(&mut self, stage: StageId, port: usize, value: ValueId) {
        self.changed = true;
        let old = std::mem::replace(&mut self.at_mut(stage).inputs[port], value);
        let consumers = &mut self.of_mut(old).consumers;
        if let Some(at) = consumers.iter().position(|&consumer| consumer == stage) {
            consumers.remove(at);
        }
        self.of_mut(value).consumers.push(stage);
    }

    /// Lets output `port` of `stage` be `value` instead.
    pub(crate) fn rewrite(&mut self, stage: StageId, port: usize, value: ValueId) {
        self.changed = true;
        let old = std::mem::replace(&mut self.at_mut(stage).outputs[port], value);
        self.of_mut(old).producer = None;
        self.of_mut(value).producer = Some(stage);
    }

    /// Cuts a stage off from its values.
    pub(crate) fn remove(&mut self, stage: StageId) {
        self.changed = true;
        let inputs = std::mem::take(&mut self.at_mut(stage).inputs);
        for input in inputs {
            let consumers = &mut self.of_mut(input).consumers;
            if let Some(at) = consumers.iter().position(|&consumer| consumer == stage) {
                consumers.remove(at);
            }
        }
        let outputs = std::mem::take(&mut self.at_mut(stage).outputs);
        for output in outputs {
            self.of_mut(output).producer = None;
        }
        self.at_mut(stage).removed = true;
    }

    /// The value whose buffer `value` is a part of, or the value itself.
    pub(crate) fn top(&self, mut value: ValueId) -> ValueId {
        while let Some(part) = self.of(value).part {
            value = part.of;
        }
        value
    }

    /// Makes `value` a part of `of`.
    pub(crate) fn connect(&mut self, value: ValueId, of: ValueId, through: StageId, writes: bool) {
        self.of_mut(value).part = Some(Part { of, through, writes });
        self.parts[of as usize].push(value);
    }

    /// The values that are parts of `value`.
    pub(crate) fn parts(&self, value: ValueId) -> &Ids {
        &self.parts[value as usize]
    }

    /// Makes `part` a part of `to` that was one of `from`.
    pub(crate) fn reconnect(&mut self, part: ValueId, from: ValueId, to: ValueId, through: StageId) {
        self.parts[from as usize].retain(|other| *other != part);
        self.connect(part, to, through, false);
    }

    /// The copy of `value` outside of on-chip memory, if it has one.
    pub(crate) fn spilled(&self, value: ValueId) -> Option<ValueId> {
        self.spilled.iter().find(|(of, _)| *of == value).map(|&(_, copy)| copy)
    }

    /// Says that `copy` is the copy of `value` outside of on-chip memory.
    pub(crate) fn set_spilled(&mut self, value: ValueId, copy: ValueId) {
        self.spilled.push((value, copy));
    }

    /// Adds the stages that write or read `value` or one of its parts to `users`.
    pub(crate) fn list_users(&self, value: ValueId, users: &mut Concerned) {
        let map = self.of(value);
        users.extend(map.producer.into_iter().chain(map.consumers.iter().copied()));
        for &part in self.parts(value) {
            self.list_users(part, users);
        }
    }

    /// Wants a value and all its parts on chip or not.
    pub(crate) fn place(&mut self, value: ValueId, on_chip: bool) {
        self.of_mut(value).on_chip = on_chip;
        for at in 0..self.parts(value).len() {
            self.place(self.parts(value)[at], on_chip);
        }
    }

    /// Bytes from row to row of the buffer that `value` lies in, and rows of a plane of it.
    fn strides(&self, value: ValueId) -> (usize, usize) {
        let top = self.of(self.top(value));
        (top.row(), top.shape.height)
    }

    /// Whether a map of the shape of `value` in the buffer of `of` would meet `demand`.
    pub(crate) fn meets(&self, value: ValueId, of: ValueId, demand: Demand) -> bool {
        let (row, height) = self.strides(of);
        let (map, whole) = (self.of(value), self.of(self.top(of)));
        let rows_dense = row == map.shape.width * map.width;
        let planes_dense = height == map.shape.height;
        (!demand.aligned || row.is_multiple_of(ROW_ALIGNMENT))
            && (!demand.dense_rows || rows_dense)
            && (!demand.dense_planes || planes_dense)
            && (!demand.dense_channels || (planes_dense && whole.shape.channels == map.shape.channels))
    }
}

/// A place as a number; networks have at most 100,000 nodes, and their tiles are far fewer than 2^32.
pub(crate) fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Graph {
    /// Counts one reading of `value` by `from` as one by `to`, the last of all.
    pub(crate) fn replace_reader(&mut self, value: ValueId, from: StageId, to: StageId) {
        let consumers = &mut self.of_mut(value).consumers;
        if let Some(at) = consumers.iter().rposition(|&consumer| consumer == from) {
            consumers.remove(at);
            consumers.push(to);
        }
    }
}
