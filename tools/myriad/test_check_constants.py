"""Tests of check_constants.py that need no compiler."""

import unittest

import check_constants as check


def halves(data):
    return [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)]


class LayoutTest(unittest.TestCase):
    def test_eight_outputs_stand_together(self):
        # Output o has 10 o + i for input and tap i.
        kernels = [[10 * output + at for at in range(6)] for output in range(9)]
        found = halves(check.interleaved(kernels, 3, 2))
        self.assertEqual(found[:8], [0, 10, 20, 30, 40, 50, 60, 70])
        self.assertEqual(found[8:16], [1, 11, 21, 31, 41, 51, 61, 71])
        self.assertEqual(found[48:56], [80, 0, 0, 0, 0, 0, 0, 0])
        self.assertEqual(len(found), 2 * 8 * 6)

    def test_depthwise_kernels_stand_on_the_diagonal(self):
        found = halves(check.depthwise([[1], [2], [3]], 8, 1)[0])
        self.assertEqual(found[:8], [1, 0, 0, 0, 0, 0, 0, 0])
        self.assertEqual(found[8:16], [0, 2, 0, 0, 0, 0, 0, 0])
        self.assertEqual(len(found), 24)

    def test_what_is_missing_is_missed(self):
        line = {"shape": [8, 1, 1, 1], "groups": 1, "weights": list(range(1, 9)), "bias": [7, 7]}
        blob = b"x" + check.packed(list(range(1, 9))) + check.packed([7, 7])
        self.assertTrue(check.is_there(blob, check.pieces(line)) and check.is_there(blob, check.biases(line)))
        line["weights"][3] = 99
        self.assertFalse(check.is_there(blob, check.pieces(line)))


if __name__ == "__main__":
    unittest.main()
