//! Vector registers of `f32`, one type for each instruction set, and the jump to the set a processor has.

use crate::dispatch::{Level, Version};
use std::ops::Range;

/// A vector of `f32` lanes.
///
/// # Safety
/// Every function needs the instruction set of the implementing type, as [`launch`] guarantees it. Pointers must
/// be valid for `WIDTH` values, or for the named lanes where a range of lanes is given.
pub(super) trait Lanes: Copy {
    /// Lanes of a vector.
    const WIDTH: usize;
    /// Channels of the tallest tile that the registers hold.
    const ROWS: usize;
    /// Vectors per channel of a tile of four channels.
    const COLUMNS_OF_FOUR: usize;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// Reads lanes `lanes` from `from + lane`; the others are zero.
    unsafe fn load_part(from: *const f32, lanes: Range<usize>) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Writes lanes `lanes` to `to + lane`.
    unsafe fn store_part(self, to: *mut f32, lanes: Range<usize>);
    /// Writes the even lanes among `lanes` to `to + lane`.
    unsafe fn store_even(self, to: *mut f32, lanes: Range<usize>);
    /// The even lanes of `self`, then those of `next`.
    unsafe fn evens(self, next: Self) -> Self;
    /// Two vectors whose even lanes are the lanes of `self`; the odd ones hold anything.
    unsafe fn spread(self) -> [Self; 2];
    /// Lane `i` of each of the four vectors in turn, for all lanes `i`, as four vectors that follow each other.
    unsafe fn interleave(parts: [Self; 4]) -> [Self; 4];
    /// Writes lane `i` of the vector at `from + j * row` to lane `j` of the vector at `to + i * column`, for all `i`, `j`.
    unsafe fn transpose(from: *const f32, row: usize, to: *mut f32, column: usize);
    /// Transposes as many vectors as a vector has lanes, which follow each other at `block`.
    #[inline(always)]
    unsafe fn transpose_in_place(block: *mut f32) {
        // SAFETY: the caller vouches for the block; everything is read before anything is written.
        unsafe { Self::transpose(block, Self::WIDTH, block, Self::WIDTH) }
    }
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * factor + sum`, rounded once.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    unsafe fn round_f16(self) -> Self;
    /// Magnitudes below `least` become zero with their sign.
    unsafe fn flush(self, least: f32) -> Self;
    /// Magnitudes beyond `most` become `most` with their sign.
    unsafe fn saturate(self, most: f32) -> Self;
    /// Sum over the lanes, in an order fixed for the type.
    unsafe fn total(self) -> f32;
    /// Sums over the lanes of the sixteen vectors that follow each other at `from`.
    #[inline(always)]
    unsafe fn totals(from: *const f32) -> [f32; 16] {
        // SAFETY: the caller's pointer is valid for sixteen vectors.
        std::array::from_fn(|vector| unsafe { Self::load(from.add(vector * Self::WIDTH)).total() })
    }
}

/// Work that is written once for all vector types.
pub(super) trait Job {
    /// Does the work.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`.
    unsafe fn run<V: Lanes>(self);
}

/// Runs `job` with the vectors of `version`.
pub(super) fn launch(version: Version, job: impl Job) {
    match version.level() {
        // SAFETY: the portable vectors need no particular instruction set.
        Level::Portable => unsafe { job.run::<Quad>() },
        // SAFETY: a `Version` of this level exists only where the processor has these features.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::launch_avx2(job) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::launch_avx512(job) },
    }
}

/// Copies `from` to `to`, slices of one length, without calling out for a few values.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn copy<V: Lanes>(from: &[f32], to: &mut [f32]) {
    let (from, length, to) = (&from[..to.len()], to.len(), to);
    // SAFETY: all vectors and lanes lie within the two slices.
    unsafe {
        if length < V::WIDTH {
            V::load_part(from.as_ptr(), 0..length).store_part(to.as_mut_ptr(), 0..length);
            return;
        }
        for start in (0..length - V::WIDTH).step_by(V::WIDTH) {
            V::load(from.as_ptr().add(start)).store(to.as_mut_ptr().add(start));
        }
        let last = length - V::WIDTH;
        V::load(from.as_ptr().add(last)).store(to.as_mut_ptr().add(last));
    }
}

