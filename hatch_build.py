"""The compiled library in wheels and editable installations: hatchling calls it.

CROSSENTROPY_NATIVE=0 leaves it out, 1 insists on it; otherwise it is there if this machine has a compiler for it.
CROSSENTROPY_TARGET names another kind of machine, of those in build_native.py, for whose wheel zig compiles.
"""

import os
import subprocess
import sys
import sysconfig
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
        target = build_native.TARGETS[name] if name else build_native.here()
        command = build_native.compiler(target if name else None)
        if self.target_name != "wheel" or wish == "0":
            return
        library = build_native.FOLDER / (target.library if target else "")
        try:
            if target is None or not command:
                raise OSError("no C compiler (cc, or $CC), or none of the machines that there is code for")
            build_native.build(target, command, library)
        except (OSError, subprocess.CalledProcessError) as error:
            if wish == "1" or name:
                raise
            self.app.display_warning(f"Without compiled kernels, for which torch's operators stand in: {error}")
            return
        machine = target.tag if name else sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["artifacts"].append(str(library.relative_to(self.root)))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{machine}"
