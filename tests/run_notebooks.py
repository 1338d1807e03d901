"""Runs the notebooks from top to bottom and stores them with their outputs.

    python tests/run_notebooks.py [notebooks/01-train-a-network.ipynb ...]

What is stored is what the run gave, less what would differ from one machine or run to the next.
`test_notebooks.py` runs the notebooks through `execute` too.
"""

import os
import pathlib
import re
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "notebooks"

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
_COLOUR_CODE = re.compile("\x1b\\[[0-9;]*m")

# The functions import Jupyter's packages themselves, since pytest imports this file even where
# they are missing, to look for doctests.


def read(path):
    """Returns the notebook in a file."""
    import nbformat

    return nbformat.read(path, as_version=4)


def write(notebook, path):
    """Stores a notebook in a file."""
    import nbformat

    nbformat.write(notebook, path)


def execute(notebook, folder, **variables):
    """Runs the cells in a new kernel, and puts what they give into the notebook.

    Args:
        notebook: The notebook; changed in place.
        folder: Where the kernel works.
        **variables: Environment variables for the kernel.
    """
    from nbclient import NotebookClient

    inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    # What comes with the package, and not the data that lies on this machine.
    offline = {"KERASTRAIN_DATA": ""}
    client = NotebookClient(
        notebook,
        km=_kernel_manager(),
        resources={"metadata": {"path": str(folder)}},
        timeout=300,  # seconds a cell
        record_timing=False,
    )
    # A manager that is given to it nbclient wouldn't clean up by itself.
    client.execute(cleanup_kc=True, env={**os.environ, **inline, **offline, **variables})


def tidy(notebook):
    """Drops what belongs to a machine or a run, and colour codes from a text that is HTML too."""
    notebook["metadata"] = _METADATA
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data and "text/plain" in data:
                data["text/plain"] = _COLOUR_CODE.sub("", data["text/plain"])


def _kernel_manager():
    """Returns a manager of the Python that runs this file, whatever Jupyter knows as python3."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    # TensorFlow writes lines about the hardware past Python, straight to the process's standard
    # error, and no setting turns all of them off (github.com/tensorflow/tensorflow/issues/100442).
    # They stay in the terminal. What Python writes to standard error does go into the notebook.
    uncaptured = "--IPKernelApp.capture_fd_output=False"
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", uncaptured]

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name):
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

    return AsyncKernelManager(kernel_spec_manager=ThisPython())


def main(names):
    for path in map(pathlib.Path, names or sorted(FOLDER.glob("*.ipynb"))):
        notebook = read(path)
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, folder)
        tidy(notebook)
        write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
