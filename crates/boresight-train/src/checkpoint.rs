//! Weights as safetensors files.

use crate::Error;
use boresight_ir::{Network, Weights};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::Path;

/// The bytes of a safetensors file with every tensor of `weights` under its slot's name, and `metadata`.
///
/// # Errors
/// When the format cannot take them.
pub fn to_safetensors(weights: &Weights, metadata: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
    let bytes: Vec<u8> = weights.values().iter().flat_map(|value| value.to_le_bytes()).collect();
    let width = size_of::<f32>();
    let damaged = |source| Error::Safetensors { path: "memory".into(), source };
    let views = weights
        .layout()
        .slots()
        .iter()
        .map(|slot| {
            let data = &bytes[slot.range.start * width..slot.range.end * width];
            Ok((slot.name.as_str(), TensorView::new(Dtype::F32, slot.shape.clone(), data).map_err(damaged)?))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let metadata: HashMap<String, String> =
        metadata.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    safetensors::serialize(views, Some(metadata)).map_err(damaged)
}

/// The weights of `network` from a safetensors file that [`to_safetensors`] made.
///
/// # Errors
/// When the file cannot be read, is damaged, or lacks a tensor of the network.
pub fn read_weights(path: &Path, network: &Network) -> Result<Weights, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.into(), source })?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|source| Error::Safetensors { path: path.into(), source })?;
    let mut values = vec![0.0; network.layout().len()];
    for slot in network.layout().slots() {
        let missing =
            || Error::Tensor { path: path.into(), tensor: slot.name.clone(), shape: slot.shape.clone() };
        let tensor = file.tensor(&slot.name).map_err(|_| missing())?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != slot.shape {
            return Err(missing());
        }
        let floats = tensor.data().as_chunks::<4>().0;
        for (value, &bytes) in values[slot.range.clone()].iter_mut().zip(floats) {
            *value = f32::from_le_bytes(bytes);
        }
    }
    Ok(Weights::from_values(network, values)?)
}
