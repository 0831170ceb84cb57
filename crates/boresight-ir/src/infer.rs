//! Shape inference: what an operator makes of its inputs, or the rule that it breaks.

use crate::{Conv2d, Op, Rule, Shape, Window};

/// Rows, columns and channels that a network may have; sizes up to here never overflow an address.
pub(crate) const SIZE_LIMIT: usize = 1 << 16;
/// Values that one feature map may have.
pub(crate) const VALUE_LIMIT: usize = 1 << 30;

/// Shape that `op` makes of `inputs`.
pub(crate) fn infer(op: &Op, inputs: &[Shape]) -> Result<Shape, Rule> {
    let shape = match *op {
        Op::Input => return Err(Rule::InputCount { expected: "no input", found: inputs.len() }),
        Op::Conv2d(conv) => convolve(conv, one(inputs)?)?,
        Op::BatchNorm { epsilon } => {
            number("epsilon", epsilon, epsilon > 0.0 && epsilon.is_finite(), "(0, inf)")?;
            one(inputs)?
        }
        Op::Dropout { rate } => {
            number("rate", rate, (0.0..1.0).contains(&rate), "[0, 1)")?;
            one(inputs)?
        }
        Op::LeakyRelu { slope } => {
            number("slope", slope, slope.is_finite(), "the finite numbers")?;
            one(inputs)?
        }
        Op::Clip { low, high } => {
            number("low", low, low.is_finite(), "the finite numbers")?;
            number("high", high, high.is_finite() && high >= low, "the finite numbers from low up")?;
            one(inputs)?
        }
        Op::ScaleShift | Op::Relu | Op::Relu6 | Op::Gelu | Op::Sigmoid | Op::Softmax => one(inputs)?,
        Op::MaxPool(window) | Op::AvgPool(window) => pool(window, one(inputs)?)?,
        Op::GlobalAvgPool => one(inputs)?.resized(1, 1),
        Op::Upsample { size, .. } => one(inputs)?.resized(size[0], size[1]),
        Op::Concat => concat(inputs)?,
        Op::Add | Op::Mul => alike(inputs)?,
        Op::ChannelScale => channel_scale(inputs)?,
        Op::Slice { start, channels } => slice(start, channels, one(inputs)?)?,
        Op::Pad { rows, columns, .. } => pad(rows, columns, one(inputs)?)?,
        Op::ZeroStuff { stride } => zero_stuff(stride, one(inputs)?)?,
    };
    check(shape)
}

/// `shape`, if it lies within the limits.
pub(crate) fn check(shape: Shape) -> Result<Shape, Rule> {
    size("channels", shape.channels)?;
    size("height", shape.height)?;
    size("width", shape.width)?;
    // Three factors of at most 2^16 cannot overflow 64 bits.
    if shape.len() > VALUE_LIMIT {
        return Err(Rule::Size { what: "number of values", found: shape.len(), limit: VALUE_LIMIT });
    }
    Ok(shape)
}

fn size(what: &'static str, found: usize) -> Result<(), Rule> {
    if (1..=SIZE_LIMIT).contains(&found) {
        Ok(())
    } else {
        Err(Rule::Size { what, found, limit: SIZE_LIMIT })
    }
}

fn number(what: &'static str, found: f32, holds: bool, allowed: &'static str) -> Result<(), Rule> {
    if holds { Ok(()) } else { Err(Rule::Number { what, found: found.to_string(), allowed }) }
}

fn one(inputs: &[Shape]) -> Result<Shape, Rule> {
    match *inputs {
        [input] => Ok(input),
        _ => Err(Rule::InputCount { expected: "one input", found: inputs.len() }),
    }
}

fn two(inputs: &[Shape]) -> Result<[Shape; 2], Rule> {
    <[Shape; 2]>::try_from(inputs)
        .map_err(|_| Rule::InputCount { expected: "two inputs", found: inputs.len() })
}

fn convolve(conv: Conv2d, input: Shape) -> Result<Shape, Rule> {
    size("out_channels", conv.out_channels)?;
    size("groups", conv.groups)?;
    for channels in [input.channels, conv.out_channels] {
        if channels % conv.groups != 0 {
            return Err(Rule::Groups { divisor: conv.groups, channels });
        }
    }
    padding(conv.padding)?;
    // Two factors of at most 2^16 and kernels of at most 2^16 a side fit 64 bits.
    let weights = (input.channels / conv.groups)
        .checked_mul(conv.out_channels)
        .and_then(|count| count.checked_mul(conv.kernel[0]))
        .and_then(|count| count.checked_mul(conv.kernel[1]))
        .unwrap_or(usize::MAX);
    if weights > VALUE_LIMIT {
        return Err(Rule::Size { what: "number of weights", found: weights, limit: VALUE_LIMIT });
    }
    let height = slide(input.height + 2 * conv.padding[0], conv.kernel[0], conv.stride[0])?;
    let width = slide(input.width + 2 * conv.padding[1], conv.kernel[1], conv.stride[1])?;
    Ok(Shape::new(conv.out_channels, height, width))
}

fn padding(sides: [usize; 2]) -> Result<(), Rule> {
    let found = sides[0].max(sides[1]);
    if found > SIZE_LIMIT { Err(Rule::Size { what: "padding", found, limit: SIZE_LIMIT }) } else { Ok(()) }
}

fn pad(rows: [usize; 2], columns: [usize; 2], input: Shape) -> Result<Shape, Rule> {
    padding(rows)?;
    padding(columns)?;
    Ok(input.resized(input.height + rows[0] + rows[1], input.width + columns[0] + columns[1]))
}

fn zero_stuff(stride: [usize; 2], input: Shape) -> Result<Shape, Rule> {
    size("stride", stride[0])?;
    size("stride", stride[1])?;
    // Factors of at most 2^16 fit 64 bits.
    Ok(input.resized((input.height - 1) * stride[0] + 1, (input.width - 1) * stride[1] + 1))
}

fn pool(window: Window, input: Shape) -> Result<Shape, Rule> {
    let height = slide(input.height, window.kernel[0], window.stride[0])?;
    Ok(input.resized(height, slide(input.width, window.kernel[1], window.stride[1])?))
}

fn slide(padded: usize, kernel: usize, stride: usize) -> Result<usize, Rule> {
    size("kernel", kernel)?;
    size("stride", stride)?;
    if kernel > padded {
        Err(Rule::Window { kernel, size: padded })
    } else {
        Ok((padded - kernel) / stride + 1)
    }
}

fn concat(inputs: &[Shape]) -> Result<Shape, Rule> {
    let Some(&first) = inputs.first() else {
        return Err(Rule::InputCount { expected: "at least one input", found: 0 });
    };
    if let Some(&second) = inputs.iter().find(|other| other.with_channels(first.channels) != first) {
        return Err(Rule::Shapes { first, second });
    }
    Ok(first.with_channels(inputs.iter().map(|input| input.channels).sum()))
}

fn alike(inputs: &[Shape]) -> Result<Shape, Rule> {
    let [first, second] = two(inputs)?;
    if first == second { Ok(first) } else { Err(Rule::Shapes { first, second }) }
}

fn channel_scale(inputs: &[Shape]) -> Result<Shape, Rule> {
    let [first, second] = two(inputs)?;
    if second == first.resized(1, 1) { Ok(first) } else { Err(Rule::Shapes { first, second }) }
}

fn slice(start: usize, channels: usize, input: Shape) -> Result<Shape, Rule> {
    let end = start.saturating_add(channels);
    if channels == 0 || end > input.channels {
        return Err(Rule::Channels { start, end, channels: input.channels });
    }
    Ok(input.with_channels(channels))
}
