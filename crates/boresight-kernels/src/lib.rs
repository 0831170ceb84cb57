#![doc = include_str!("../README.md")]
#![allow(clippy::inline_always, reason = "kernel bodies must take on the instruction set of their caller")]

mod activation;
mod buffer;
mod channels;
mod conv;
mod dispatch;
mod error;
mod gradient;
mod loss;
pub mod math;
mod narrow;
mod norm;
mod optimizer;
mod pad;
mod planes;
mod pool;
mod resize;
mod rows;
mod softmax;
mod table;
mod team;
#[cfg(test)]
mod testing;

pub use activation::{Activation, activate, activate_grad, activate_in_place};
pub use buffer::Buffer;
pub use channels::{
    add, add_assign, channel_scale, channel_scale_grad, channel_scale_in_place, copy_channels, dropout,
    dropout_grad, mul, mul_assign, mul_grad,
};
pub use conv::{ConvShape, NarrowSums, conv2d, conv2d_grad_input, conv2d_grad_weight, conv2d_narrow};
pub use error::Error;
pub use loss::{Loss, loss_and_gradient};
pub use narrow::{avg_pool_narrow, global_avg_pool_narrow};
pub use norm::{
    batch_norm_eval, batch_norm_eval_grad, batch_norm_grad, batch_norm_train, scale_shift, scale_shift_grad,
};
pub use optimizer::{AdamW, adamw_step, clip_norm, squared_norm};
pub use pad::{pad, pad_grad, zero_stuff, zero_stuff_grad};
pub use planes::{Arithmetic, Machine, Planes, Store, Write};
pub use pool::{avg_pool, avg_pool_grad, global_avg_pool, global_avg_pool_grad, max_pool, max_pool_grad};
pub use resize::{upsample_bilinear, upsample_bilinear_grad, upsample_nearest, upsample_nearest_grad};
pub use softmax::{softmax, softmax_grad};
pub use table::FunctionTables;
pub use team::Team;
