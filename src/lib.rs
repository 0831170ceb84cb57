#![doc = include_str!("../README.md")]

pub use boresight_core as core;
pub use boresight_data as data;
pub use boresight_deploy as deploy;
pub use boresight_eval as eval;
pub use boresight_evolve as evolve;
pub use boresight_ir as ir;
pub use boresight_kernels as kernels;
pub use boresight_metrics as metrics;
pub use boresight_numerics as numerics;
pub use boresight_plan as plan;
pub use boresight_report as report;
pub use boresight_search as search;
pub use boresight_space as space;
pub use boresight_train as train;
pub use boresight_vpu as vpu;
