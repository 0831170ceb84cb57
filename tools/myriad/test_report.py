import unittest

import report
from failure import Failure

# A dump as the compiler writes it, made up: a convolution in two tiles, a copy within the first, a split, a sigmoid.
DUMP = r"""digraph ie_vpu_model_view {
    labelloc=top;
    label="Graph g\lextraAttrs = [\l    numInputs = 1\l    resources = [\l        numCMXSlices = 9\l        numSHAVEs = 7\l    ]\l    usedMemory = [\l        BSS = 64\l        CMX = 128\l    ]\l]\l"
    data_0x1 [
        shape=box
        label="Data input@FP16\lusage = Intermediate\ldesc = [\l    type = FP16\l    dims = [W : 6, H : 8, C : 4, N : 1]\l]\ldataLocation = BSS\ldataOffset = 0\l"
    ];
    data_0x2 [
        shape=box
        label="Data a@soh=1/2\lusage = Intermediate\ldesc = [\l    type = FP16\l    dims = [W : 6, H : 4, C : 16, N : 1]\l]\lcontent = [\l    1.5,\l    -2\l]\ldataLocation = CMX\l"
    ];
    data_0x3 [
        shape=box
        label="Data a@copy-for-0x7ffc82099ef8\lusage = Output\ldesc = [\l    type = FP16\l    dims = [C : 16]\l]\l"
    ];
    stage_0xa3 [
        label="[2 / 4] Stage a@soh=2/2\ltype = MyriadXHwOp\lnumSHAVEs = 0\lextraAttrs = [\l    hwOpType = CONV\l    hwOps = [\l        size = 1\l    ]\l    tiling = [\l        mode = MODE_4_64\l        numDescr = 1\l        cost = 20\l    ]\l]\l"
    ];
    stage_0xa1 [
        label="[1 / 1] Stage a@soh=1/2\ltype = MyriadXHwOp\lorigLayer = [\l    name = 007\l    type = Convolution\l]\lnumSHAVEs = 0\lextraAttrs = [\l    hwOpType = CONV\l    pad = [\l        enable = 1\l    ]\l    tiling = [\l        mode = MODE_4_64\l        numDescr = 1\l        cost = 20\l    ]\l]\l"
    ];
    stage_0xa2 [
        label="[1 / 2] Stage a@copy-for-0x7ffc82099ef8\ltype = Copy\lnumSHAVEs = 0\lextraAttrs = [\l    origin = special::0x7ffc82099ef8\l    optional = 0\l]\l"
    ];
    stage_0xa5 [
        label="[-1 / 3] Stage x\ltype = Split\lnumSHAVEs = 0\lextraAttrs = [\l    axis = C\l    offsets = [[C : 0], [C : 8]]\l]\l"
    ];
    stage_0xa4 [
        label="[3 / 5] Stage b\ltype = Sigmoid\lnumSHAVEs = 2\lextraAttrs = [\l    swStagesPos = \l    scale = 1e-05\l]\l"
    ];
    data_0x1 -> stage_0xa1 [
        label="StageInput\lportInd = 0\l"
    ];
    stage_0xa1 -> data_0x2 [
        label="StageOutput\lportInd = 0\l"
    ];
    data_0x2 -> data_0x3 [
        label="DataToData\l"
    ];
    stage_0xa3 -> data_0x2 [
        label="StageOutput\lportInd = 0\l"
    ];
    stage_0xa4 -> data_0x3 [
        label="StageOutput\lportInd = 0\l"
    ];
}
"""


class Reports(unittest.TestCase):
    def setUp(self):
        self.report = report.from_dump(DUMP)
        self.stages = self.report["stages"]

    def test_resources_and_memory_are_numbers(self):
        self.assertEqual(self.report["resources"], {"numCMXSlices": 9, "numSHAVEs": 7})
        self.assertEqual(self.report["memory"], {"BSS": 64, "CMX": 128})

    def test_stages_stand_in_order_of_execution_without_those_that_are_not_executed(self):
        found = [(stage["index"], stage["unit"], stage["type"]) for stage in self.stages]
        expected = [(1, "NCE", "CONV"), (1, "DMA", "Copy"), (2, "NCE", "CONV"), (3, "SHAVE", "Sigmoid")]
        self.assertEqual(found, expected)

    def test_a_convolution_has_cost_cycles_and_tile(self):
        stage = self.stages[0]
        self.assertEqual((stage["mode"], stage["descriptors"], stage["cost"]), ("MODE_4_64", 1, 20))
        self.assertEqual(stage["cycles"], 20 * 6 * 4)
        self.assertEqual(stage["tile"], {"height": [1, 2]})
        self.assertEqual(stage["attributes"], {"pad": {"enable": 1}})
        self.assertEqual(self.report["totals"]["nce_cycles"], 2 * 480)

    def test_a_name_stays_a_text(self):
        self.assertEqual(self.stages[0]["layer"], "007")

    def test_data_has_dimensions_from_the_outermost(self):
        expected = {"name": "input@FP16", "usage": "Intermediate", "type": "FP16", "location": "BSS"}
        data = self.stages[0]["inputs"]
        self.assertEqual(data, [{**expected, "dims": {"N": 1, "C": 4, "H": 8, "W": 6}}])
        self.assertEqual(list(data[0]["dims"]), ["N", "C", "H", "W"])

    def test_addresses_of_the_compilers_memory_do_not_show(self):
        self.assertNotIn("0x7ffc", str(self.report))
        self.assertEqual(self.stages[1]["name"], "a@copy-for-*")

    def test_attributes_may_be_empty_and_in_exponents(self):
        self.assertEqual(self.stages[3]["attributes"], {"swStagesPos": "", "scale": 1e-05})

    def test_totals_count_units(self):
        counts = {key: self.report["totals"][key] for key in ("stages", "nce", "shave", "dma")}
        self.assertEqual(counts, {"stages": 4, "nce": 2, "shave": 1, "dma": 1})

    def test_a_text_without_a_graph_is_an_error(self):
        with self.assertRaises(Failure):
            report.from_dump("digraph g {}")


if __name__ == "__main__":
    unittest.main()
