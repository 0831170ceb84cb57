"""Compares logits of two runtimes: how far they are apart, and where their labels differ."""

from dataclasses import dataclass, field

import numpy


@dataclass
class Tally:
    """What one runtime did to all files."""

    files: int = 0
    codes: set = field(default_factory=set)
    forms: set = field(default_factory=set)
    opsets: set = field(default_factory=set)
    worst_error: float = 0.0
    worst_share: float = 0.0
    labels: int = 0
    close_labels: int = 0
    disagreements: int = 0
    faults: list = field(default_factory=list)

    def add(self, case, theirs):
        """Takes in their logits for `case`."""
        self.count(case)
        if theirs.shape != case.logits.shape:
            self.fault(case, f"gives the shape {list(theirs.shape)} instead of {list(case.logits.shape)}")
            return
        theirs = theirs.astype(numpy.float64)
        ours, tolerance = case.logits.astype(numpy.float64), case.tolerance.astype(numpy.float64)
        self.compare_logits(case, ours, theirs, tolerance)
        self.compare_labels(case, ours, theirs, tolerance)

    def count(self, case):
        self.files += 1
        self.codes.add(case.code)
        self.forms.add(case.form)
        self.opsets.add(case.opset)

    def fault(self, case, sentence):
        self.faults.append(f"{case.path.name} ({case.code}): {sentence}")

    def compare_logits(self, case, ours, theirs, tolerance):
        errors = distances(ours, theirs)
        shares = numpy.divide(errors, tolerance, out=numpy.where(errors > 0, numpy.inf, 0.0), where=tolerance > 0)
        self.worst_error = max(self.worst_error, float(errors.max()))
        self.worst_share = max(self.worst_share, float(shares.max()))
        outside = shares > 1
        if outside.any():
            at = numpy.unravel_index(shares.argmax(), shares.shape)
            self.fault(
                case,
                f"{int(outside.sum())} of {ours.size} logits are out of tolerance, the worst at {list(map(int, at))}: "
                f"ours {ours[at]:.9g}, theirs {theirs[at]:.9g}, allowed {tolerance[at]:.3g}",
            )

    def compare_labels(self, case, ours, theirs, tolerance):
        """Compares labels where no error within the tolerance could change ours."""
        if ours.shape[1] < 2:
            return
        ranked = numpy.sort(ours, axis=1)
        clear = ranked[:, -1] - ranked[:, -2] > 2 * tolerance.max(axis=1)
        differ = clear & (ours.argmax(axis=1) != theirs.argmax(axis=1))
        self.labels += int(clear.sum())
        self.close_labels += int(clear.size - clear.sum())
        self.disagreements += int(differ.sum())
        if differ.any():
            at = tuple(int(i) for i in numpy.argwhere(differ)[0])
            self.fault(case, f"{int(differ.sum())} labels differ, the first at image, row, column {list(at)}")

    def line(self, runtime):
        """The result in one line."""
        opsets = ", ".join(map(str, sorted(self.opsets)))
        return (
            f"{runtime}: {len(self.codes)} networks in {self.files} files ({', '.join(sorted(self.forms))}; "
            f"opset {opsets}); worst error {self.worst_error:.3g}, {self.worst_share:.3g} of its tolerance; "
            f"{self.labels} labels compared, {self.disagreements} disagree, {self.close_labels} too close to compare"
        )


def distances(ours, theirs):
    """Absolute differences; infinite where either is not finite, since no runtime may make such a logit."""
    errors = numpy.full(ours.shape, numpy.inf)
    finite = numpy.isfinite(ours) & numpy.isfinite(theirs)
    errors[finite] = numpy.abs(ours[finite] - theirs[finite])
    return errors
