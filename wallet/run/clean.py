"""Remove the demo city for good: everything in VAR_DIR, also where the database lies elsewhere (`make
clean-data`)."""

import os
import shutil
import sys

from wallet.run.environment import embedded, sole_launcher, var_dir
from wallet.run.faults import Fault


def main() -> int:
    """Stop what runs from this checkout's databases, and delete them."""
    folder = var_dir(os.environ)
    if not folder.exists():
        print(f"There is nothing in {folder}.")
        return 0
    try:
        with sole_launcher(folder):
            embedded(os.environ).remove()
            for path in folder.iterdir():
                if path.name == "test":
                    continue  # the tests' own; somebody may be testing
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
    except Fault as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The city in {folder} is gone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
