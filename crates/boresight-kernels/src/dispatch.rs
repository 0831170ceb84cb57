//! One source per kernel, compiled for several instruction sets and chosen at run time.
//!
//! The results of all versions are bit-equal, because a kernel's source fixes the order of its operations:
//! explicit `f32::mul_add` chains, lanes that hold different results, no reassociation.

/// An instruction set that this processor has.
///
/// Only this module makes one, after asking the processor: holding a value proves that its code may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(Level);

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// What the target of the build guarantees.
    Portable,
    /// 256-bit vectors with fused multiply-add and binary16 conversion.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Version {
    /// The fastest version that this processor runs.
    #[inline]
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx512() {
                return Self(Level::Avx512);
            }
            if has_avx2() {
                return Self(Level::Avx2);
            }
        }
        Self(Level::Portable)
    }

    /// Every version that this processor runs, the portable one first.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut versions = vec![Self(Level::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            versions.extend(has_avx2().then_some(Self(Level::Avx2)));
            versions.extend(has_avx512().then_some(Self(Level::Avx512)));
        }
        versions
    }

    /// The instruction set, to branch on.
    #[inline]
    pub(crate) fn level(self) -> Level {
        self.0
    }
}

/// Whether the features that `dispatch!` enables for [`Level::Avx2`] are there.
#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// Whether the features that `dispatch!` enables for [`Level::Avx512`] are there.
#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// Compiles one function body for every instruction set and picks by a leading `version` argument.
///
/// `dispatch! { fn name(x: &[f32], y: &mut [f32]) { .. } }` declares `fn name(version: Version, x: .., y: ..)`.
/// Functions that the body calls must be `#[inline]` (better `#[inline(always)]`) to be compiled along with it.
macro_rules! dispatch {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block
    ) => {
        $(#[$meta])*
        $vis fn $name(version: $crate::dispatch::Version, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }

            match version.level() {
                $crate::dispatch::Level::Portable => body($($arg),*),
                // SAFETY: a `Version` of this level exists only where the processor has these features.
                #[cfg(target_arch = "x86_64")]
                $crate::dispatch::Level::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::dispatch::Level::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    dispatch! {
        fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = a.mul_add(x, *y);
            }
        }
    }

    #[test]
    fn every_version_gives_the_same_bits() {
        let x: Vec<f32> = (0..37_u8).map(|i| (f32::from(i) * 0.37).sin()).collect();
        let expected: Vec<u32> = x.iter().map(|&x| 0.1f32.mul_add(x, 1.0).to_bits()).collect();
        for version in Version::all() {
            let mut y = vec![1.0; x.len()];
            axpy(version, 0.1, &x, &mut y);
            assert_eq!(y.iter().map(|y| y.to_bits()).collect::<Vec<_>>(), expected, "{version:?}");
        }
        assert!(Version::all().contains(&Version::best()));
    }
}
