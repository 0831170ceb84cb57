"""Tests of the check, in its own packages: python3 tools/runtimes/run.py -m unittest discover -s tools/runtimes"""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path

try:
    import numpy
    import onnx
except ImportError as error:
    raise unittest.SkipTest("the packages are not on the path: use run.py") from error

import agreement
import manifest
import readers
from compare import Tally
from onnx import TensorProto, helper, numpy_helper
from packages import Unusable

SHAPE = [2, 3, 5, 4]
IMAGES = numpy.linspace(-2, 2, 120, dtype=numpy.float32).reshape(SHAPE)
SCALE = numpy.array([1.5, -0.5, 0.75], numpy.float32).reshape(1, 3, 1, 1)


def network(path, opset=13, form="fp32", operator="Relu", **attributes):
    """Writes `operator(input * scale)`; in opset 13 with Relu it has nothing that runtimes read differently."""
    half = form != "fp32"
    weights = numpy_helper.from_array(SCALE.astype(numpy.float16) if half else SCALE, "scale")
    kind = TensorProto.FLOAT16 if form == "fp16" else TensorProto.FLOAT
    nodes = [helper.make_node("Cast", ["scale"], ["wide"], to=TensorProto.FLOAT)] if form == "fp16-weights" else []
    nodes.append(helper.make_node("Mul", ["input", "wide" if nodes else "scale"], ["scaled"]))
    nodes.append(helper.make_node(operator, ["scaled"], ["output"], **attributes))
    values = [helper.make_tensor_value_info(name, kind, SHAPE) for name in ("input", "output")]
    graph = helper.make_graph(nodes, "test", values[:1], values[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7), path)


def expected():
    return numpy.maximum(IMAGES * SCALE, 0)


