"""The check itself, run by check.py with the packages on the path: agreement.py DIR."""

import sys
from pathlib import Path

import manifest
import readers
from compare import Tally
from packages import Unusable

FAULTS_SHOWN = 20


def check(cases):
    """Lines on what each runtime did, and the faults that were found."""
    faults, models = [], []
    for case in cases:
        try:
            models.append((case, readers.load(case)))
        except Exception as error:  # onnx raises its own kinds, with causes of several lines
            faults.append(f"onnx.checker: {case.path.name} ({case.code}): {sentence(error)}")
    lines = [f"onnx.checker {readers.onnx.__version__}: {len(models)} of {len(cases)} files are as the manifest says"]
    for reader in (readers.OnnxRuntime(), readers.OpenVino(), readers.Reference()):
        tally = run(reader, models)
        left_out = len(models) - tally.files
        lines.append(tally.line(reader.name) + (f"; {left_out} files left out" if left_out else ""))
        faults += [f"{reader.name}: {fault}" for fault in tally.faults]
    return lines, faults


def run(reader, models):
    tally = Tally()
    for case, model in models:
        if not reader.reads(model):
            continue
        try:
            theirs = reader.logits(case.path, model, readers.images_for(model, case.input))
        except Exception as error:  # a runtime's refusal of a file, of whatever kind, is a fault of the file
            tally.count(case)
            tally.fault(case, f"is refused: {sentence(error)}")
            continue
        tally.add(case, theirs)
    return tally


def sentence(error):
    return " ".join(str(error).split())[:300] or type(error).__name__


def main(folder):
    try:
        cases = manifest.read(folder)
    except Unusable as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 2
    lines, faults = check(cases)
    print("\n".join(lines), flush=True)
    for fault in faults[:FAULTS_SHOWN]:
        print(fault, file=sys.stderr)
    if len(faults) > FAULTS_SHOWN:
        print(f"and {len(faults) - FAULTS_SHOWN} more", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
