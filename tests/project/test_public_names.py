import json
import pkgutil
import subprocess
import sys

import datastore

HEAVY = ("pandas", "pyarrow", "botocore", "fsspec", "yaml")


def test_the_list_of_public_names_is_sorted_and_has_no_name_twice():
    assert list(datastore.__all__) == sorted(set(datastore.__all__))


def test_each_public_name_can_be_imported():
    missing = [name for name in datastore.__all__ if not hasattr(datastore, name)]
    assert missing == []
    assert set(datastore.__all__) <= set(dir(datastore))


def test_no_public_name_is_a_submodule():
    # `datastore.resolve` would be a function or a module, whichever was imported last.
    submodules = {module.name for module in pkgutil.iter_modules(datastore.__path__)}
    assert sorted(submodules.intersection(datastore.__all__)) == []


def test_import_datastore_loads_nothing_heavy():
    program = f"import json, sys, datastore; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
