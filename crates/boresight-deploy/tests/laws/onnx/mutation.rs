//! Damage to files: of single bytes, and of fields whose surroundings stay whole, so that it reaches the reader's depths.

use boresight_core::Stream;

/// Numbers at which arithmetic ends.
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    3,
    7,
    11,
    127,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// `bytes` with one to four pieces of damage; `other` is a file from which pieces come.
pub(crate) fn mutated(bytes: &[u8], other: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut result = bytes.to_vec();
    for _ in 0..=stream.below(4) {
        result = if stream.chance(0.75) {
            let mut fields = fields(&result).unwrap_or_default();
            change(&mut fields, &self::fields(other).unwrap_or_default(), stream, 0);
            encoded(&fields)
        } else {
            scratched(result, other, stream)
        };
    }
    result
}

/// Bytes changed, removed, doubled or taken from another file, wherever they stand.
fn scratched(mut bytes: Vec<u8>, other: &[u8], stream: &mut Stream) -> Vec<u8> {
    if bytes.is_empty() {
        return vec![0; stream.below(9)];
    }
    let start = stream.below(bytes.len());
    let end = (start + 1 + stream.below(16)).min(bytes.len());
    match stream.below(5) {
        0 => bytes[start] ^= 1 << stream.below(8),
        1 => bytes[start] = [0x00, 0x01, 0x7f, 0x80, 0xff][stream.below(5)],
        2 => drop(bytes.drain(start..end)),
        3 => {
            let piece = bytes[start..end].to_vec();
            bytes.splice(start..start, piece);
        }
        _ => {
            let from = stream.below(other.len().max(1)).min(other.len());
            let piece = other[from..(from + end - start).min(other.len())].to_vec();
            bytes.splice(start..end, piece);
        }
    }
    bytes
}

/// A field of a message: its key, and what stands behind it.
#[derive(Clone)]
struct Field {
    key: u64,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Number(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
}

/// One change, here or further inside.
fn change(fields: &mut Vec<Field>, others: &[Field], stream: &mut Stream, depth: usize) {
    if fields.is_empty() {
        fields.extend(stream.pick(others).cloned());
        return;
    }
    let at = stream.below(fields.len());
    let inside = match &fields[at].content {
        Content::Bytes(bytes) => self::fields(bytes).filter(|fields| !fields.is_empty() && depth < 6),
        _ => None,
    };
    if let Some(mut inner) = inside
        && stream.chance(0.85)
    {
        let same = others.iter().filter(|other| other.key == fields[at].key).collect::<Vec<_>>();
        let other = match stream.pick(&same).map(|field| &field.content) {
            Some(Content::Bytes(bytes)) => self::fields(bytes).unwrap_or_default(),
            _ => inner.clone(),
        };
        change(&mut inner, &other, stream, depth + 1);
        fields[at].content = Content::Bytes(encoded(&inner));
        return;
    }
    match stream.below(7) {
        0 => drop(fields.remove(at)),
        1 => fields.insert(at, fields[at].clone()),
        2 => {
            let to = stream.below(fields.len());
            fields.swap(at, to);
        }
        3 => fields[at].key = fields[at].key.wrapping_add((1 + stream.below(4) as u64) << 3),
        4 => fields.extend(stream.pick(others).cloned()),
        5 => {
            let same = fields.iter().filter(|field| field.key == fields[at].key).collect::<Vec<_>>();
            if let Some(content) = stream.pick(&same).map(|field| field.content.clone()) {
                fields[at].content = content;
            }
        }
        _ => fields[at].content = other_content(&fields[at].content, stream),
    }
}

fn other_content(content: &Content, stream: &mut Stream) -> Content {
    let number = NUMBERS[stream.below(NUMBERS.len())];
    match content {
        Content::Number(old) if stream.chance(0.3) => Content::Number(old ^ 1 << stream.below(6)),
        Content::Number(_) => Content::Number(number),
        Content::Fixed(bytes) => Content::Fixed(number.to_le_bytes()[..bytes.len()].to_vec()),
        Content::Bytes(bytes) => {
            let mut bytes = bytes.clone();
            bytes.truncate(stream.below(bytes.len() + 1));
            Content::Bytes(bytes)
        }
    }
}

/// The fields of a message; `None` where the bytes are none.
fn fields(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let content = match key & 7 {
            0 => Content::Number(varint(&mut bytes)?),
            1 => Content::Fixed(take(&mut bytes, 8)?),
            2 => {
                let length = varint(&mut bytes)?;
                Content::Bytes(take(&mut bytes, usize::try_from(length).ok()?)?)
            }
            5 => Content::Fixed(take(&mut bytes, 4)?),
            _ => return None,
        };
        fields.push(Field { key, content });
    }
    Some(fields)
}

fn take(bytes: &mut &[u8], length: usize) -> Option<Vec<u8>> {
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(part.to_vec())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn encoded(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        number(field.key, &mut bytes);
        match &field.content {
            Content::Number(value) => number(*value, &mut bytes),
            Content::Fixed(fixed) => bytes.extend(fixed),
            Content::Bytes(part) => {
                number(part.len() as u64, &mut bytes);
                bytes.extend(part);
            }
        }
    }
    bytes
}

fn number(mut value: u64, bytes: &mut Vec<u8>) {
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}
