import contextlib
import io
import os
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import packages


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = Path(folder.name) / "cache"

    def ready(self, script):
        """Runs `ready` with `script` in place of pip."""
        pip = Path(self.cache.parent) / "pip"
        pip.write_text(f'#!/bin/sh\nwhile [ "$1" != --target ]; do shift; done; shift\n{script}\n')
        pip.chmod(0o755)
        pip_instead = unittest.mock.patch.object(packages.sys, "executable", str(pip))
        with pip_instead, contextlib.redirect_stderr(io.StringIO()):
            return packages.ready(self.cache)

    def test_packages_are_installed_once_and_then_found(self):
        home = self.ready('mkdir "$1" && touch "$1/numpy"')
        self.assertTrue((home / "numpy").exists())
        self.assertEqual(self.ready("exit 1"), home)
        self.assertEqual(list(self.cache.iterdir()), [home])

    def test_a_failed_install_leaves_nothing_and_says_why(self):
        with self.assertRaisesRegex(packages.Unusable, "ERROR: No matching distribution"):
            self.ready('mkdir "$1"; echo "ERROR: No matching distribution" >&2; echo hint >&2; exit 1')
        self.assertEqual(list(self.cache.iterdir()), [])

    def test_what_killed_installs_left_is_removed_after_a_day(self):
        old, new = self.cache / ".install-old", self.cache / ".install-new"
        old.mkdir(parents=True)
        new.mkdir()
        os.utime(old, (0, 0))
        self.ready('mkdir "$1"')
        self.assertEqual((old.exists(), new.exists()), (False, True))

    def test_every_package_is_pinned(self):
        self.assertTrue(all("==" in pin for pin in packages.pins()))


if __name__ == "__main__":
    unittest.main()
