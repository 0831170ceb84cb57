#![doc = include_str!("../README.md")]

mod axis;
mod compile;
mod device;
mod error;
mod fuse;
mod lower;
mod model;
pub mod nce;
pub mod tiling;

pub use device::{Cmx, Description, Device, Link, Rates, Resources, Transfer};
pub use error::{Error, Limit};
pub use lower::{Stage, Unit, Work, lower};
pub use model::{StageRow, Vpu};
#[doc(hidden)]
pub fn scratch(network: &boresight_ir::Network, device: &Device) -> String { 
    use compile::*;
    use std::fmt::Write as _;
    let mut t = String::new();
    match compile::compile(network, device) {
        Err(node) => { writeln!(t, "ERR {node}").unwrap(); }
        Ok(c) => {
            writeln!(t, "MEM {} {}", c.memory.on_chip_peak(), c.memory.external_peak()).unwrap();
            for &id in &c.order {
                let s = c.graph.at(id);
                let mut emit = |s: &compile::StageX| {
                let name = &network.nodes()[s.node as usize].name;
                let (unit, ty, mode, d, cost) = match s.kind {
                    Kind::Conv { nce, pooled } => ("NCE", if pooled {"CONV_POOL"} else {"CONV"}, nce.mode.to_string(), nce.descriptors as i64, nce.cost as i64),
                    Kind::Pool => ("NCE", "POOL", "MODE_16_16".into(), c.graph.of(s.inputs[0]).shape.channels.div_ceil(16) as i64, -1),
                    Kind::Copy{..} => ("DMA", "Copy", String::new(), -1, -1),
                    Kind::Shave(sh) => ("SHAVE", match sh { Shave::Elementwise("FusedLeakyRelu") => "LeakyRelu", Shave::Elementwise("FreeClamp") => "Clamp", Shave::Elementwise(n)|Shave::Pair(n)|Shave::Other(n,_) => n, Shave::Convert=>"Convert", Shave::Conv(_)=>"Conv", Shave::Stuff=>"Upsampling"}, String::new(), -1, -1),
                    _ => return,
                };
                let o = c.graph.of(s.outputs[0]).shape;
                writeln!(t, "{unit}\t{ty}\t{mode}\t{d}\t{cost}\t{}x{}x{}\t{}\t{name}{}", o.channels, o.height, o.width, c.memory.cores[id as usize], s.suffix).unwrap();
                };
                emit(s);
                if let Some(i) = s.injected { emit(c.graph.at(i)); }
            }
        }
    }
    t
}
