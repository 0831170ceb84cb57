//! The parts of a file, counted before anything is made of them.
//!
//! Two bytes are enough for an empty node or a name, which then take a hundred times that in memory. So the parts are
//! counted first, on the bytes themselves; only a file within the limit is decoded.

use crate::onnx::Error;

/// What a length-delimited field holds.
#[derive(Clone, Copy)]
enum Content {
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// A part without parts: a name, a dimension, a pair.
    Leaf,
    /// Text, numbers, or what is not decoded.
    Plain,
}

/// Checks that `bytes` are a protobuf message whose parts, nested as in a model, are at most `limit`.
pub(super) fn survey(bytes: &[u8], limit: usize) -> Result<(), Error> {
    let mut left = limit;
    walk(bytes, model_field, &mut left).map_err(|fault| match fault {
        Fault::Damaged(reason) => Error::Damaged { reason: reason.to_owned() },
        Fault::TooMany => Error::TooLarge { what: "parts", limit },
    })
}

enum Fault {
    Damaged(&'static str),
    TooMany,
}

fn walk(mut bytes: &[u8], content: fn(u64) -> Content, left: &mut usize) -> Result<(), Fault> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => {
                varint(&mut bytes)?;
            }
            1 => {
                take(&mut bytes, 8)?;
            }
            2 => {
                let length = varint(&mut bytes)?;
                let part = take(&mut bytes, length)?;
                enter(part, content(key >> 3), left)?;
            }
            5 => {
                take(&mut bytes, 4)?;
            }
            _ => return Err(Fault::Damaged("a field of unknown wire type")),
        }
    }
    Ok(())
}

fn enter(part: &[u8], content: Content, left: &mut usize) -> Result<(), Fault> {
    if !matches!(content, Content::Plain) {
        *left = left.checked_sub(1).ok_or(Fault::TooMany)?;
    }
    let fields = match content {
        Content::Graph => graph_field,
        Content::Node => node_field,
        Content::Attribute => attribute_field,
        Content::Tensor => tensor_field,
        Content::ValueInfo => value_info_field,
        Content::Type => type_field,
        Content::TensorType => tensor_type_field,
        Content::Shape => shape_field,
        Content::Leaf | Content::Plain => return Ok(()),
    };
    walk(part, fields, left)
}

const fn model_field(number: u64) -> Content {
    match number {
        7 => Content::Graph,
        8 | 14 => Content::Leaf,
        _ => Content::Plain,
    }
}

const fn graph_field(number: u64) -> Content {
    match number {
        1 => Content::Node,
        5 => Content::Tensor,
        11..=13 => Content::ValueInfo,
        _ => Content::Plain,
    }
}

const fn node_field(number: u64) -> Content {
    match number {
        1 | 2 => Content::Leaf,
        5 => Content::Attribute,
        _ => Content::Plain,
    }
}

const fn attribute_field(number: u64) -> Content {
    match number {
        5 => Content::Tensor,
        11 => Content::Leaf,
        _ => Content::Plain,
    }
}

const fn tensor_field(number: u64) -> Content {
    if number == 13 { Content::Leaf } else { Content::Plain }
}

const fn value_info_field(number: u64) -> Content {
    if number == 2 { Content::Type } else { Content::Plain }
}

const fn type_field(number: u64) -> Content {
    if number == 1 { Content::TensorType } else { Content::Plain }
}

const fn tensor_type_field(number: u64) -> Content {
    if number == 2 { Content::Shape } else { Content::Plain }
}

const fn shape_field(number: u64) -> Content {
    if number == 1 { Content::Leaf } else { Content::Plain }
}

fn take<'bytes>(bytes: &mut &'bytes [u8], length: u64) -> Result<&'bytes [u8], Fault> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (part, rest) = bytes.split_at_checked(length).ok_or(Fault::Damaged("a field is cut off"))?;
    *bytes = rest;
    Ok(part)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&first, rest) = bytes.split_first().ok_or(Fault::Damaged("a number is cut off"))?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Fault::Damaged("a number has too many bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length-delimited field.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        bytes.extend(content);
        bytes
    }

    #[test]
    fn parts_are_counted_where_they_would_be_decoded() {
        let node = field(1, &[field(1, b"x"), field(2, b"y"), field(5, &[])].concat());
        let graph = field(7, &[node.clone(), node].concat());
        assert_eq!(survey(&graph, 9), Ok(()));
        assert_eq!(survey(&graph, 8), Err(Error::TooLarge { what: "parts", limit: 8 }));
        // A node at the top is no node: the field is skipped.
        assert_eq!(survey(&field(1, &field(1, b"x")), 0), Ok(()));
    }

    #[test]
    fn cut_files_are_damaged() {
        let bytes = field(7, &field(1, b"1234"));
        for end in 1..bytes.len() {
            assert!(matches!(survey(&bytes[..end], 9), Err(Error::Damaged { .. })), "{end}");
        }
        assert!(matches!(survey(&[0xff; 11], 9), Err(Error::Damaged { .. })));
        assert!(matches!(survey(&[0x3b], 9), Err(Error::Damaged { .. })));
    }
}
