//! Typical reflectances of surfaces in the thirteen bands of Sentinel-2.
//!
//! Rounded by hand from the levels that harbour scenes show; they need to be believable, not exact.

/// Reflectance in each band of [`SENTINEL2_BANDS`].
pub(super) type Spectrum = [f64; 13];

/// The bands that synthetic scenes can have, in the order of their wavelength.
pub const SENTINEL2_BANDS: [&str; 13] =
    ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"];

/// The side of a native pixel of each band, in pixels of 10 m.
pub(super) const NATIVE_PIXEL: [usize; 13] = [6, 1, 1, 1, 2, 2, 2, 1, 2, 6, 6, 2, 2];

pub(super) const CLEAR_WATER: Spectrum =
    [0.038, 0.034, 0.026, 0.013, 0.011, 0.008, 0.008, 0.006, 0.006, 0.005, 0.001, 0.004, 0.003];
pub(super) const TURBID_WATER: Spectrum =
    [0.055, 0.060, 0.070, 0.054, 0.045, 0.024, 0.022, 0.018, 0.015, 0.010, 0.001, 0.006, 0.004];
pub(super) const GLINT: Spectrum = [0.90, 0.92, 0.95, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.7, 0.1, 0.95, 0.85];
pub(super) const FOAM: Spectrum =
    [0.9, 0.95, 1.0, 0.95, 0.85, 0.75, 0.70, 0.62, 0.60, 0.40, 0.05, 0.22, 0.15];
pub(super) const VEGETATION: Spectrum =
    [0.025, 0.030, 0.060, 0.045, 0.095, 0.220, 0.270, 0.290, 0.300, 0.290, 0.004, 0.175, 0.090];
pub(super) const SOIL: Spectrum =
    [0.080, 0.090, 0.125, 0.165, 0.190, 0.205, 0.215, 0.225, 0.235, 0.230, 0.005, 0.290, 0.240];
pub(super) const SAND: Spectrum =
    [0.130, 0.150, 0.200, 0.250, 0.270, 0.285, 0.295, 0.305, 0.310, 0.300, 0.008, 0.340, 0.300];
pub(super) const ROCK: Spectrum =
    [0.070, 0.075, 0.085, 0.095, 0.105, 0.112, 0.117, 0.121, 0.124, 0.120, 0.004, 0.130, 0.115];
pub(super) const ASPHALT: Spectrum =
    [0.065, 0.070, 0.080, 0.088, 0.097, 0.106, 0.112, 0.118, 0.123, 0.120, 0.003, 0.145, 0.135];
pub(super) const CONCRETE: Spectrum =
    [0.130, 0.145, 0.165, 0.185, 0.197, 0.207, 0.214, 0.220, 0.226, 0.220, 0.006, 0.235, 0.215];
pub(super) const CLOUD: Spectrum =
    [0.50, 0.50, 0.49, 0.50, 0.51, 0.51, 0.52, 0.52, 0.52, 0.35, 0.04, 0.36, 0.27];
pub(super) const HAZE: Spectrum =
    [1.0, 0.85, 0.65, 0.50, 0.44, 0.38, 0.35, 0.30, 0.28, 0.20, 0.02, 0.12, 0.08];

/// Roofs, decks and containers share their paints, so that colour alone does not tell a vessel.
pub(super) const PAINTS: [Spectrum; 7] = [
    // White.
    [0.270, 0.285, 0.300, 0.305, 0.305, 0.305, 0.305, 0.300, 0.300, 0.280, 0.01, 0.250, 0.215],
    // Grey steel.
    [0.100, 0.105, 0.112, 0.117, 0.121, 0.124, 0.126, 0.127, 0.128, 0.120, 0.004, 0.120, 0.110],
    // Red oxide.
    [0.055, 0.055, 0.062, 0.140, 0.165, 0.178, 0.186, 0.195, 0.200, 0.190, 0.005, 0.205, 0.180],
    // Green.
    [0.055, 0.062, 0.098, 0.070, 0.075, 0.088, 0.098, 0.105, 0.110, 0.105, 0.004, 0.110, 0.095],
    // Blue.
    [0.105, 0.125, 0.095, 0.065, 0.066, 0.075, 0.090, 0.105, 0.112, 0.105, 0.004, 0.108, 0.095],
    // Tan.
    [0.090, 0.105, 0.145, 0.185, 0.200, 0.212, 0.220, 0.227, 0.232, 0.225, 0.006, 0.235, 0.205],
    // Dark.
    [0.045, 0.046, 0.050, 0.053, 0.055, 0.058, 0.060, 0.062, 0.064, 0.060, 0.002, 0.066, 0.060],
];

/// White superstructures.
pub(super) const WHITE: Spectrum = PAINTS[0];
