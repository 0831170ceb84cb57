//! What is told of a scored network.

use boresight::core::Seconds;
use boresight::eval::Score;
use boresight::metrics::Confusion;
use serde::Serialize;

/// Scores over all scenes, and of each.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    profile: String,
    tile: usize,
    #[serde(flatten)]
    all: Scores,
    per_scene: Vec<SceneScores>,
    /// Median time of a tile, where a device measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms_per_tile: Option<f64>,
}

/// Class 1 is the vessels. What is 0 / 0 is nothing.
#[derive(Debug, Serialize)]
struct Scores {
    vessel_iou: f64,
    background_iou: Option<f64>,
    miou: f64,
    precision: Option<f64>,
    recall: Option<f64>,
}

#[derive(Debug, Serialize)]
struct SceneScores {
    scene: String,
    #[serde(flatten)]
    scores: Scores,
}

impl Report {
    pub(crate) fn new(
        profile: &str,
        tile: usize,
        total: &Confusion,
        scenes: &[(String, Confusion)],
        times: &[Seconds],
    ) -> Self {
        let per_scene = scenes
            .iter()
            .map(|(scene, counts)| SceneScores { scene: scene.clone(), scores: Scores::of(counts) })
            .collect();
        let mut times: Vec<f64> = times.iter().map(|time| 1e3 * time.0).collect();
        times.sort_by(f64::total_cmp);
        let ms_per_tile = times.get(times.len() / 2).copied();
        Self { profile: profile.to_owned(), tile, all: Scores::of(total), per_scene, ms_per_tile }
    }

    /// A table for a person.
    pub(crate) fn print(&self) {
        let width = self.per_scene.iter().map(|row| row.scene.len()).chain([5]).max().unwrap_or(5);
        println!("Profile {}, tiles of {} x {} pixels", self.profile, self.tile, self.tile);
        println!("{:width$}  vessel IoU  background IoU    mIoU  precision  recall", "scene");
        for row in &self.per_scene {
            println!("{:width$}  {}", row.scene, row.scores.line());
        }
        println!("{:width$}  {}", "all", self.all.line());
        if let Some(ms) = self.ms_per_tile {
            println!("The device took {ms:.2} ms a tile (median)");
        }
    }
}

impl Scores {
    fn of(counts: &Confusion) -> Self {
        let Score { miou, vessel_iou } = Score::of(counts);
        Self {
            vessel_iou,
            background_iou: counts.iou(0),
            miou,
            precision: counts.precision(1),
            recall: counts.recall(1),
        }
    }

    fn line(&self) -> String {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
        format!(
            "{:>10}  {:>14}  {:>6}  {:>9}  {:>6}",
            number(Some(self.vessel_iou)),
            number(self.background_iou),
            number(Some(self.miou)),
            number(self.precision),
            number(self.recall)
        )
    }
}
