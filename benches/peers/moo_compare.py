"""Compares the hypervolumes of Boresight's NSGA-II and NSGA-III with pymoo's; prints a table in Markdown.

usage: python benches/peers/moo_compare.py --reference reference.json --pymoo pymoo.jsonl [--seeds 31] [--binary FILE]

Standard library only. pymoo.jsonl comes from moo.py beside this file. Each case of it is run by `strategy_bench` with the
same population and budget. A one-sided Welch test asks for each case whether Boresight's mean is lower; the p-values are
Holm's, corrected over the cases of one strategy. The last line says how many cases are worse at 1 %; if any, the exit code
is 1.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

LEVEL = 0.01


def beta_fraction(a, b, x):
    """The continued fraction of the incomplete beta function (Press et al., Numerical Recipes, section 6.4)."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    result = d
    for step in range(1, 500):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for term in (even, odd):
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + term / c
            c = c if abs(c) > tiny else tiny
            result *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return result


def incomplete_beta(a, b, x):
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * beta_fraction(a, b, x) / a
    return 1.0 - math.exp(log_front) * beta_fraction(b, a, 1.0 - x) / b


def student_below(t, freedom):
    """The probability that a number of Student's distribution lies below t."""
    half = 0.5 * incomplete_beta(0.5 * freedom, 0.5, freedom / (freedom + t * t))
    return half if t < 0 else 1.0 - half


def welch_lower(ours, theirs):
    """The p-value of the one-sided test whether the mean of `ours` is lower (Welch, 1947)."""
    shares = [statistics.variance(values) / len(values) for values in (ours, theirs)]
    difference = statistics.fmean(ours) - statistics.fmean(theirs)
    if sum(shares) == 0:
        return float(difference >= 0)
    freedom = sum(shares) ** 2 / sum(s * s / (len(v) - 1) for s, v in zip(shares, (ours, theirs)))
    return student_below(difference / math.sqrt(sum(shares)), freedom)


def holm(p_values):
    """Holm's correction (1979): the values in the order in which they came."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, highest = [0.0] * len(p_values), 0.0
    for position, at in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - position) * p_values[at]))
        corrected[at] = highest
    return corrected


def ours(binary, problem, strategy, population, evaluations, options):
    command = [binary, "--problem", problem, "--strategy", strategy, "--json", "--reference", options.reference]
    command += ["--evaluations", evaluations, "--population", population, "--seeds", options.seeds]
    result = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout)


def built():
    root = Path(__file__).resolve().parent.parent.parent
    command = ["cargo", "build", "--release", "--example", "strategy_bench", "--message-format", "json-render-diagnostics"]
    messages = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=root).stdout.splitlines()
    targets = map(json.loads, messages)
    return next(m["executable"] for m in targets if m.get("target", {}).get("name") == "strategy_bench")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--pymoo", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=31)
    parser.add_argument("--binary", type=Path, help="strategy_bench, where it is built already")
    options = parser.parse_args()
    binary = options.binary or built()
    cases = defaultdict(list)
    for line in map(json.loads, options.pymoo.read_text().splitlines()):
        if line["seed"] <= options.seeds:
            cases[line["strategy"], line["problem"], line["population"], line["evaluations"]].append(line["hv"])
    worse = 0
    print("| strategy | problem | evaluations | Boresight | pymoo 0.6.2 | p, lower | p, Holm | us per evaluation |")
    print("|---|---|---|---|---|---|---|---|")
    for strategy in sorted({case[0] for case in cases}):
        chosen = [case for case in cases if case[0] == strategy]
        measured = [ours(binary, problem, name, population, budget, options) for name, problem, population, budget in chosen]
        p_values = [welch_lower(m["hypervolume"]["values"], cases[case]) for m, case in zip(measured, chosen)]
        for case, found, p, corrected in zip(chosen, measured, p_values, holm(p_values)):
            volume, theirs = found["hypervolume"], cases[case]
            cost = found["own_us_per_evaluation"]["mean"]
            their = f"{statistics.fmean(theirs):.6g} ± {statistics.stdev(theirs):.2g}"
            mine = f"{volume['mean']:.6g} ± {volume['std']:.2g}"
            print(f"| {strategy} | {case[1]} | {case[3]} | {mine} | {their} | {p:.3f} | {corrected:.3f} | {cost:.1f} |", flush=True)
            worse += corrected < LEVEL
    print(f"\n{worse} of {len(cases)} cases are worse at {LEVEL:.0%}, {options.seeds} seeds on each side")
    sys.exit(worse > 0)


if __name__ == "__main__":
    main()
