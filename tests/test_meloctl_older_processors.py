"""A processor without AVX-512 and bf16 does all that another one does: the libraries are told to use no more than AVX2."""

import json
import os
import platform
import subprocess
import sys

import pytest

LIMITS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx2,+avx,+bmi,+bmi2,+cmov,+cx16,+f16c,+fma,+lzcnt,+mmx,+movbe,+popcnt,+sse,+sse2,+sse3,+sse4.1,"
    "+sse4.2,+ssse3,-avx512f,-avx512vl,-avx512bf16",
}

COMMANDS = [
    ["corpus", "compose", "--pieces", "24", "--form", "A"],
    ["stats", "melo/corpus/band", "--processes", "1"],
    ["derive-mask"],
    ["train", "--epochs", "1", "--infill", "0"],
    ["generate", "--bars", "2", "--json"],
]

PROGRAM = f"""
import contextlib, io, json
import torch
from numba.core.registry import cpu_target
from analysis import midi_events
from meloctl.cli.main import app
from meloctl.machine import computes_in_half

said = io.StringIO()
for command in {COMMANDS}:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        app(command, standalone_mode=False)
machine_code = [*midi_events._walk.inspect_asm().values()]
print(json.dumps({{
    "torch": torch.backends.cpu.get_cpu_capability(),
    "half": computes_in_half("cpu"),
    "numba": cpu_target.target_context.codegen().magic_tuple()[1:],
    "wide": ["zmm" in code for code in machine_code],
    "piece": json.loads(said.getvalue()),
}}))
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the limits are those of x86")
def test_without_avx_512_and_bf16_models_are_trained_and_music_is_written(tmp_path):
    environment = {**os.environ, **LIMITS, "NUMBA_CACHE_DIR": str(tmp_path / "numba"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["torch"], facts["half"], facts["numba"][0]) == ("AVX2", False, "haswell")  # the limits are in force
    assert "+avx512bf16" not in facts["numba"][1]
    assert facts["wide"]
    assert not any(facts["wide"])
    assert (facts["piece"]["bars"], facts["piece"]["path"][-4:]) == (2, ".mid")
