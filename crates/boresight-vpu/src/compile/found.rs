//! What was found for shapes of layers before: networks of one search space have most of them in common.

use crate::Device;
use crate::axis::Spans;
use crate::nce::{ConvTile, Nce};
use crate::tiling::{Conv, Cut, Rules};
use std::rc::Rc;

/// Slots of a table, a power of two.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 11;

/// How convolutions and poolings are cut by one engine under one set of rules.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The engine, the rules, and the bytes that an output tile may have.
    ground: Option<(Nce, Rules, usize)>,
    convolutions: Memo<Conv, Option<Rc<Cut>>>,
    poolings: Memo<Conv, Option<Rc<[Spans; 2]>>>,
    blocks: Memo<ConvTile, usize>,
}

impl Found {
    /// Forgets what does not hold for `device`.
    pub(crate) fn turn_to(&mut self, device: &Device) {
        let (description, limit) = (device.description(), device.tiling_limit());
        let is_same = self.ground.as_ref().is_some_and(|(nce, rules, known)| {
            *nce == description.nce && *rules == description.tiling && *known == limit
        });
        if !is_same {
            let ground = Some((description.nce.clone(), description.tiling.clone(), limit));
            *self = Self { ground, ..Self::default() };
        }
    }

    /// [`Conv::cut`], for the device turned to.
    pub(crate) fn cut(&mut self, conv: Conv) -> Option<Rc<Cut>> {
        let (nce, rules, limit) = self.ground.as_ref()?;
        self.convolutions.of(conv, numbers(&conv), || conv.cut(nce, rules, *limit).map(Rc::new))
    }

    /// [`Conv::cut_pool`], for the device turned to.
    pub(crate) fn cut_pool(&mut self, conv: Conv) -> Option<Rc<[Spans; 2]>> {
        let (nce, rules, limit) = self.ground.as_ref()?;
        self.poolings.of(conv, numbers(&conv), || conv.cut_pool(nce, rules, *limit).map(Rc::new))
    }

    /// What `find` says of blocks of channels for a convolution, given whole, of each channel by itself.
    pub(crate) fn block(&mut self, whole: ConvTile, find: impl FnOnce() -> usize) -> usize {
        let ConvTile { in_channels, out_channels, height, width, kernel: [rows, columns], stride } = whole;
        self.blocks.of(whole, [in_channels, out_channels, height, width, rows, columns, stride, 0], find)
    }
}

/// What tells convolutions apart, as far as they are to have slots of their own.
const fn numbers(conv: &Conv) -> [usize; 8] {
    let Conv { in_channels, out_channels, height, width, kernel, stride, padding, .. } = *conv;
    [in_channels, out_channels, height, width, kernel[0], kernel[1], stride, padding[0]]
}

/// Values by key. Each key has one slot, which holds the last of those that share it, so that the table never grows.
#[derive(Debug)]
struct Memo<K, V>(Vec<Option<(K, V)>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + PartialEq, V: Clone> Memo<K, V> {
    /// What `find` said of `key`, whose slot follows from its `numbers`.
    fn of(&mut self, key: K, numbers: [usize; 8], find: impl FnOnce() -> V) -> V {
        if self.0.is_empty() {
            self.0.resize_with(SLOTS, || None);
        }
        let slot = &mut self.0[slot(numbers)];
        match slot {
            Some((known, value)) if *known == key => value.clone(),
            _ => slot.insert((key, find())).1.clone(),
        }
    }
}

/// The upper bits of a sum of products with odd numbers, which small differences of the factors spread over all slots.
fn slot(numbers: [usize; 8]) -> usize {
    const FACTORS: [u64; 8] = [
        0x9e37_79b9_7f4a_7c15,
        0xc2b2_ae3d_27d4_eb4f,
        0x1656_67b1_9e37_79f9,
        0x85eb_ca77_c2b2_ae63,
        0x27d4_eb2f_1656_67c5,
        0xd6e8_feb8_6659_fd93,
        0xa076_1d64_78bd_642f,
        0xe703_7ed1_a0b4_28db,
    ];
    let products = numbers.iter().zip(FACTORS).map(|(&number, factor)| (number as u64).wrapping_mul(factor));
    let mixed = products.fold(0, u64::wrapping_add);
    usize::try_from(mixed >> (u64::BITS - SLOT_BITS)).unwrap_or(0)
}
