import struct
import unittest

import onnx_file
from failure import Failure
from tiny_network import FLOAT, FLOAT16, cast, model, nested, node, number, tensor, tiny_network, value


def network(nodes, tensors, kind=FLOAT):
    return model(nodes, tensors, [value("input", [1, 2, 4, 4], kind)], [value("output", [1, 2, 4, 4], kind)])


def halves(name, count=2):
    return tensor(name, [1, count, 1, 1], FLOAT16, bytes(2 * count))


def floats(name, count=2):
    return tensor(name, [1, count, 1, 1], FLOAT, bytes(4 * count))


class Wholeness(unittest.TestCase):
    def test_no_beginning_of_a_file_is_taken_for_a_whole_one(self):
        whole = tiny_network()
        onnx_file.read_model(whole)
        for length in range(len(whole)):
            with self.subTest(length=length), self.assertRaises(onnx_file.Damaged):
                onnx_file.read_model(whole[:length])

    def test_a_graph_that_lost_its_end_is_refused_even_where_its_length_fits(self):
        graph = nested(1, node("Relu", ["input"], ["output"]))
        lost = number(1, 7) + nested(7, graph) + nested(8, number(2, 13))
        with self.assertRaisesRegex(onnx_file.Damaged, "no outputs"):
            onnx_file.read_model(lost)

    def test_a_tensor_must_have_as_many_values_as_its_shape(self):
        short = tensor("w", [2, 3], FLOAT, bytes(20))
        with self.assertRaisesRegex(onnx_file.Damaged, "'w' has 5.0 values instead of 6"):
            onnx_file.read_tensor(short)

    def test_values_may_stand_in_typed_fields(self):
        packed = number(1, 2) + number(2, FLOAT) + nested(8, "w") + nested(4, struct.pack("<2f", 1, 2))
        self.assertEqual(onnx_file.read_tensor(packed), ("w", onnx_file.Constant(FLOAT, 2)))
        bits = number(1, 2) + number(2, FLOAT16) + nested(8, "h") + nested(5, b"\x80\x78\x00")
        self.assertEqual(onnx_file.read_tensor(bits), ("h", onnx_file.Constant(FLOAT16, 2)))

    def test_a_tensor_in_another_file_is_refused(self):
        with self.assertRaisesRegex(onnx_file.Damaged, "in another file"):
            onnx_file.read_tensor(number(1, 2) + number(2, FLOAT) + nested(8, "w") + number(14, 1))

    def test_bytes_that_are_no_message_are_refused(self):
        for data in (b"", b"no network", b"\xff" * 20, b"\x00\x01", b"\x0f\x01"):
            with self.subTest(data=data), self.assertRaises(onnx_file.Damaged):
                onnx_file.read_model(data)


class Forms(unittest.TestCase):
    def check(self, nodes, tensors, form):
        onnx_file.check_form(onnx_file.read_model(network(nodes, tensors)), form)

    def test_the_form_is_that_of_the_constants(self):
        for kind, form, other in ((FLOAT, "fp32", "fp16"), (FLOAT16, "fp16", "fp32")):
            graph = onnx_file.read_model(tiny_network(kind))
            onnx_file.check_form(graph, form)
            with self.assertRaisesRegex(Failure, f"not of the form {other}: constant 'weight' reaches Conv 'output'"):
                onnx_file.check_form(graph, other)

    def test_a_cast_constant_counts_as_what_it_is_cast_to(self):
        nodes = [cast("w", "wide", FLOAT), node("Mul", ["input", "wide"], ["output"])]
        self.check(nodes, [halves("w")], "fp32")
        with self.assertRaisesRegex(Failure, "'wide' reaches Mul 'output' as FLOAT"):
            self.check(nodes, [halves("w")], "fp16")

    def test_constant_nodes_count(self):
        held = node("Constant", [], ["w"], [nested(1, "value") + nested(5, halves("")) + number(20, 4)])
        nodes = [held, node("Mul", ["input", "w"], ["output"])]
        self.check(nodes, [], "fp16")
        with self.assertRaises(Failure):
            self.check(nodes, [], "fp32")

    def test_single_values_and_scales_are_in_either_form(self):
        nodes = [node("Div", ["input", "root"], ["a"]), node("Resize", ["a", "", "scales"], ["output"])]
        for form in ("fp16", "fp32"):
            self.check(nodes, [floats("root", 1), floats("scales", 4)], form)

    def test_a_mixture_has_no_form(self):
        nodes = [node("Mul", ["input", "w"], ["a"]), node("Add", ["a", "b"], ["output"])]
        for form in ("fp16", "fp32"):
            with self.assertRaises(Failure):
                self.check(nodes, [halves("w"), floats("b")], form)

    def test_other_types_have_no_form(self):
        double = tensor("w", [2], 11, bytes(16))
        with self.assertRaisesRegex(Failure, "as DOUBLE"):
            self.check([node("Mul", ["input", "w"], ["output"])], [double], "fp32")


if __name__ == "__main__":
    unittest.main()
