"""The compiled library in wheels and editable installations: hatchling calls it.

CROSSENTROPY_NATIVE=0 leaves it out, 1 insists on it; otherwise it is there if this machine has a compiler for it.
CROSSENTROPY_TARGET names another kind of machine, of those in build_native.py, for whose wheel zig compiles.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
import build_native


class CustomBuildHook(BuildHookInterface):
    """Compiles before what is built is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say that the wheel is for one kind of machine, and any Python."""
        wish, name = os.environ.get("CROSSENTROPY_NATIVE", ""), os.environ.get("CROSSENTROPY_TARGET")
        if wish == "0":
            return
        editable = version == "editable"
        self.room = tempfile.TemporaryDirectory()  # until this process ends
        try:
            target, command = build_native.chosen(name)
            library = (build_native.FOLDER if editable else Path(self.room.name)) / target.library
            build_native.build(target, command, library)
        except (OSError, subprocess.CalledProcessError) as error:
            if wish == "1" or name:
                raise
            self.app.display_warning(f"Without compiled kernels, for which torch's operators stand in: {error}")
            return
        if not editable:
            machine = target.tag if name else self.build_config.builder.get_best_matching_tag().rpartition("-")[2]
            build_data["force_include"][str(library)] = f"crossentropy/_backends/native/{target.library}"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{machine}"
