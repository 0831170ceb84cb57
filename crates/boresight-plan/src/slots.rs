//! Buffers with planned lifetimes.

/// Hands out buffers and takes them back; a buffer is as large as the largest tensor that ever lies in it.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    sizes: Vec<usize>,
    free: Vec<usize>,
}

impl Slots {
    /// A free buffer for `len` values: the smallest that fits, or else the largest, which grows.
    pub(crate) fn take(&mut self, len: usize) -> usize {
        let fits = |&slot: &usize| self.sizes[slot] >= len;
        let best = self.free.iter().copied().filter(fits).min_by_key(|&slot| (self.sizes[slot], slot));
        let best = best.or_else(|| self.free.iter().copied().max_by_key(|&slot| (self.sizes[slot], slot)));
        let Some(slot) = best else {
            self.sizes.push(len);
            return self.sizes.len() - 1;
        };
        self.free.retain(|&other| other != slot);
        self.sizes[slot] = self.sizes[slot].max(len);
        slot
    }

    /// Takes a buffer back.
    pub(crate) fn release(&mut self, slot: usize) {
        self.free.push(slot);
    }

    /// Values of each buffer.
    pub(crate) fn into_sizes(self) -> Vec<usize> {
        self.sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_two_live_tensors_share_a_buffer_and_each_fits(moves in proptest::collection::vec((0_usize..50, any::<bool>()), 1..60)) {
            let mut slots = Slots::default();
            let mut live: Vec<(usize, usize)> = Vec::new();
            let mut taken = Vec::new();
            for (number, release) in moves {
                if release && !live.is_empty() {
                    slots.release(live.swap_remove(number % live.len()).0);
                } else {
                    let slot = slots.take(number);
                    prop_assert!(live.iter().all(|(other, _)| *other != slot));
                    live.push((slot, number));
                    taken.push((slot, number));
                }
            }
            let sizes = slots.into_sizes();
            prop_assert!(taken.iter().all(|&(slot, len)| sizes[slot] >= len));
        }
    }
}
