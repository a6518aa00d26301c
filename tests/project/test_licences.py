from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from tools import licences


def package(folder: Path, name: str, *, fields: str, requires: tuple[str, ...] = ()) -> Distribution:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {r}\n" for r in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{fields}\n{needs}")
    return PathDistribution(info)


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ("License-Expression: BUSL-1.1", "BUSL"),
        ("License: Business Source License 1.1", "BUSL"),
        ("License-Expression: AGPL-3.0-or-later", "AGPL"),
        ("Classifier: License :: OSI Approved :: GNU Affero General Public License v3", "AGPL"),
        ("License-Expression: MIT AND GPL-3.0-only", "GPL"),
        ("Classifier: License :: OSI Approved :: GNU General Public License v2 (GPLv2)", "GPL"),
        ("License: GPLv3+", "GPL"),
        ("License-Expression: (MIT OR GPL-2.0-only) AND BSD-3-Clause", "GPL"),
        ("Classifier: License :: OSI Approved", "unknown"),
        ("License: UNKNOWN", "unknown"),
        ("Author: nobody", "unknown"),
        ("License-Expression: BSD-3-Clause AND 0BSD AND MIT", ""),
        ("License-Expression: MIT OR GPL-2.0-only", ""),
        ("License-Expression: LGPL-2.1-or-later", ""),
        ("Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", ""),
        ("Classifier: License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)", ""),
        ("License: Apache-2.0", ""),
    ],
)
def test_what_a_package_declares_decides(fields: str, refused: str, tmp_path: Path):
    (row,) = licences.rows([package(tmp_path, "one", fields=fields)])
    assert row.refused == refused


def test_a_refused_licence_three_requirements_down_is_found(tmp_path: Path):
    shelf = {
        "root": package(tmp_path, "root", fields="License: MIT", requires=("Mid_Dle[fast]>=1", "dev; extra == 'test'")),
        "mid-dle": package(
            tmp_path,
            "mid-dle",
            fields="License: MIT",
            requires=("deep; extra == 'fast'", "other; extra == 'slow'", "old; python_version < '3'"),
        ),
        "deep": package(tmp_path, "deep", fields="License: AGPL-3.0", requires=("root",)),
    }
    found = licences.closure("Root", find=shelf.__getitem__)
    assert [(row.name, row.refused) for row in licences.rows(found)] == [("deep", "AGPL"), ("mid-dle", "")]
    assert licences.pins(found) == "deep==1.0\nmid-dle==1.0\n"


def test_what_the_core_installs_is_accepted(capsys: pytest.CaptureFixture[str]):
    assert licences.main() == 0
    assert "refused: none" in capsys.readouterr().out
