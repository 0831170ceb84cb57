"""Tests of the example: python3 tools/runtimes/run.py -m unittest discover -s tools/device"""

import contextlib
import io
import json
import sys
import tempfile
import types
import unittest
import unittest.mock
from pathlib import Path

try:
    import numpy
    import onnx
    import openvino
except ImportError as error:
    raise unittest.SkipTest("the packages are not on the path: use tools/runtimes/run.py") from error

import openvino_runner
from onnx import TensorProto, helper, numpy_helper

BATCH, CHANNELS, CLASSES, HEIGHT, WIDTH = 2, 3, 4, 5, 6
COUNT = 5
RANDOM = numpy.random.default_rng(1)
WEIGHTS = RANDOM.normal(size=[CLASSES, CHANNELS, 1, 1]).astype(numpy.float32)
IMAGES = RANDOM.normal(size=[COUNT, CHANNELS, HEIGHT, WIDTH]).astype(numpy.float32)
EXPECTED = numpy.einsum("kc,nchw->nkhw", WEIGHTS[:, :, 0, 0], IMAGES).argmax(axis=1)


def network(path, kind=TensorProto.FLOAT):
    """A convolution of one pixel."""
    values = [
        helper.make_tensor_value_info(name, kind, [BATCH, channels, HEIGHT, WIDTH])
        for name, channels in (("input", CHANNELS), ("logits", CLASSES))
    ]
    weights = WEIGHTS.astype(numpy.float16) if kind == TensorProto.FLOAT16 else WEIGHTS
    nodes = [helper.make_node("Conv", ["input", "weights"], ["logits"], kernel_shape=[1, 1])]
    graph = helper.make_graph(nodes, "test", values[:1], values[1:], [numpy_helper.from_array(weights, "weights")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), path)


class FakeCore:
    """Stands in for IECore of 2021.4, which has no wheel for this Python: what the example calls of it."""

    def __init__(self):
        tensor = types.SimpleNamespace(precision="FP16")
        tensor.input_data = types.SimpleNamespace(shape=[BATCH, CHANNELS, HEIGHT, WIDTH])
        self.result = types.SimpleNamespace(precision="FP16")
        self.network = types.SimpleNamespace(input_info={"input": tensor}, outputs={"logits": self.result})
        FakeCore.last = self

    def read_network(self, model):
        return self.network

    def load_network(self, network, device_name, config):
        self.loaded = network is self.network, device_name, config
        return self

    def get_metric(self, device, metric):
        return f"{metric} of {device}"

    def infer(self, inputs):
        return {"logits": numpy.einsum("kc,nchw->nkhw", WEIGHTS[:, :, 0, 0], inputs["input"])}


class Exchange(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        network(self.folder / "model.onnx")
        IMAGES.astype("<f4").tofile(self.folder / "images.f32")
        self.request = {
            "version": 1,
            "model": "model.onnx",
            "input": {"name": "input", "shape": [BATCH, CHANNELS, HEIGHT, WIDTH], "layout": "NCHW", "type": "f32"},
            "images": "images.f32",
            "count": COUNT,
            "classes": CLASSES,
            "a key of a later day": 0,
        }

    def run_example(self, *arguments):
        """Exit code and the last line of stderr."""
        (self.folder / "request.json").write_text(json.dumps(self.request))
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            code = openvino_runner.main([str(self.folder), *arguments])
        return code, err.getvalue().strip().splitlines()[-1:]

    def check_answer(self):
        labels = numpy.fromfile(self.folder / "labels.u8", numpy.uint8)
        self.assertTrue((labels.reshape(EXPECTED.shape) == EXPECTED).all())
        response = json.loads((self.folder / "response.json").read_text())
        self.assertEqual((response["version"], len(response["milliseconds"])), (1, COUNT))
        self.assertTrue(all(spent >= 0 for spent in response["milliseconds"]))
        names = ["images.f32", "labels.u8", "model.onnx", "request.json", "response.json"]
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), names)
        return response["device"]

    def test_a_cpu_scores_all_images_though_they_are_no_whole_batches(self):
        self.assertEqual(self.run_example(), (0, []))
        self.assertRegex(self.check_answer(), "^OpenVINO CPU: .")

    def test_a_file_with_half_inputs_is_scored(self):
        network(self.folder / "model.onnx", TensorProto.FLOAT16)
        self.assertEqual(self.run_example(), (0, []))
        labels = numpy.fromfile(self.folder / "labels.u8", numpy.uint8).reshape(EXPECTED.shape)
        self.assertGreater((labels == EXPECTED).mean(), 0.97)

    def test_2021_4_is_spoken_where_it_is_installed(self):
        classic = types.ModuleType("openvino.inference_engine")
        classic.IECore = FakeCore
        modules = {"openvino": types.ModuleType("openvino"), "openvino.inference_engine": classic}
        with unittest.mock.patch.dict(sys.modules, modules):
            self.assertEqual(self.run_example("--device", "MYRIAD"), (0, []))
        self.assertEqual(self.check_answer(), "OpenVINO MYRIAD: FULL_DEVICE_NAME of MYRIAD")
        self.assertEqual((FakeCore.last.loaded, FakeCore.last.result.precision), ((True, "MYRIAD", {}), "FP32"))

    def test_without_openvino_there_is_a_sentence(self):
        with unittest.mock.patch.dict(sys.modules, {"openvino": types.ModuleType("openvino")}):
            code, words = self.run_example()
        self.assertEqual(code, 1)
        self.assertRegex(words[0], "^error: .* has no OpenVINO: install it$")

    def test_an_old_answer_does_not_outlive_a_failure(self):
        (self.folder / "response.json").touch()
        self.request["model"] = "none.onnx"
        self.assertEqual(self.run_example()[0], 1)
        self.assertFalse((self.folder / "response.json").exists())

    def test_what_cannot_be_scored_is_a_sentence(self):
        tensor = self.request["input"]
        other = {**tensor, "shape": [1, CHANNELS, HEIGHT, WIDTH]}
        changes = [
            ({"version": 2}, "version 2 is not 1"),
            ({"input": {**tensor, "layout": "NHWC"}}, "NHWC"),
            ({"input": {**tensor, "name": "image"}}, "not 'image'"),
            ({"input": other}, "instead of"),
            ({"input": None}, "request.json lacks or garbles"),
            ({"classes": 300}, "do not fit a byte"),
            ({"classes": CLASSES - 1}, "logits have the shape"),
            ({"count": COUNT + 1}, "images.f32 has"),
            ({"count": 0}, "count"),
            ({"images": "none.f32"}, "cannot read none.f32"),
        ]
        for change, words in changes:
            with self.subTest(change=change), unittest.mock.patch.dict(self.request, change):
                code, last = self.run_example()
                self.assertEqual(code, 1)
                self.assertIn(words, last[0])
                self.assertTrue(last[0].startswith("error: "))

    def test_an_unknown_device_is_a_sentence(self):
        code, last = self.run_example("--device", "ABACUS")
        self.assertEqual(code, 1)
        self.assertIn("error: ABACUS does not take model.onnx: ", last[0])


class Labels(unittest.TestCase):
    def test_the_first_of_equal_logits_wins_and_what_is_no_number_never(self):
        nan = numpy.nan
        logits = numpy.array([[1, 1, 0], [nan, 0, 0], [nan, nan, -numpy.inf], [nan, nan, nan]]).reshape(4, 3, 1, 1)
        self.assertEqual(openvino_runner.label(logits).ravel().tolist(), [0, 1, 0, 0])


if __name__ == "__main__":
    unittest.main()
