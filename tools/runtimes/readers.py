"""The foreign runtimes: each makes logits of an ONNX file and an input."""

import importlib.metadata

import numpy
import onnx
import onnx.reference
import onnxruntime
import openvino

HALF = onnx.TensorProto.FLOAT16


class OnnxRuntime:
    """ONNX Runtime on the CPU, one thread, with all optimisations of the graph."""

    name = f"ONNX Runtime {onnxruntime.__version__}"

    def reads(self, model):
        return True

    def logits(self, path, model, images):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: images})[0]


class OpenVino:
    """OpenVINO on the CPU, one thread, in binary32: left alone, it takes bfloat16 where the CPU has it."""

    name = f"OpenVINO {importlib.metadata.version('openvino')}"
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}

    def __init__(self):
        self.core = openvino.Core()

    def reads(self, model):
        return True

    def logits(self, path, model, images):
        compiled = self.core.compile_model(str(path), "CPU", self.settings)
        precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if precision != "f32":
            raise RuntimeError(f"it computes in {precision}")
        return compiled([images])[0]


class Reference:
    """The evaluator of the onnx package, for files that it evaluates by the book."""

    name = f"onnx.reference {onnx.__version__}"

    def reads(self, model):
        """Not a BatchNormalization below opset 14, where it takes statistics of the batch."""
        return opset_of(model) >= 14 or all(node.op_type != "BatchNormalization" for node in model.graph.node)

    def logits(self, path, model, images):
        session = onnx.reference.ReferenceEvaluator(model)
        return session.run(None, {model.graph.input[0].name: images})[0]


def opset_of(model):
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def load(case):
    """The model of a case; fails with a ValueError where the file is not what the manifest or ONNX says."""
    model = onnx.load(case.path)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    if len(inferred.graph.input) != 1 or len(inferred.graph.output) != 1:
        raise ValueError("it must have one input and one output")
    for value, expected in ((inferred.graph.input[0], case.input), (inferred.graph.output[0], case.logits)):
        shape = [size.dim_value for size in value.type.tensor_type.shape.dim]
        if shape != list(expected.shape):
            raise ValueError(f"{value.name} has the shape {shape} instead of {list(expected.shape)}")
    if opset_of(model) != case.opset:
        raise ValueError(f"its opset is {opset_of(model)} instead of {case.opset}")
    if form_of(model) != case.form:
        raise ValueError(f"its form is {form_of(model)} instead of {case.form}")
    return model


def form_of(model):
    """By the types of weights and input."""
    if all(tensor.data_type != HALF for tensor in model.graph.initializer):
        return "fp32"
    casts = {name for node in model.graph.node if node.op_type == "Cast" for name in node.input}
    halves = [tensor.name for tensor in model.graph.initializer if tensor.data_type == HALF]
    return "fp16-weights" if all(name in casts for name in halves) else "fp16"


def images_for(model, images):
    """The input in the type that the file wants."""
    half = model.graph.input[0].type.tensor_type.elem_type == HALF
    return images.astype(numpy.float16 if half else numpy.float32)