/// Copies every second value of `from`, beginning with the first, until `to` is full.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(super) unsafe fn copy_even<V: Lanes>(from: &[f32], to: &mut [f32]) {
    let from = &from[..2 * to.len() - 1];
    for (to, from) in to.chunks_mut(V::WIDTH).zip(from.chunks(2 * V::WIDTH)) {
        // SAFETY: the lanes lie within the two chunks.
        unsafe {
            if from.len() == 2 * V::WIDTH {
                let high = V::load(from.as_ptr().add(V::WIDTH));
                V::load(from.as_ptr()).evens(high).store(to.as_mut_ptr());
                continue;
            }
            let middle = from.len().min(V::WIDTH);
            let low = V::load_part(from.as_ptr(), 0..middle);
            let high = V::load_part(from.as_ptr().add(middle), 0..from.len() - middle);
            low.evens(high).store_part(to.as_mut_ptr(), 0..to.len());
        }
    }
}

/// Four lanes in plain Rust.
#[derive(Clone, Copy)]
pub(super) struct Quad([f32; 4]);

impl Lanes for Quad {
    const WIDTH: usize = 4;
    const ROWS: usize = 4;
    const COLUMNS_OF_FOUR: usize = 3;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for four values.
        Self(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, lanes: Range<usize>) -> Self {
        let mut values = [0.0; 4];
        for lane in lanes {
            // SAFETY: the caller's pointer is valid at the named lanes.
            values[lane] = unsafe { *from.wrapping_add(lane) };
        }
        Self(values)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's pointer is valid for four values.
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, lanes: Range<usize>) {
        for lane in lanes {
            // SAFETY: the caller's pointer is valid at the named lanes.
            unsafe { *to.wrapping_add(lane) = self.0[lane] };
        }
    }

    #[inline(always)]
    unsafe fn store_even(self, to: *mut f32, lanes: Range<usize>) {
        for lane in lanes.filter(|lane| lane % 2 == 0) {
            // SAFETY: the caller's pointer is valid at the named lanes.
            unsafe { *to.wrapping_add(lane) = self.0[lane] };
        }
    }

    #[inline(always)]
    unsafe fn evens(self, next: Self) -> Self {
        Self([self.0[0], self.0[2], next.0[0], next.0[2]])
    }

    #[inline(always)]
    unsafe fn spread(self) -> [Self; 2] {
        let [a, b, c, d] = self.0;
        [Self([a, a, b, b]), Self([c, c, d, d])]
    }

