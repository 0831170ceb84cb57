//! Networks that classify.

use super::build::{Act, Build, Built};
use boresight_ir::{Error, Op};

/// He et al., Deep Residual Learning for Image Recognition, 2015, table 1; stride in the 3x3 convolution.
pub(super) fn resnet50(mut build: Build) -> Result<Built, Error> {
    let mut map = build.conv(build.input(), 64, [7, 2], Act::Relu)?;
    map = build.max_pool(map, 3, 2)?;
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let width = 64 << stage;
        for block in 0..blocks {
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            let mut path = build.conv(map, width, [1, 1], Act::Relu)?;
            path = build.conv(path, width, [3, stride], Act::Relu)?;
            path = build.conv(path, 4 * width, [1, 1], Act::None)?;
            if block == 0 {
                map = build.conv(map, 4 * width, [1, stride], Act::None)?;
            }
            let sum = build.add(Op::Add, &[path, map])?;
            map = build.add(Op::Relu, &[sum])?;
        }
    }
    build.classify(map, 1000)
}

/// Vasu et al., `MobileOne`, 2022, table 2, as it is deployed: one branch a block.
pub(super) fn mobileone_s0(mut build: Build) -> Result<Built, Error> {
    let mut map = build.conv(build.input(), 48, [3, 2], Act::Relu)?;
    for (blocks, width) in [(2, 48), (8, 128), (10, 256), (1, 1024)] {
        for block in 0..blocks {
            map = build.depthwise(map, [3, if block == 0 { 2 } else { 1 }], Act::Relu)?;
            map = build.conv(map, width, [1, 1], Act::Relu)?;
        }
    }
    build.classify(map, 1000)
}
