"""Runs pymoo's NSGA-II and NSGA-III on the benchmark problems and writes hypervolumes; times its operators.

usage: python benches/peers/moo.py runs --reference reference.json --out pymoo.jsonl [--seeds 31] [--only zdt1:nsga2,...]
       python benches/peers/moo.py cost

pymoo 0.6.2 must be installed for the Python that runs it. `runs` appends one line of JSON a run and leaves out what the
file holds already. The hypervolume is that of the feasible, non-dominated members of the last population, up to the
reference point of the problem; `hv_optimum` is that of what pymoo reports as its result, which for NSGA-III is a part of
the population. Operators have pymoo's default parameters, which are also Boresight's: see PARAMETERS. `cost` prints the
time of NSGA-II per evaluation, without the problem's own, and of a non-dominated sort, as a table in Markdown.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pymoo
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.indicators.hv import HV
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.optimize import minimize
from pymoo.problems import get_problem
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from pymoo.util.ref_dirs import get_reference_directions

VERSION = "0.6.2"
# Crossover probability and distribution index, and the mutation's index, of each algorithm.
PARAMETERS = {"nsga2": (0.9, 15, 20), "nsga3": (1.0, 30, 20)}
# Population and generations.
CASES = {
    ("zdt1", "nsga2"): (100, 250),
    ("zdt2", "nsga2"): (100, 250),
    ("zdt3", "nsga2"): (100, 250),
    ("zdt4", "nsga2"): (100, 250),
    ("zdt6", "nsga2"): (100, 250),
    ("dtlz1", "nsga2"): (92, 400),
    ("dtlz2", "nsga2"): (92, 250),
    ("dtlz3", "nsga2"): (92, 1000),
    ("dtlz4", "nsga2"): (92, 600),
    ("dtlz5", "nsga2"): (92, 250),
    ("dtlz6", "nsga2"): (92, 500),
    ("dtlz7", "nsga2"): (92, 250),
    ("mw7", "nsga2"): (100, 250),
    ("tnk", "nsga2"): (100, 250),
    ("bnh", "nsga2"): (100, 250),
    ("osy", "nsga2"): (100, 250),
    ("dtlz1", "nsga3"): (92, 400),
    ("dtlz2", "nsga3"): (92, 250),
    ("dtlz3", "nsga3"): (92, 1000),
    ("dtlz4", "nsga3"): (92, 600),
}


def problem_of(name, variables):
    three = {"n_obj": 3} if name.startswith("dtlz") else {}
    sized = {} if name in ("tnk", "bnh", "osy") else {"n_var": variables}
    return get_problem(name, **sized, **three)


def algorithm_of(name, population):
    probability, crossover, mutation = PARAMETERS[name]
    operators = {
        "crossover": SBX(prob=probability, eta=crossover),
        "mutation": PM(eta=mutation),
    }
    if name == "nsga2":
        return NSGA2(pop_size=population, **operators)
    directions = get_reference_directions("das-dennis", 3, n_partitions=12)
    return NSGA3(directions, pop_size=population, **operators)


def hypervolume(indicator, values):
    if values is None or len(values) == 0:
        return 0.0
    return float(indicator(np.atleast_2d(values)))


def run(name, algorithm, seed, reference):
    population, generations = CASES[name, algorithm]
    problem = problem_of(name, reference["n_var"])
    start = time.perf_counter()
    result = minimize(problem, algorithm_of(algorithm, population), ("n_gen", generations), seed=seed, verbose=False)
    wall = time.perf_counter() - start
    indicator = HV(ref_point=np.array(reference["ref"]))
    members = result.pop[[bool(feasible) for feasible in result.pop.get("feasible").ravel()]]
    values = members.get("F") if len(members) else None
    return {
        "problem": name,
        "strategy": algorithm,
        "seed": seed,
        "population": population,
        "evaluations": int(result.algorithm.evaluator.n_eval),
        "hv": hypervolume(indicator, values),
        "hv_optimum": hypervolume(indicator, result.F),
        "wall_s": wall,
    }


def runs(options):
    references = {entry["problem"]: entry for entry in json.loads(options.reference.read_text())}
    done = set()
    if options.out.exists():
        lines = map(json.loads, options.out.read_text().splitlines())
        done = {(line["problem"], line["strategy"], line["seed"]) for line in lines}
    chosen = [tuple(case.split(":")) for case in options.only.split(",")] if options.only else list(CASES)
    for name, algorithm in chosen:
        for seed in range(1, options.seeds + 1):
            if (name, algorithm, seed) not in done:
                line = run(name, algorithm, seed, references[name])
                with options.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")


def seconds(action, repeats):
    measured = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        measured.append(time.perf_counter() - start)
    return statistics.median(measured)


def cost():
    population, generations = 100, 100
    problem = problem_of("zdt1", 30)
    values = np.random.default_rng(1).random((population, 30))
    evaluating = generations * seconds(lambda: problem.evaluate(values, return_values_of=["F"]), 20)
    whole = seconds(lambda: minimize(problem, algorithm_of("nsga2", population), ("n_gen", generations), seed=1), 5)
    own = (whole - evaluating) / (population * generations)
    cloud = np.random.default_rng(1).random((10_000, 3))
    print("| | pymoo " + pymoo.__version__ + " |\n|---|---|")
    print(f"| NSGA-II, population 100, 2 objectives, 30 variables, per evaluation | {1e6 * own:.1f} us |")
    for method in ("fast_non_dominated_sort", "efficient_non_dominated_sort"):
        sort = seconds(lambda method=method: NonDominatedSorting(method=method).do(cloud), 3)
        print(f"| {method} of 10,000 uniform points in 3 objectives | {1e3 * sort:.0f} ms |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measured = commands.add_parser("runs")
    measured.add_argument("--reference", type=Path, required=True, help="reference.json of the fronts")
    measured.add_argument("--out", type=Path, required=True)
    measured.add_argument("--seeds", type=int, default=31)
    measured.add_argument("--only", help="cases such as zdt1:nsga2, separated by commas")
    commands.add_parser("cost")
    options = parser.parse_args()
    if pymoo.__version__ != VERSION:
        sys.exit(f"pymoo {VERSION} is needed, {pymoo.__version__} is installed")
    if options.command == "runs":
        runs(options)
    else:
        cost()


if __name__ == "__main__":
    main()