    #[inline(always)]
    unsafe fn interleave(parts: [Self; 4]) -> [Self; 4] {
        std::array::from_fn(|lane| Self(parts.map(|part| part.0[lane])))
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, row: usize, to: *mut f32, column: usize) {
        // SAFETY: the caller vouches for the places.
        unsafe {
            let lines = [0, 1, 2, 3].map(|line| Self::load(from.add(line * row)));
            for (line, values) in Self::interleave(lines).into_iter().enumerate() {
                values.store(to.add(line * column));
            }
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] - other.0[lane]))
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].mul_add(factor.0[lane], sum.0[lane])))
    }

    #[inline(always)]
    unsafe fn round_f16(self) -> Self {
        Self(self.0.map(boresight_numerics::round_f16))
    }

    #[inline(always)]
    unsafe fn flush(self, least: f32) -> Self {
        Self(self.0.map(|lane| if lane.abs() < least { 0.0_f32.copysign(lane) } else { lane }))
    }

    #[inline(always)]
    unsafe fn saturate(self, most: f32) -> Self {
        Self(self.0.map(|lane| if lane.abs() > most { most.copysign(lane) } else { lane }))
    }

    #[inline(always)]
    unsafe fn total(self) -> f32 {
        (self.0[0] + self.0[2]) + (self.0[1] + self.0[3])
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #![allow(clippy::wildcard_imports, reason = "one prefix names the instructions")]
    #![expect(clippy::inline_always, reason = "vectors must take on their caller's instruction set")]
    #![expect(clippy::needless_range_loop, reason = "plain loops over constant ranges are unrolled")]

    use super::{Job, Lanes};
    use std::arch::x86_64::*;
    use std::ops::Range;

    const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT;

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn launch_avx2(job: impl Job) {
        // SAFETY: this function runs only where the features are there.
        unsafe { job.run::<__m256>() }
    }

    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn launch_avx512(job: impl Job) {
        // SAFETY: this function runs only where the features are there.
        unsafe { job.run::<__m512>() }
    }

    /// All bits set in the lanes `lanes`, as the masked moves of AVX2 want it.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn mask256(lanes: Range<usize>) -> __m256i {
        let mask: [i32; 8] = std::array::from_fn(|lane| if lanes.contains(&lane) { -1 } else { 0 });
        // SAFETY: the array holds the 256 bits that are read.
        unsafe { _mm256_loadu_si256(mask.as_ptr().cast()) }
    }

    impl Lanes for __m256 {
        const WIDTH: usize = 8;
        const ROWS: usize = 4;
        const COLUMNS_OF_FOUR: usize = 3;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe { _mm256_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: instruction set and pointer are the caller's duty.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn load_part(from: *const f32, lanes: Range<usize>) -> Self {
            // SAFETY: as above; lanes outside the mask are not read.
            unsafe { _mm256_maskload_ps(from, mask256(lanes)) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: instruction set and pointer are the caller's duty.
            unsafe { _mm256_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, lanes: Range<usize>) {
            // SAFETY: as above; lanes outside the mask are not written.
            unsafe { _mm256_maskstore_ps(to, mask256(lanes), self) }
        }

        #[inline(always)]
        unsafe fn store_even(self, to: *mut f32, lanes: Range<usize>) {
            // SAFETY: instruction set and pointer are the caller's duty; lanes outside the mask are not written.
            unsafe {
                let even = _mm256_setr_epi32(-1, 0, -1, 0, -1, 0, -1, 0);
                _mm256_maskstore_ps(to, _mm256_and_si256(mask256(lanes), even), self);
            }
        }

        #[inline(always)]
        unsafe fn evens(self, next: Self) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe {
                let mixed = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(self, next));
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(mixed))
            }
        }

        #[inline(always)]
        unsafe fn spread(self) -> [Self; 2] {
            // SAFETY: the instruction set is the caller's duty.
            unsafe {
                let low = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
                let high = _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7);
                [_mm256_permutevar8x32_ps(self, low), _mm256_permutevar8x32_ps(self, high)]
            }
        }

        #[inline(always)]
        unsafe fn interleave([a, b, c, d]: [Self; 4]) -> [Self; 4] {
            // SAFETY: the instruction set is the caller's duty.
            unsafe {
                let pairs = [
                    _mm256_castps_pd(_mm256_unpacklo_ps(a, b)),
                    _mm256_castps_pd(_mm256_unpackhi_ps(a, b)),
                    _mm256_castps_pd(_mm256_unpacklo_ps(c, d)),
                    _mm256_castps_pd(_mm256_unpackhi_ps(c, d)),
                ];
                // Each of these holds lane i and lane i + 4 of all four.
                let first = _mm256_castpd_ps(_mm256_unpacklo_pd(pairs[0], pairs[2]));
                let second = _mm256_castpd_ps(_mm256_unpackhi_pd(pairs[0], pairs[2]));
                let third = _mm256_castpd_ps(_mm256_unpacklo_pd(pairs[1], pairs[3]));
                let fourth = _mm256_castpd_ps(_mm256_unpackhi_pd(pairs[1], pairs[3]));
                [
                    _mm256_permute2f128_ps::<0x20>(first, second),
                    _mm256_permute2f128_ps::<0x20>(third, fourth),
                    _mm256_permute2f128_ps::<0x31>(first, second),
                    _mm256_permute2f128_ps::<0x31>(third, fourth),
                ]
            }
        }

        #[inline(always)]
        unsafe fn transpose(from: *const f32, row: usize, to: *mut f32, column: usize) {
            // SAFETY: instruction set and places are the caller's duty.
            unsafe {
                let line = |line: usize| Self::load(from.add(line * row));
                // Quarter `k` of these holds values 2k and 2k + 1 of every second line.
                let even = Self::interleave([line(0), line(2), line(4), line(6)]);
                let odd = Self::interleave([line(1), line(3), line(5), line(7)]);
                for quarter in 0..4 {
                    let low = _mm256_unpacklo_ps(even[quarter], odd[quarter]);
                    let high = _mm256_unpackhi_ps(even[quarter], odd[quarter]);
                    let to = to.add(2 * quarter * column);
                    _mm256_permute2f128_ps::<0x20>(low, high).store(to);
                    _mm256_permute2f128_ps::<0x31>(low, high).store(to.add(column));
                }
            }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe { _mm256_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe { _mm256_sub_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe { _mm256_fmadd_ps(self, factor, sum) }
        }

        #[inline(always)]
        unsafe fn round_f16(self) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe { _mm256_cvtph_ps(_mm256_cvtps_ph::<NEAREST>(self)) }
        }

        #[inline(always)]
        unsafe fn flush(self, least: f32) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe {
                let sign = _mm256_set1_ps(-0.0);
                // NaN is not below anything, and stays.
                let below = _mm256_cmp_ps::<_CMP_LT_OQ>(_mm256_andnot_ps(sign, self), Self::splat(least));
                _mm256_blendv_ps(self, _mm256_and_ps(sign, self), below)
            }
        }

        #[inline(always)]
        unsafe fn saturate(self, most: f32) -> Self {
            // SAFETY: the instruction set is the caller's duty. Of a number and NaN both take their second operand.
            unsafe { _mm256_max_ps(Self::splat(-most), _mm256_min_ps(Self::splat(most), self)) }
        }

        #[inline(always)]
        unsafe fn total(self) -> f32 {
            // SAFETY: the instruction set is the caller's duty.
            unsafe {
                let quad = _mm_add_ps(_mm256_castps256_ps128(self), _mm256_extractf128_ps::<1>(self));
                let pair = _mm_add_ps(quad, _mm_movehl_ps(quad, quad));
                _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
            }
        }
    }

    /// The bits `lanes` of a mask register.
    #[inline(always)]
    fn mask512(lanes: Range<usize>) -> __mmask16 {
        let below = |lane: usize| (1_u32 << lane) - 1;
        #[expect(clippy::cast_possible_truncation, reason = "a vector has sixteen lanes")]
        let mask = (below(lanes.end) & !below(lanes.start)) as __mmask16;
        mask
    }

    impl Lanes for __m512 {
        const WIDTH: usize = 16;
        const ROWS: usize = 8;
        const COLUMNS_OF_FOUR: usize = 6;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: instruction set and pointer are the caller's duty.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn load_part(from: *const f32, lanes: Range<usize>) -> Self {
            // SAFETY: as above; lanes outside the mask are not read.
            unsafe { _mm512_maskz_loadu_ps(mask512(lanes), from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: instruction set and pointer are the caller's duty.
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn store_part(self, to: *mut f32, lanes: Range<usize>) {
            // SAFETY: as above; lanes outside the mask are not written.
            unsafe { _mm512_mask_storeu_ps(to, mask512(lanes), self) }
        }

        #[inline(always)]
        unsafe fn store_even(self, to: *mut f32, lanes: Range<usize>) {
            // SAFETY: instruction set and pointer are the caller's duty; lanes outside the mask are not written.
            unsafe { _mm512_mask_storeu_ps(to, mask512(lanes) & 0x5555, self) }
        }

        #[inline(always)]
        unsafe fn evens(self, next: Self) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe {
                let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
                _mm512_permutex2var_ps(self, even, next)
            }
        }

        #[inline(always)]
        unsafe fn spread(self) -> [Self; 2] {
            // SAFETY: the instruction set is the caller's duty.
            unsafe {
                let low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
                let high = _mm512_setr_epi32(8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15);
                [_mm512_permutexvar_ps(low, self), _mm512_permutexvar_ps(high, self)]
            }
        }

        #[inline(always)]
        unsafe fn interleave([a, b, c, d]: [Self; 4]) -> [Self; 4] {
            // SAFETY: the instruction set is the caller's duty.
            unsafe {
                let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
                let first = _mm512_castps_pd(_mm512_permutex2var_ps(a, low, b));
                let second = _mm512_castps_pd(_mm512_permutex2var_ps(a, high, b));
                let third = _mm512_castps_pd(_mm512_permutex2var_ps(c, low, d));
                let fourth = _mm512_castps_pd(_mm512_permutex2var_ps(c, high, d));
                let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
                let high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
                [
                    _mm512_castpd_ps(_mm512_permutex2var_pd(first, low, third)),
                    _mm512_castpd_ps(_mm512_permutex2var_pd(first, high, third)),
                    _mm512_castpd_ps(_mm512_permutex2var_pd(second, low, fourth)),
                    _mm512_castpd_ps(_mm512_permutex2var_pd(second, high, fourth)),
                ]
            }
        }

        #[inline(always)]
        unsafe fn transpose(from: *const f32, row: usize, to: *mut f32, column: usize) {
            // SAFETY: instruction set and places are the caller's duty.
            unsafe {
                let mut fours = [[_mm512_setzero_ps(); 4]; 4];
                for first in 0..4 {
                    fours[first] = Self::interleave([
                        Self::load(from.add(first * row)),
                        Self::load(from.add((first + 4) * row)),
                        Self::load(from.add((first + 8) * row)),
                        Self::load(from.add((first + 12) * row)),
                    ]);
                }
                for four in 0..4 {
                    let lines =
                        Self::interleave([fours[0][four], fours[1][four], fours[2][four], fours[3][four]]);
                    for line in 0..4 {
                        lines[line].store(to.add((4 * four + line) * column));
                    }
                }
            }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe { _mm512_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe { _mm512_sub_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe { _mm512_fmadd_ps(self, factor, sum) }
        }

        #[inline(always)]
        unsafe fn round_f16(self) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe { _mm512_cvtph_ps(_mm512_cvtps_ph::<NEAREST>(self)) }
        }

        #[inline(always)]
        unsafe fn flush(self, least: f32) -> Self {
            // SAFETY: the instruction set is the caller's duty.
            unsafe {
                let sign = _mm512_set1_ps(-0.0);
                // NaN is not below anything, and stays.
                let magnitude = _mm512_andnot_ps(sign, self);
                let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(magnitude, Self::splat(least));
                _mm512_mask_and_ps(self, below, sign, self)
            }
        }

        #[inline(always)]
        unsafe fn saturate(self, most: f32) -> Self {
            // SAFETY: the instruction set is the caller's duty. Of a number and NaN both take their second operand.
            unsafe { _mm512_max_ps(Self::splat(-most), _mm512_min_ps(Self::splat(most), self)) }
        }

        #[inline(always)]
        unsafe fn total(self) -> f32 {
            // SAFETY: the instruction set is the caller's duty.
            unsafe {
                let upper = _mm512_extractf32x8_ps::<1>(self);
                _mm256_add_ps(_mm512_castps512_ps256(self), upper).total()
            }
        }

        #[inline(always)]
        unsafe fn totals(from: *const f32) -> [f32; 16] {
            // SAFETY: instruction set and pointer are the caller's duty.
            unsafe {
                let quarters = |first: usize| {
                    let load = |vector: usize| Self::load(from.add((first + vector) * Self::WIDTH));
                    fold_quarters(fold_quarters(load(0), load(1)), fold_quarters(load(2), load(3)))
                };
                let low = fold_pairs(quarters(0), quarters(4));
                let high = fold_pairs(quarters(8), quarters(12));
                let mut sums = [0.0; 16];
                fold_pairs(low, high).store(sums.as_mut_ptr());
                // Vector 4 i + j ended in lane 4 j + i.
                std::array::from_fn(|vector| sums[vector % 4 * 4 + vector / 4])
            }
        }
    }

    /// The four quarters of `a` and of `b`, added two by two.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn fold_quarters(a: __m512, b: __m512) -> __m512 {
        let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
        _mm512_add_ps(even, _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b))
    }

    /// The four lanes of each quarter of `a` and of `b`, added two by two.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn fold_pairs(a: __m512, b: __m512) -> __m512 {
        let even = _mm512_shuffle_ps::<0b10_00_10_00>(a, b);
        _mm512_add_ps(even, _mm512_shuffle_ps::<0b11_01_11_01>(a, b))
    }
}
