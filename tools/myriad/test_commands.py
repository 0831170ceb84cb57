import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import compile
import setup
import test_report
import toolchain
from failure import REFUSED, UNUSABLE, Failure, run
from tiny_network import tiny_network

# Stands in for the exporter: compiles everything to the dump of test_report, but for files named after a failure.
EXPORTER = f"""#!{sys.executable}
import os, pathlib, sys
plugins, model, blob, *settings = sys.argv[1:]
if "refused" in model:
    sys.exit("[ GENERAL_ERROR ]\\n/build/src/frontend.cpp:441 unsupported layer")
if "broken" in model:
    sys.exit(127)
if "crash" in model:
    os.abort()
dump = dict(text.split("=", 1) for text in settings)["MYRIAD_DUMP_INTERNAL_GRAPH_FILE_NAME"]
pathlib.Path(blob).write_bytes(b"blob")
pathlib.Path(dump).write_text({test_report.DUMP!r}.replace("BSS = 64", "BSS = 64\\\\l input = 1\\\\l output = 2\\\\l blob = 4")
    .replace("numSHAVEs = 7", "numSHAVEs = 7\\\\l tilingCMXLimit = 5", 1))
"""


class Commands(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.cache = self.folder / "cache"
        home = toolchain.folder(self.cache)
        home.mkdir(parents=True)
        (home / "export").write_text(EXPORTER)
        (home / "export").chmod(0o755)

    def model(self, name, content=None):
        path = self.folder / name
        path.write_bytes(tiny_network() if content is None else content)
        return str(path)

    def compile(self, *arguments, form="fp32"):
        """Exit code, stdout and stderr of compile.py."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(compile.main, [*map(str, arguments), "--form", form, "--cache", str(self.cache)])
        return code, out.getvalue(), err.getvalue()

    def test_one_file_gives_a_table_a_report_and_a_blob(self):
        blob, report = self.folder / "out.blob", self.folder / "out.json"
        code, out, _ = self.compile(self.model("a.onnx"), "--blob", blob, "--json", report, "--streams", "1", "KEY=a=b")
        self.assertEqual(code, 0)
        self.assertIn("totals: 4 stages (2 NCE, 1 SHAVE, 1 DMA), 960 NCE cycles", out)
        self.assertEqual(blob.read_bytes(), b"blob")
        found = json.loads(report.read_text())
        self.assertEqual(found["settings"], {"KEY": "a=b", "MYRIAD_THROUGHPUT_STREAMS": "1"})
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["a.onnx", "cache", "out.blob", "out.json"])

    def test_a_refusal_is_the_compilers_word_and_leaves_no_file(self):
        blob = self.folder / "out.blob"
        code, out, err = self.compile(self.model("refused.onnx"), "--blob", blob)
        self.assertEqual((code, out), (REFUSED, ""))
        expected = "error: the Myriad X compiler refused the network: [ GENERAL_ERROR ] frontend.cpp:441 unsupported layer\n"
        self.assertEqual(err, expected)
        self.assertFalse(blob.exists())

    def test_a_crash_is_a_refusal_and_a_broken_tool_chain_is_not(self):
        self.assertEqual(self.compile(self.model("crash.onnx"))[0], REFUSED)
        self.assertEqual(self.compile(self.model("broken.onnx"))[0], UNUSABLE)

    def test_a_damaged_file_or_one_of_another_form_is_not_compiled(self):
        code, _, err = self.compile(self.model("cut.onnx", tiny_network()[:-3]))
        self.assertEqual(code, UNUSABLE)
        self.assertIn("is no whole ONNX file", err)
        code, _, err = self.compile(self.model("a.onnx"), form="fp16")
        self.assertEqual(code, UNUSABLE)
        self.assertIn("is not of the form fp16", err)

    def test_many_files_give_a_line_each_in_their_order(self):
        names = ["b.onnx", "refused.onnx", "a.onnx"]
        code, out, err = self.compile("--many", *map(self.model, names), "--blobs", self.folder)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([Path(line["model"]).name for line in lines], names)
        self.assertEqual(["error" in line for line in lines], [False, True, False])
        self.assertEqual((code, err), (REFUSED, "2 of 3 files compiled\n"))
        self.assertTrue((self.folder / "a.blob").exists() and not (self.folder / "refused.blob").exists())

    def test_arguments_that_cannot_be_meant_are_refused(self):
        a, b = self.model("a.onnx"), self.model("b.onnx")
        os.mkdir(self.folder / "c")
        other = self.model("c/a.onnx")
        for arguments in (["K=V"], [a, b, "--blob", "x"], [a, other, "--blobs", self.folder], [a, "--json", "/no/x"]):
            with self.subTest(arguments=arguments):
                self.assertEqual(self.compile(*arguments)[0], UNUSABLE)

    def test_without_a_tool_chain_setup_is_named(self):
        self.cache = self.folder / "other"
        code, _, err = self.compile(self.model("a.onnx"))
        self.assertEqual(code, UNUSABLE)
        self.assertIn("setup.py --cache", err)

    def test_a_relative_cache_of_the_environment_does_not_count(self):
        with unittest.mock.patch.dict(os.environ, XDG_CACHE_HOME="here"):
            self.assertTrue(toolchain.default_cache().is_absolute())
        with unittest.mock.patch.dict(os.environ, XDG_CACHE_HOME="/there"):
            self.assertEqual(toolchain.default_cache(), Path("/there/boresight/myriad"))


class Setup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = Path(folder.name)

    def install(self, check=lambda home: None):
        def unpack(_, home):
            home.mkdir()
            (home / "libs").mkdir()

        steps = {"check_machine": lambda: None, "download": lambda work: work, "unpack": unpack, "build": lambda home: None}
        with unittest.mock.patch.multiple(setup, **steps, check=check), contextlib.redirect_stdout(io.StringIO()):
            setup.install(self.cache, self.cache / "home")

    def test_a_setup_that_fails_leaves_nothing(self):
        def check(_):
            raise Failure("no")

        with self.assertRaises(Failure):
            self.install(check)
        self.assertEqual(list(self.cache.iterdir()), [])

    def test_a_whole_one_replaces_a_broken_one(self):
        (self.cache / "home").mkdir()
        (self.cache / "home" / "broken").touch()
        self.install()
        self.assertEqual([path.name for path in (self.cache / "home").iterdir()], ["libs"])
        self.assertEqual([path.name for path in self.cache.iterdir()], ["home"])

    def test_what_killed_setups_left_is_removed_after_a_day(self):
        old, new = self.cache / ".setup-old", self.cache / ".setup-new"
        old.mkdir()
        new.mkdir()
        os.utime(old, (0, 0))
        self.install()
        self.assertEqual((old.exists(), new.exists()), (False, True))


if __name__ == "__main__":
    unittest.main()
