//! Gaussian-process regression on a few hundred points.

/// Length scales, as shares of the diagonal of the unit cube, and noise, as shares of the variance, among which the
/// likelihood chooses.
const LENGTHS: [f64; 5] = [0.1, 0.2, 0.4, 0.8, 1.6];
const NOISES: [f64; 3] = [1e-4, 1e-2, 1e-1];

/// What the kernel of a process is set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kernel {
    length: f64,
    noise: f64,
}

/// A zero-mean process with a Matérn kernel of smoothness 5/2, conditioned on points.
///
/// # Source
/// Rasmussen and Williams, *Gaussian processes for machine learning*, 2006, algorithm 2.1 and equation 4.17.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    kernel: Kernel,
    points: Vec<Vec<f64>>,
    /// The lower triangle of the Cholesky factor, row by row.
    factor: Vec<Vec<f64>>,
}

impl Kernel {
    /// The kernel under which `values` (of mean 0 and variance 1) are likeliest.
    pub(crate) fn likeliest(points: &[Vec<f64>], values: &[f64]) -> Self {
        let kernels =
            LENGTHS.iter().flat_map(|&length| NOISES.iter().map(move |&noise| Self { length, noise }));
        let likelihood = |kernel: &Self| Process::new(*kernel, points.to_vec()).log_likelihood(values);
        let rated = kernels.map(|kernel| (likelihood(&kernel), kernel));
        let best = rated.max_by(|left, right| left.0.total_cmp(&right.0));
        best.map_or(Self { length: LENGTHS[2], noise: NOISES[1] }, |(_, kernel)| kernel)
    }

    fn covariance(self, left: &[f64], right: &[f64]) -> f64 {
        let square: f64 = left.iter().zip(right).map(|(left, right)| (left - right).powi(2)).sum();
        let distance = (5.0 * square / left.len().max(1) as f64).sqrt() / self.length;
        (1.0 + distance + distance * distance / 3.0) * (-distance).exp()
    }
}

impl Process {
    pub(crate) fn new(kernel: Kernel, points: Vec<Vec<f64>>) -> Self {
        let mut process = Self { kernel, points: Vec::new(), factor: Vec::new() };
        for point in points {
            process.add(point);
        }
        process
    }

    /// Conditions it on one more point.
    pub(crate) fn add(&mut self, point: Vec<f64>) {
        let mut row = self.solve_lower(&self.covariances(&point));
        let left: f64 = 1.0 + self.kernel.noise - row.iter().map(|value| value * value).sum::<f64>();
        // What is left is at least the noise, but for rounding.
        row.push(left.max(0.1 * self.kernel.noise).sqrt());
        self.factor.push(row);
        self.points.push(point);
    }

    /// The process as it was with its first `count` points.
    pub(crate) fn first(&self, count: usize) -> Self {
        let (points, factor) = (self.points[..count].to_vec(), self.factor[..count].to_vec());
        Self { kernel: self.kernel, points, factor }
    }

    /// The weights that turn covariances into a mean, for these values of the points.
    pub(crate) fn weights(&self, values: &[f64]) -> Vec<f64> {
        let mut weights = self.solve_lower(values);
        for at in (0..weights.len()).rev() {
            weights[at] /= self.factor[at][at];
            let weight = weights[at];
            for (value, factor) in weights[..at].iter_mut().zip(&self.factor[at]) {
                *value -= factor * weight;
            }
        }
        weights
    }

    /// Mean and standard deviation at `point`.
    pub(crate) fn predict(&self, point: &[f64], weights: &[f64]) -> (f64, f64) {
        let covariances = self.covariances(point);
        let mean = covariances.iter().zip(weights).map(|(value, weight)| value * weight).sum();
        let known: f64 = self.solve_lower(&covariances).iter().map(|value| value * value).sum();
        (mean, (1.0 - known).max(0.0).sqrt())
    }

    fn log_likelihood(&self, values: &[f64]) -> f64 {
        let whitened: f64 = self.solve_lower(values).iter().map(|value| value * value).sum();
        let volume: f64 = self.factor.iter().filter_map(|row| row.last()).map(|value| value.ln()).sum();
        -0.5 * whitened - volume
    }

    fn covariances(&self, point: &[f64]) -> Vec<f64> {
        self.points.iter().map(|known| self.kernel.covariance(known, point)).collect()
    }

    fn solve_lower(&self, right: &[f64]) -> Vec<f64> {
        let mut solution: Vec<f64> = Vec::with_capacity(right.len());
        for (value, row) in right.iter().zip(&self.factor) {
            let known: f64 = row.iter().zip(&solution).map(|(factor, value)| factor * value).sum();
            solution.push((value - known) / row[solution.len()]);
        }
        solution
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine() -> (Vec<Vec<f64>>, Vec<f64>) {
        let points: Vec<Vec<f64>> = (0..12).map(|at| vec![f64::from(at) / 11.0]).collect();
        let values = points.iter().map(|point| (6.0 * point[0]).sin()).collect();
        (points, values)
    }

    #[test]
    fn it_passes_through_its_points_and_is_unsure_away_from_them() {
        let (points, values) = sine();
        let process = Process::new(Kernel { length: 0.4, noise: 1e-6 }, points.clone());
        let weights = process.weights(&values);
        for (point, value) in points.iter().zip(&values) {
            let (mean, deviation) = process.predict(point, &weights);
            assert!((mean - value).abs() < 1e-3 && deviation < 1e-2, "{mean} {deviation}");
        }
        let (mean, _) = process.predict(&[0.5 / 11.0], &weights);
        assert!((mean - (3.0_f64 / 11.0).sin()).abs() < 0.02, "{mean}");
        assert!(process.predict(&[3.0], &weights).1 > 0.9);
    }

    #[test]
    fn the_likeliest_kernel_of_noise_is_noisy() {
        let (points, smooth) = sine();
        let rough: Vec<f64> = (0..12).map(|at| if at % 3 == 0 { 1.6 } else { -0.6 }).collect();
        assert!(Kernel::likeliest(&points, &smooth).noise < 1e-3);
        assert!(Kernel::likeliest(&points, &rough).length < Kernel::likeliest(&points, &smooth).length);
    }

    #[test]
    fn equal_points_do_not_break_it() {
        let process = Process::new(Kernel { length: 0.4, noise: 1e-4 }, vec![vec![0.5]; 30]);
        let weights = process.weights(&[1.0; 30]);
        let (mean, deviation) = process.predict(&[0.5], &weights);
        assert!((mean - 1.0).abs() < 0.01 && deviation < 0.1, "{mean} {deviation}");
    }
}
