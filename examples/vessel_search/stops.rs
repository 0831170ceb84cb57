//! Rules that end a search early. They decide no trial, so they may be given anew when a run is resumed.

use crate::cli::Stopping;
use boresight::core::Trial;
use boresight::evolve::Ranking;
use boresight::evolve::pareto::Winners;
use boresight::search::Stop;
use boresight::space::UnetGenotype;
use std::error::Error;
use std::time::Duration;

/// The rules of the command line.
pub(crate) fn rules<'run>(
    stopping: &Stopping,
    ranking: &'run Ranking,
) -> Result<Vec<Stop<'run, UnetGenotype>>, Box<dyn Error>> {
    let mut rules = Vec::new();
    if let Some(minutes) = stopping.after {
        let time = Duration::try_from_secs_f64(60.0 * minutes);
        rules.push(Stop::after(time.map_err(|_| format!("--stop-after {minutes}: it is too long"))?));
    }
    if let Some(patience) = stopping.stagnant {
        let name = format!("{patience} trials brought nothing better");
        rules.push(Stop::when(name, move |trials: &[_]| stagnates(ranking, trials, patience)));
    }
    if let Some(target) = stopping.at {
        let what = if let Ranking::Fitness { .. } = ranking { "fitness" } else { "first objective" };
        let name = format!("the {what} reached {target}");
        rules.push(Stop::when(name, move |trials: &[_]| {
            trials.iter().any(|trial| reaches(ranking, trial, target))
        }));
    }
    Ok(rules)
}

/// Whether the last so many trials are none of the best: none has the best fitness or stands in the front.
fn stagnates(ranking: &Ranking, trials: &[Trial<UnetGenotype>], patience: usize) -> bool {
    let latest = match ranking.winners(trials) {
        Winners::Feasible(best) | Winners::LeastViolating(best) => best.iter().map(|trial| trial.id).max(),
        Winners::Nothing => None,
    };
    trials.iter().filter(|trial| latest.is_none_or(|latest| trial.id > latest)).count() >= patience
}

fn reaches(ranking: &Ranking, trial: &Trial<UnetGenotype>, target: f64) -> bool {
    match ranking {
        Ranking::Fitness { .. } => ranking.fitness(&trial.verdict).is_some_and(|fitness| fitness >= target),
        Ranking::Pareto { directions } => trial.verdict.objectives().is_some_and(|values| {
            values.iter().zip(directions).take(1).all(|(&value, way)| !way.prefers(target, value))
        }),
    }
}