class Agreement(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.entries = []

    def export(self, name="a", logits=None, tolerance=1e-6, opset=13, form="fp32", **network_options):
        network(self.folder / f"{name}.onnx", opset, form, **network_options)
        logits = expected() if logits is None else logits
        files = {"input": IMAGES, "logits": logits, "tolerance": numpy.full(logits.shape, tolerance)}
        for key, values in files.items():
            values.astype("<f4").tofile(self.folder / f"{name}.{key}")
        entry = {"code": name, "opset": opset, "form": form, "onnx": f"{name}.onnx", "shape": SHAPE}
        entry.update({key: f"{name}.{key}" for key in files}, logits_shape=list(logits.shape))
        self.entries.append(entry)
        self.write()

    def write(self):
        lines = [json.dumps(entry) + "\n" for entry in self.entries]
        (self.folder / "manifest.jsonl").write_text("".join(lines))

    def check(self):
        """Exit code, lines and faults."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = agreement.main(self.folder)
        return code, out.getvalue().splitlines(), err.getvalue()

    def test_all_runtimes_read_all_forms(self):
        for form, tolerance in (("fp32", 1e-6), ("fp16", 2e-3), ("fp16-weights", 1e-6)):
            for opset in (11, 13):
                self.export(f"{form}-{opset}", tolerance=tolerance, form=form, opset=opset)
        code, lines, err = self.check()
        self.assertEqual((code, err, len(lines)), (0, "", 4))
        self.assertIn("6 of 6 files", lines[0])
        for line in lines[1:]:
            self.assertIn("6 networks in 6 files (fp16, fp16-weights, fp32; opset 11, 13)", line)
            self.assertIn(" 0 disagree", line)

    def test_a_logit_out_of_tolerance_is_shown(self):
        wrong = expected()
        wrong[1, 2, 3, 0] += 0.5
        self.export(logits=wrong)
        code, _, err = self.check()
        self.assertEqual(code, 1)
        self.assertEqual(err.count("1 of 120 logits are out of tolerance, the worst at [1, 2, 3, 0]"), 3)

    def test_labels_are_compared_where_the_margin_is_beyond_the_tolerance(self):
        self.export(logits=numpy.roll(expected(), 1, axis=1), tolerance=0.1)
        code, lines, err = self.check()
        self.assertEqual(code, 1)
        self.assertIn("labels differ, the first at image, row, column [0, 0, 0]", err)
        self.assertNotIn(" 0 disagree", lines[1])

    def test_logits_that_are_not_finite_never_agree(self):
        for value in (numpy.nan, numpy.inf):
            self.entries, wrong = [], expected()
            wrong[0, 0, 0, 0] = value
            self.export(logits=wrong)
            with self.subTest(value=value):
                self.assertEqual(self.check()[0], 1)

    def test_a_softmax_that_runtimes_read_differently_is_found(self):
        scaled = numpy.exp(IMAGES * SCALE)
        by_channel = scaled / scaled.sum(axis=1, keepdims=True)
        self.export(logits=by_channel, opset=11, operator="Softmax", axis=1)
        code, _, err = self.check()
        self.assertEqual(code, 1)
        self.assertIn("ONNX Runtime", err)
        self.assertNotIn("OpenVINO", err)
        self.entries = []
        self.export(logits=by_channel, opset=13, operator="Softmax", axis=1)
        self.assertEqual(self.check()[0], 0)

    def test_files_must_be_as_the_manifest_says(self):
        self.export()
        for key, value, words in (("opset", 12, "opset"), ("form", "fp16", "form"), ("shape", [2, 3, 4, 5], "shape")):
            kept, self.entries[0][key] = self.entries[0][key], value
            self.write()
            code, lines, err = self.check()
            with self.subTest(key=key):
                self.assertEqual(code, 1)
                self.assertIn("0 of 1 files", lines[0])
                self.assertIn(f"its {words}" if words != "shape" else "has the shape", err)
            self.entries[0][key] = kept

    def test_a_damaged_file_is_a_fault(self):
        self.export()
        path = self.folder / "a.onnx"
        path.write_bytes(path.read_bytes()[:-20])
        self.assertEqual(self.check()[0], 1)

    def test_a_manifest_that_cannot_be_used_is_refused(self):
        self.export()
        changes = [
            {"shape": [2, 3, 5]}, {"form": "int8"}, {"logits": "none"}, {"extra": 1},
            {"logits_shape": [2, 3, 5, 5]}, {"onnx": "none"}, {"opset": "13"},
        ]  # fmt: skip
        for change in changes:
            with self.subTest(change=change):
                (self.folder / "manifest.jsonl").write_text(json.dumps({**self.entries[0], **change}))
                with self.assertRaises(Unusable):
                    manifest.read(self.folder)
        for text in ("", "[]", "no json"):
            with self.subTest(text=text):
                (self.folder / "manifest.jsonl").write_text(text)
                self.assertEqual(self.check()[0], 2)

    def test_a_tolerance_must_be_a_number(self):
        for tolerance in (-1, numpy.nan, numpy.inf):
            self.entries = []
            self.export(tolerance=tolerance)
            with self.subTest(tolerance=tolerance):
                self.assertEqual(self.check()[0], 2)

    def test_the_reference_leaves_out_what_it_gets_wrong(self):
        def model(opset):
            node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])
            graph = helper.make_graph([node], "test", [], [])
            return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])

        reference = readers.Reference()
        self.assertEqual([reference.reads(model(opset)) for opset in (9, 13, 14, 15)], [False, False, True, True])


class Tolerances(unittest.TestCase):
    def tally(self, ours, theirs, tolerance):
        ours, theirs = numpy.array(ours, float).reshape(1, -1, 1, 1), numpy.array(theirs, float).reshape(1, -1, 1, 1)
        case = manifest.Case("c", 13, "fp32", Path("c.onnx"), None, ours, numpy.full(ours.shape, float(tolerance)))
        tally = Tally()
        tally.add(case, theirs)
        return tally

    def test_an_error_of_just_the_tolerance_is_allowed(self):
        self.assertEqual(self.tally([1, 0], [1.25, 0], 0.25).faults, [])
        self.assertEqual(len(self.tally([1, 0], [1.2501, 0], 0.25).faults), 1)

    def test_a_tolerance_of_zero_allows_equality(self):
        self.assertEqual(self.tally([1, 0], [1, 0], 0).worst_share, 0)
        self.assertEqual(self.tally([1, 0], [1 + 1e-12, 0], 0).worst_share, numpy.inf)

    def test_a_margin_of_twice_the_tolerance_is_too_close(self):
        self.assertEqual(self.tally([1, 0.5], [1, 0.5], 0.25).labels, 0)
        self.assertEqual(self.tally([1, 0.4], [1, 0.4], 0.25).labels, 1)


if __name__ == "__main__":
    unittest.main()
